// SPDX-License-Identifier: Apache-2.0
/**
 * GLSL for the taxi layer. Positions are interpolated on the card: while the camera rests, nothing is uploaded between two updates.
 * Each kind of glyph has a fragment program of its own: without branches it is quick in software, too.
 */

import { COAST_MS, COAST_STEPS, FADE_MS } from "./motion";

/** A number as GLSL writes a float. */
function float(x: number): string {
  return Number.isInteger(x) ? `${x}.0` : String(x);
}

/** Kinds beyond the driver statuses 0 … 6. */
export const KIND_RIDER = 7;
export const KIND_SELECTED = 8;
export const KINDS = 9;

const HEAD = `#version 300 es
precision highp float;
`;

/** Colours of the kinds, as in styles/tokens.css, and of what parts one glyph from the next. */
export interface Palette {
  readonly kinds: readonly string[];
  readonly casing: string;
}

const [OFF, VACANT, PICKUP, TRIP, LOST] = ["#8794a8", "#59e6b6", "#ffb04f", "#94b7ff", "#ff7a8c"] as const;
export const NIGHT: Palette = {
  kinds: [OFF, VACANT, VACANT, PICKUP, PICKUP, TRIP, LOST, "#f2f5fa", "#ffd84d"],
  casing: "#080c12",
};
const [OFF_DAY, VACANT_DAY, PICKUP_DAY, TRIP_DAY, LOST_DAY] = [
  "#566274",
  "#006b4f",
  "#a85a00",
  "#1f4fc4",
  "#b3122f",
] as const;
export const DAY: Palette = {
  kinds: [OFF_DAY, VACANT_DAY, VACANT_DAY, PICKUP_DAY, PICKUP_DAY, TRIP_DAY, LOST_DAY, "#10161f", "#916400"],
  casing: "#ffffff",
};

/** Red, green and blue of "#rrggbb", 0 … 1 each. */
export function rgb(colour: string): [number, number, number] {
  const at = (i: number) => Number.parseInt(colour.slice(i, i + 2), 16) / 255;
  return [at(1), at(3), at(5)];
}

const MOTION = `${HEAD}
layout(location = 0) in vec2 a_from;
layout(location = 1) in vec2 a_to;
layout(location = 2) in vec2 a_time;   // start and end of the run, ms from the upload
layout(location = 3) in vec2 a_turn;   // heading at start and end, in turns
layout(location = 4) in vec4 a_kind;   // status, coasts on (0 or 1), dimmed (0 or 1), placed (ms from the upload)
layout(location = 5) in vec4 a_trail12;
layout(location = 6) in vec4 a_trail34;
layout(location = 7) in vec4 a_trail56;
uniform mat4 u_matrix;
uniform vec2 u_viewport;   // device pixels
uniform float u_now;       // ms from the upload
uniform float u_scale;     // device pixels per CSS pixel
uniform float u_dim;

uniform vec3 u_colours[${KINDS}];   // by kind

// The same as Motion.progress in motion.ts, with its constants; a test compares them.
float progress() {
  float span = a_time.y - a_time.x;
  if (span <= 0.0) return 1.0;
  if (u_now <= a_time.y) return max(0.0, (u_now - a_time.x) / span);
  if (a_kind.y < 0.5) return 1.0;
  float late = min((u_now - a_time.y) / ${float(COAST_MS)}, ${float(COAST_STEPS)});
  return 1.0 + (late - late * late / ${float(2 * COAST_STEPS)}) * ${float(COAST_MS)} / span;
}
// The same as Motion.opacity: what was just put somewhere fades in.
float opacity() { return clamp((u_now - a_kind.w) / ${float(FADE_MS)}, 0.0, 1.0); }
// How much of its colour a glyph has.
float shown() { return mix(1.0, 1.0 - u_dim, a_kind.z) * opacity(); }
vec4 clip(vec2 p) { return u_matrix * vec4(p, 0.0, 1.0); }
// CSS pixels from the middle of the map.
vec2 onScreen(vec2 place) {
  vec4 p = clip(place);
  return p.xy / p.w * u_viewport / (2.0 * u_scale);
}
`;

/**
 * A point as large as what is drawn in it. Points, not instances: a renderer in software draws each instance as
 * a drawing of its own.
 */
export const GLYPH_VERTEX = `${MOTION}
uniform float u_reach;     // half the square, CSS pixels
flat out vec2 v_ahead;     // unit vector that it faces, y up
flat out vec4 v_colour;
void main() {
  float u = progress();
  gl_Position = clip(mix(a_from, a_to, u));
  gl_PointSize = 2.0 * u_reach * u_scale;
  float turn = mix(a_turn.x, a_turn.y, clamp(u, 0.0, 1.0)) * 6.2831853;
  v_ahead = vec2(sin(turn), cos(turn));
  v_colour = vec4(u_colours[int(a_kind.x + 0.5)], shown());
}`;

