// SPDX-License-Identifier: Apache-2.0
/** The graphics card moves taxis as `motion.ts` does: the shader's own text is run here and compared with it. */

import { describe, expect, it } from "vitest";
import { FLOATS } from "../../src/map/instances";
import { COAST_MS, COAST_STEPS, Motion, TRAIL } from "../../src/map/motion";
import { GLOW_VERTEX, GLYPH_VERTEX } from "../../src/map/shaders";

type Progress = (from: number, to: number, moving: number, now: number) => number;

/** `float progress()` of a shader as a JavaScript function. Its syntax is JavaScript's but for types. */
function progressOf(shader: string): Progress {
  const body = /float progress\(\) \{\n([\s\S]*?)\n\}/.exec(shader)?.[1];
  if (body === undefined) throw new Error("the shader has no function progress");
  const script = body.replaceAll(/\bfloat (\w+) =/g, "const $1 =").replaceAll(/\b(min|max)\(/g, "Math.$1(");
  return new Function(
    "from",
    "to",
    "moving",
    "u_now",
    `const a_time = { x: from, y: to };
    const a_kind = { y: moving };
    ${script}`,
  ) as Progress;
}

/** A taxi that runs from one time to another. */
function running(from: number, to: number, moving: number): Motion {
  const motion = new Motion(-73.98, 40.75);
  motion.take(7, { lng: -73.98, lat: 40.75, atMs: 0, heading: 0, moving: false, status: 1 }, 0);
  motion.fromMs[0] = from;
  motion.toMs[0] = to;
  motion.moving[0] = moving;
  return motion;
}

describe.each([
  ["glyphs", GLYPH_VERTEX],
  ["glow", GLOW_VERTEX],
])("the shader of %s", (_, shader) => {
  it("runs a taxi along its line as motion does, before, within and after it", () => {
    const progress = progressOf(shader);
    const seen = new Set<string>();
    for (const [from, to] of [
      [0, 1_000],
      [500, 800],
      [900, 900],
      [1_000, 400],
    ] as const) {
      for (const moving of [0, 1]) {
        const motion = running(from, to, moving);
        for (let now = -500; now <= to + COAST_MS * (COAST_STEPS + 1); now += 37) {
          const u = progress(from, to, moving, now);
          expect(u, `${from} to ${to}, ${moving}, at ${now}`).toBeCloseTo(motion.progress(0, now), 9);
          seen.add(u < 0 ? "before" : u < 1 ? "within" : u === 1 ? "there" : "coasting");
        }
      }
    }
    expect([...seen].sort()).toEqual(["coasting", "there", "within"]);
  });

  it("reads as many numbers of each taxi as are uploaded", () => {
    const sizes = [...shader.matchAll(/layout\(location = \d+\) in vec(\d) a_/g)].map(([, n]) => Number(n));
    expect(sizes.reduce((sum, n) => sum + n, 0)).toBe(FLOATS);
  });

  it("reads every point of the trail", () => {
    expect(shader.match(/\bin vec4 a_trail/g)).toHaveLength((TRAIL * 2) / 4);
  });
});
