// SPDX-License-Identifier: Apache-2.0
/** Draws taxis and waiting riders on a canvas of their own. Three passes a frame, with one draw for each kind of glyph in each;
 * an upload with a new update, a moved camera or a changed selection. */

import { FLOATS, type Instances, type Range } from "./instances";
import { TRAIL } from "./motion";
import {
  DAY,
  GLOW_FRAGMENT,
  GLOW_VERTEX,
  GLYPH_VERTEX,
  glyphFragment,
  KIND_SELECTED,
  NIGHT,
  type Palette,
  rgb,
  TRAIL_FRAGMENT,
  TRAIL_VERTEX,
} from "./shaders";
import { glowShare, type Sizes, sizesAt } from "./sizes";

/** What a frame is drawn with. */
export interface View {
  /** World coordinates → clip space, column-major, already moved to the motion's origin. */
  readonly matrix: Float32Array;
  readonly zoom: number;
  /** Device pixels per CSS pixel. */
  readonly scale: number;
  /** Milliseconds since the last upload. */
  readonly sinceUploadMs: number;
  readonly dim: number;
  /** 1 … 0 while a selection is new. */
  readonly pulse: number;
  /** Without glow where drawing is slow. */
  readonly glows: boolean;
  /** By day nothing glows. */
  readonly isDay: boolean;
}

/** Floats of each attribute, in buffer order. */
const ATTRIBUTES = [2, 2, 2, 2, 4, 4, 4, 4];
/** Corners of a trail: two for the taxi and for each place behind it. */
const RIBBON = 2 * (TRAIL + 1);
const RING_REACH_PX = 28;
const CASING_PX = 2;
const GLOW_RADII = 3;
/** How far a kind's glyph reaches, in radii of a disc. */
const EXTENT = [1, 1.02, 1.07, 1.36, 1.28, 1, 0.96, 1.36];
const OFFLINE = 0;
const LOST = 6;

export class TaxiLayer {
  private readonly gl: WebGL2RenderingContext;
  private readonly buffer: WebGLBuffer;
  private readonly points: WebGLVertexArrayObject;
  private readonly ribbons: WebGLVertexArrayObject;
  private readonly glow: Program;
  private readonly trail: Program;
  private readonly glyphs = new Map<string, Program>();
  private ranges: readonly Range[] = [];

  /** Throws where the browser has no WebGL 2. */
  constructor(private readonly canvas: HTMLCanvasElement) {
    const gl = canvas.getContext("webgl2", { antialias: false, depth: false, stencil: false, alpha: true });
    if (!gl) throw new Error("no WebGL 2");
    this.gl = gl;
    this.glow = new Program(gl, GLOW_VERTEX, GLOW_FRAGMENT);
    this.trail = new Program(gl, TRAIL_VERTEX, TRAIL_FRAGMENT);
    this.buffer = gl.createBuffer();
    this.points = this.describe(0);
    this.ribbons = this.describe(1);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  }