/** Where in its point a fragment lies: CSS pixels from the middle, y up. */
const AT = "vec2 at() { return vec2(gl_PointCoord.x * 2.0 - 1.0, 1.0 - gl_PointCoord.y * 2.0) * u_reach; }";

/** Glow, and where the city is small the trail with it: a straight one, so it needs no ribbon. */
export const GLOW_VERTEX = `${MOTION}
uniform float u_reach;
uniform float u_stretch;   // the tail is drawn longer than the way was…
uniform float u_longest;   // …up to this, CSS pixels; 0: none
flat out vec4 v_tail;      // unit vector, length, 0
flat out vec4 v_colour;
void main() {
  float u = progress();
  vec2 here = mix(a_from, a_to, u);
  gl_Position = clip(here);
  gl_PointSize = 2.0 * u_reach * u_scale;
  vec2 way = onScreen(mix(a_trail34.zw, a_trail34.xy, clamp(u, 0.0, 1.0))) - onScreen(here);
  float len = length(way);
  v_tail = len > 0.4 ? vec4(way / len, min(len * u_stretch, u_longest), 0.0) : vec4(0.0);
  v_colour = vec4(u_colours[int(a_kind.x + 0.5)], shown());
}`;

/** Half added, half laid over: a queue glows brighter without turning white. */
export const GLOW_FRAGMENT = `${HEAD}
uniform float u_reach;
uniform float u_glow;
uniform float u_glow_radius;   // CSS pixels
uniform float u_scale;
uniform float u_width;     // of the tail at the taxi, CSS pixels
flat in vec4 v_tail;
flat in vec4 v_colour;
out vec4 o_colour;
${AT}
void main() {
  vec2 p = at();
  vec2 d = p / u_glow_radius;
  float near = max(0.0, 1.0 - dot(d, d));
  float glow = u_glow * near * near;
  float along = dot(p, v_tail.xy) / max(v_tail.z, 0.001);
  float across = abs(p.x * v_tail.y - p.y * v_tail.x) - 0.5 * u_width * (1.0 - along);
  float tail = along > 0.0 && along < 1.0 ? clamp(0.5 - across * u_scale, 0.0, 1.0) * (0.9 - 0.6 * along) : 0.0;
  vec4 lit = vec4(v_colour.rgb * glow, glow * 0.5) * (1.0 - tail);
  o_colour = (lit + vec4(mix(v_colour.rgb, vec3(1.0), 0.15) * tail, tail)) * v_colour.a;
}`;

const SHAPE_TOOLS = `
float box(vec2 p, vec2 half_, float r) {
  vec2 d = abs(p) - half_ + r;
  return length(max(d, 0.0)) + min(max(d.x, d.y), 0.0) - r;
}
float stroke(vec2 p, vec2 to) {      // from -to to +to
  return length(p - to * clamp(dot(p, to) / dot(to, to), -1.0, 1.0));
}
float cross_(vec2 p, float r) { return min(stroke(p, vec2(r)), stroke(p, vec2(-r, r))); }
float cover(float d) { return clamp(0.5 - d * u_scale, 0.0, 1.0); }
`;

/**
 * Distance to a status's glyph (x: the coloured shape, y: its filled outline, which the dark casing follows).
 * p: pixels from the middle, q: the same turned to the heading, r: radius of a disc.
 */
const GLYPHS: Record<number, string> = {
  0: "float s = box(q, vec2(0.24, 0.8) * r, 0.2 * r); return vec2(s);",
  1: "float d = length(p); return vec2(abs(d - 0.79 * r) - 0.23 * r, d - 1.02 * r);",
  2: "float d = length(p); return vec2(min(abs(d - 0.9 * r) - 0.17 * r, d - 0.36 * r), d - 1.07 * r);",
  3: `vec2 t = vec2(abs(q.x), q.y);
      float s = max(dot(t - vec2(0.0, 1.15 * r), vec2(0.889, 0.458)), -0.86 * r - q.y); return vec2(s);`,
  4: "float s = box(p, vec2(0.9 * r), 0.12 * r); return vec2(s);",
  5: "float s = length(p) - r; return vec2(s);",
  6: "float s = cross_(p, 0.72 * r) - 0.23 * r; return vec2(s);",
  7: "float s = (abs(p.x) + abs(p.y) - 1.35 * r) * 0.7071; return vec2(s);",
};

/** The same for a car of length `len`; w is its width. Solid with a rider's name on it, hollow without. */
const BODY = "float w = 0.5 * len; float body = box(q, vec2(0.5 * w, 0.5 * len), 0.34 * w);";
const HOLLOW = "float line = abs(body + 0.085 * w) - 0.085 * w;";
const CARS: Record<number, string> = {
  0: `${BODY} ${HOLLOW} return vec2(line, body);`,
  1: `${BODY} ${HOLLOW} return vec2(line, body);`,
  2: `${BODY} ${HOLLOW} return vec2(min(line, length(q) - 0.19 * w), body);`,
  3: `float w = 0.5 * len;
      float back = box(q + vec2(0.0, 0.14 * len), vec2(0.5 * w, 0.36 * len), 0.3 * w);
      float nose = max(dot(vec2(abs(q.x), q.y - 0.56 * len), vec2(0.77, 0.638)), -q.y);
      float s = min(back, max(nose, abs(q.x) - 0.5 * w)); return vec2(s);`,
  4: "float w = 0.5 * len; float s = box(q, vec2(0.5 * w, 0.5 * len), 0.06 * w); return vec2(s);",
  5: `${BODY} return vec2(body);`,
  6: `${BODY} ${HOLLOW} return vec2(min(line, cross_(q, 0.2 * w) - 0.06 * w), body);`,
  7: "return vec2(1e3);",
};

/** Windscreen and rear window of a solid car. */
const GLASS = `
float glass(vec2 q, float len) {
  float front = box(q - vec2(0.0, 0.15 * len), vec2(0.165 * len, 0.07 * len), 0.05 * len);
  float rear = box(q + vec2(0.0, 0.3 * len), vec2(0.145 * len, 0.045 * len), 0.04 * len);
  return min(front, rear);
}`;

const SELECTED = `${HEAD}
uniform float u_scale;
uniform float u_reach;
uniform float u_pulse;     // 1 … 0 while the selection is new
flat in vec2 v_ahead;
flat in vec4 v_colour;
out vec4 o_colour;
${AT}
void main() {
  float d = length(at()), r = 20.0 + 5.0 * u_pulse;
  float ring = clamp(0.5 - (abs(d - r) - 1.0) * u_scale, 0.0, 1.0);
  float a = max(ring, d < r ? 0.14 : 0.0);
  o_colour = vec4(v_colour.rgb * a, a);
}`;

/** The fragment program of a kind; `cars`: it turns from glyph to car as one comes near. */
export function glyphFragment(kind: number, cars: boolean): string {
  if (kind === KIND_SELECTED) return SELECTED;
  const solid = kind >= 3 && kind <= 5;
  const morph = cars && kind !== KIND_RIDER;
  return `${HEAD}
uniform float u_scale;
uniform float u_radius;    // of a disc, CSS pixels
uniform float u_car;       // 0 glyph … 1 car
uniform float u_length;    // of a car, CSS pixels
uniform float u_reach;
flat in vec2 v_ahead;
flat in vec4 v_colour;
out vec4 o_colour;
${AT}
uniform vec3 u_casing;
${SHAPE_TOOLS}
vec2 glyph(vec2 p, vec2 q, float r) { ${GLYPHS[kind]} }
${morph ? `vec2 car(vec2 q, float len) { ${CARS[kind]} }` : ""}
${morph && solid ? GLASS : ""}
void main() {
  vec3 colour = v_colour.rgb;
  vec2 p = at(), q = vec2(p.x * v_ahead.y - p.y * v_ahead.x, dot(p, v_ahead));
  vec2 shape = glyph(p, q, u_radius);
  ${morph ? "shape = mix(shape, car(q, u_length), u_car);" : ""}
  ${morph && solid ? "colour = mix(colour, u_casing, cover(glass(q, u_length)) * u_car * 0.6);" : ""}
  float fill = cover(shape.x);
  float casing = cover(shape.y - 1.2) * 0.86 * (1.0 - fill);
  o_colour = vec4(colour * fill + u_casing * casing, fill + casing) * v_colour.a;
}`;
}

/** A ribbon through the last places, tapering to nothing five seconds back: for where streets can be seen. */
export const TRAIL_VERTEX = `${MOTION}
uniform float u_width;     // at the taxi, CSS pixels
out vec4 v_colour;
void main() {
  int k = gl_VertexID >> 1;
  float side = float(gl_VertexID & 1) * 2.0 - 1.0;
  float u = progress();
  vec2 points[7];
  points[0] = mix(a_from, a_to, u);
  points[1] = a_trail12.xy;
  points[2] = a_trail12.zw;
  points[3] = a_trail34.xy;
  points[4] = a_trail34.zw;
  points[5] = a_trail56.xy;
  points[6] = mix(a_trail56.zw, a_trail56.xy, clamp(u, 0.0, 1.0));
  vec2 along = onScreen(points[max(k - 1, 0)]) - onScreen(points[min(k + 1, 6)]);
  float len = length(along);
  vec2 normal = len > 0.4 ? vec2(-along.y, along.x) / len : vec2(0.0);
  float left = 1.0 - float(k) / 6.0;
  vec4 p = clip(points[k]);
  p.xy += normal * side * sqrt(left) * u_width * u_scale / u_viewport * p.w;
  float a = (len > 0.4 ? 0.8 : 0.0) * left * shown();
  v_colour = vec4(mix(u_colours[int(a_kind.x + 0.5)], vec3(1.0), 0.15) * a, a);
  gl_Position = vec4(p.xy, 0.0, p.w);
}`;

export const TRAIL_FRAGMENT = `${HEAD}
in vec4 v_colour;
out vec4 o_colour;
void main() { o_colour = v_colour; }`;