  upload(instances: Instances): void {
    const { gl } = this;
    this.ranges = instances.ranges;
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffer);
    gl.bufferData(gl.ARRAY_BUFFER, instances.data, gl.STREAM_DRAW, 0, instances.n * FLOATS);
  }

  draw(view: View): void {
    const { gl, canvas } = this;
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    const sizes = sizesAt(view.zoom);
    const lively = this.ranges.filter(({ kind }) => kind !== OFFLINE && kind < LOST);
    if (sizes.ribbons) this.drawRibbons(view, sizes, lively);
    gl.bindVertexArray(this.points);
    if (view.glows && sizes.glow > 0) {
      const radius = sizes.radius * GLOW_RADII;
      const area = (canvas.width * canvas.height) / view.scale ** 2;
      const n = lively.reduce((sum, range) => sum + range.n, 0);
      const glow = view.isDay ? 0 : sizes.glow * glowShare(n, radius, area);
      this.prepare(this.glow, view, { ...sizes, glow }, Math.max(radius, sizes.trailLongest), radius);
      for (const range of lively) gl.drawArrays(gl.POINTS, range.start, range.n);
    }
    for (const range of this.ranges) {
      this.prepare(this.glyph(range.kind, sizes.car > 0), view, sizes, reachOf(range.kind, sizes));
      gl.drawArrays(gl.POINTS, range.start, range.n);
    }
  }

  private drawRibbons(view: View, sizes: Sizes, lively: readonly Range[]): void {
    const { gl } = this;
    gl.bindVertexArray(this.ribbons);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffer);
    this.prepare(this.trail, view, sizes, 0);
    for (const { start, n } of lively) {
      this.point(start);
      gl.drawArraysInstanced(gl.TRIANGLE_STRIP, 0, RIBBON, n);
    }
  }

  private glyph(kind: number, cars: boolean): Program {
    const key = `${kind}${cars ? " car" : ""}`;
    const made = this.glyphs.get(key) ?? new Program(this.gl, GLYPH_VERTEX, glyphFragment(kind, cars));
    this.glyphs.set(key, made);
    return made;
  }

  private prepare(program: Program, view: View, sizes: Sizes, reach: number, glowRadius = reach): void {
    const { canvas } = this;
    program.use({
      u_now: view.sinceUploadMs,
      u_scale: view.scale,
      u_dim: view.dim,
      u_pulse: view.pulse,
      u_reach: reach,
      u_radius: sizes.radius,
      u_car: sizes.car,
      u_length: sizes.length,
      u_glow: sizes.glow,
      u_glow_radius: glowRadius,
      u_width: sizes.trailWidth,
      u_stretch: sizes.stretch,
      u_longest: sizes.trailLongest,
    });
    program.place(view.matrix, canvas.width, canvas.height);
    program.paint(view.isDay ? DAY : NIGHT);
  }

  /** How the buffer is read: once a vertex (divisor 0) or once an instance. */
  private describe(divisor: number): WebGLVertexArrayObject {
    const { gl } = this;
    const array = gl.createVertexArray();
    gl.bindVertexArray(array);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffer);
    ATTRIBUTES.forEach((_, location) => {
      gl.enableVertexAttribArray(location);
      gl.vertexAttribDivisor(location, divisor);
    });
    this.point(0);
    return array;
  }

  /** Let the attributes begin at a glyph of the buffer. */
  private point(start: number): void {
    const { gl } = this;
    let at = start * FLOATS;
    ATTRIBUTES.forEach((floats, location) => {
      gl.vertexAttribPointer(location, floats, gl.FLOAT, false, FLOATS * 4, at * 4);
      at += floats;
    });
  }
}

/** Half the square that a kind needs: no larger than that, for every pixel is paid for. */
function reachOf(kind: number, sizes: Sizes): number {
  if (kind === KIND_SELECTED) return RING_REACH_PX;
  return Math.max(sizes.radius * (EXTENT[kind] ?? 1), sizes.carReach) + CASING_PX;
}

class Program {
  private readonly program: WebGLProgram;
  private painted: Palette | null = null;
  private readonly uniforms = new Map<string, WebGLUniformLocation | null>();

  constructor(
    private readonly gl: WebGL2RenderingContext,
    vertex: string,
    fragment: string,
  ) {
    this.program = gl.createProgram();
    gl.attachShader(this.program, this.compile(gl.VERTEX_SHADER, vertex));
    gl.attachShader(this.program, this.compile(gl.FRAGMENT_SHADER, fragment));
    gl.linkProgram(this.program);
    if (!gl.getProgramParameter(this.program, gl.LINK_STATUS) && !gl.isContextLost()) {
      throw new Error(`shader: ${gl.getProgramInfoLog(this.program)}`);
    }
  }

  use(values: Record<string, number>): void {
    this.gl.useProgram(this.program);
    for (const [name, value] of Object.entries(values)) this.gl.uniform1f(this.find(name), value);
  }

  place(matrix: Float32Array, width: number, height: number): void {
    this.gl.uniformMatrix4fv(this.find("u_matrix"), false, matrix);
    this.gl.uniform2f(this.find("u_viewport"), width, height);
  }

  /** Colours are set once for each palette. */
  paint(palette: Palette): void {
    if (palette === this.painted) return;
    this.painted = palette;
    this.gl.uniform3fv(this.find("u_colours"), palette.kinds.flatMap(rgb));
    this.gl.uniform3fv(this.find("u_casing"), rgb(palette.casing));
  }

  private find(name: string): WebGLUniformLocation | null {
    const known = this.uniforms.get(name);
    if (known !== undefined) return known;
    const found = this.gl.getUniformLocation(this.program, name);
    this.uniforms.set(name, found);
    return found;
  }

  private compile(kind: number, source: string): WebGLShader {
    const shader = this.gl.createShader(kind)!;
    this.gl.shaderSource(shader, source);
    this.gl.compileShader(shader);
    if (!this.gl.getShaderParameter(shader, this.gl.COMPILE_STATUS) && !this.gl.isContextLost()) {
      throw new Error(`shader: ${this.gl.getShaderInfoLog(shader)}`);
    }
    return shader;
  }
}
