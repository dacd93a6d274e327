// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { LogClock } from "../../src/map/clock";
import { latOf, lngOf, mercatorX, mercatorY, metresPerWorld } from "../../src/map/mercator";
import { COAST_MS, type Fix, Motion } from "../../src/map/motion";
import { FULL_LOOK, type Look, pace } from "../../src/map/pace";
import { glowShare, sizesAt } from "../../src/map/sizes";

const LNG = -73.98;
const LAT = 40.75;
const M = 1 / metresPerWorld(LAT);

/** A fix so many metres east of a corner. */
function fix(eastM: number, atMs: number, more: Partial<Fix> = {}): Fix {
  const lng = lngOf(mercatorX(LNG) + eastM * M);
  return { lng, lat: LAT, atMs, heading: 0.25, moving: true, status: 5, ...more };
}

function eastM(motion: Motion, driver: number, showMs: number): number {
  return (motion.at(motion.slots.get(driver)!, showMs)[0] - mercatorX(LNG)) / M;
}

/** A taxi at 10 m/s east, its fixes a second apart, each known 150 ms after it was made. */
function driving(untilMs: number): Motion {
  const motion = new Motion(LNG, LAT);
  for (let at = 0; at <= untilMs; at += 1_000) motion.take(7, fix(at / 100, at), at + 150 - 1_100);
  return motion;
}

describe("a taxi on the map", () => {
  it("is at each fix at the time when it was made", () => {
    const motion = driving(5_000);
    expect(eastM(motion, 7, 5_000)).toBeCloseTo(50, 3);
  });

  it("glides: in no 16 ms does it move more than its speed allows", () => {
    const motion = new Motion(LNG, LAT);
    let before: number | null = null;
    let known = 0;
    for (let showMs = 0; showMs < 10_000; showMs += 16) {
      while (known <= showMs + 1_100 - 150) {
        motion.take(7, fix(known / 100, known), showMs);
        known += 1_000;
      }
      const now = eastM(motion, 7, showMs);
      if (before !== null && showMs > 1_500) expect(Math.abs(now - before)).toBeLessThan(0.4);
      before = now;
    }
  });

  it("rolls on when no fix comes, slows down, and stops after two seconds", () => {
    const motion = driving(5_000);
    expect(eastM(motion, 7, 5_500)).toBeGreaterThan(53);
    const stopped = eastM(motion, 7, 5_000 + 2 * COAST_MS);
    expect(stopped).toBeLessThan(50 + 12);
    expect(eastM(motion, 7, 60_000)).toBe(stopped);
  });

  it("does not roll on from a red light", () => {
    const motion = driving(4_000);
    motion.take(7, fix(45, 5_000, { moving: false }), 4_050);
    expect(eastM(motion, 7, 6_000)).toBeCloseTo(45, 3);
  });

  it("is set down, not driven, where it moved farther than any taxi can", () => {
    const motion = driving(3_000);
    motion.take(7, fix(400, 4_000), 3_050);
    expect(eastM(motion, 7, 3_060)).toBeCloseTo(400, 2);
  });

  it("glides as far as that where people live ten times as fast", () => {
    const motion = driving(3_000);
    motion.speed = 10;
    motion.take(7, fix(250, 4_000), 3_050);
    expect(eastM(motion, 7, 3_060)).toBeLessThan(50);
    expect(eastM(motion, 7, 4_000)).toBeCloseTo(250, 2);
  });

  it("reaches a late fix smoothly instead of jumping to it", () => {
    const motion = driving(3_000);
    motion.take(7, fix(45, 3_500), 6_000);
    const start = eastM(motion, 7, 6_000);
    expect(eastM(motion, 7, 6_150)).toBeGreaterThan(start);
    expect(eastM(motion, 7, 6_150)).toBeLessThan(45);
    expect(eastM(motion, 7, 6_300)).toBeCloseTo(45, 3);
  });

  it("keeps its way when only its status changes", () => {
    const motion = driving(3_000);
    const before = eastM(motion, 7, 2_500);
    motion.take(7, fix(30, 3_000, { status: 1 }), 2_500);
    expect(eastM(motion, 7, 2_500)).toBe(before);
    expect(motion.status[motion.slots.get(7)!]).toBe(1);
  });

  it("turns the short way round", () => {
    const motion = new Motion(LNG, LAT);
    motion.take(1, fix(0, 0, { heading: 0.95 }), -1_000);
    motion.take(1, fix(10, 1_000, { heading: 0.05 }), 0);
    const slot = motion.slots.get(1)!;
    expect(Math.abs(motion.toTurn[slot]! - motion.fromTurn[slot]!)).toBeCloseTo(0.1, 6);
  });

  it("leaves and makes room, and the others stay where they are", () => {
    const motion = new Motion(LNG, LAT);
    for (let driver = 1; driver <= 3_000; driver++) motion.take(driver, fix(driver / 10, 0), 0);
    const last = eastM(motion, 3_000, 0);
    motion.remove(1);
    motion.remove(999_999);
    expect(motion.n).toBe(2_999);
    expect(eastM(motion, 3_000, 0)).toBe(last);
    motion.retain(new Set([5, 3_000]));
    expect([...motion.slots.keys()].sort()).toEqual([3_000, 5]);
    expect(eastM(motion, 3_000, 0)).toBe(last);
  });
});

describe("after an outage", () => {
  /** Taxis that drove on at their own speeds while nothing came for so long: how fast each is drawn from then on. */
  const drawnAfter = (outageMs: number, speed = 1) => {
    const motion = new Motion(LNG, LAT);
    motion.speed = speed;
    const speeds = Array.from({ length: 400 }, (_, i) => ((i % 20) + 1) * speed);
    const take = (at: number, showMs: number) => {
      for (const [driver, mps] of speeds.entries()) motion.take(driver, fix((mps * at) / 1_000, at), showMs);
    };
    for (let at = 0; at <= 5_000; at += 1_000) take(at, at - 950);
    let fastest = 0;
    let faded = 0;
    const end = 5_000 + outageMs;
    let before = speeds.map((_, driver) => eastM(motion, driver, end - 950));
    for (let showMs = end - 950; showMs < end + 6_000; showMs += 16) {
      if ((showMs - end + 950) % 992 === 0) take(Math.round(showMs + 950), showMs);
      const now = speeds.map((_, driver) => eastM(motion, driver, showMs));
      for (const driver of speeds.keys()) {
        const mps = Math.abs(now[driver]! - before[driver]!) / 0.016;
        if (motion.opacity(driver, showMs) > 0.05) fastest = Math.max(fastest, mps / speed);
        else faded++;
      }
      before = now;
    }
    return { fastest, faded };
  };

  it.each([1_000, 2_500, 5_000, 15_000, 60_000])(
    "of %i ms no taxi that can be seen is faster than it can drive",
    (outageMs) => {
      expect(drawnAfter(outageMs).fastest).toBeLessThan(25.1);
    },
  );

  it("of 15 s most taxis fade in where they are now, instead of flying there", () => {
    expect(drawnAfter(15_000).faded).toBeGreaterThan(300);
    expect(drawnAfter(1_000).faded).toBe(0);
  });

  it("has bounds as many times as wide as the city is faster", () => {
    const { fastest, faded } = drawnAfter(1_000, 30);
    expect(fastest).toBeLessThan(25.1);
    expect(faded).toBe(0);
  });
});

describe("log time on display", () => {
  it("runs evenly though cuts arrive unevenly", () => {
    const clock = new LogClock();
    const delays = [20, 90, 35, 80, 20, 60];
    let before = 0;
    for (let i = 0; i < 60; i++) {
      const made = 1_000_000 + i * 100;
      const now = 500 + i * 100 + delays[i % delays.length]!;
      clock.heard(made, now);
      const shown = clock.at(now);
      if (i > 0) expect(shown).toBeGreaterThan(before);
      before = shown;
    }
    expect(Math.abs(clock.at(500 + 6_000) - (1_000_000 + 6_000 - 20))).toBeLessThan(40);
  });

  it("learns nothing from a beat that repeats the last time", () => {
    const clock = new LogClock();
    clock.heard(1_000_000, 0);
    for (let now = 1_000; now < 9_000; now += 1_000) clock.heard(1_000_000, now);
    expect(clock.at(9_000)).toBeCloseTo(1_009_000, 0);
  });

  it("is set again after a long sleep", () => {
    const clock = new LogClock();
    clock.heard(1_000_000, 0);
    clock.at(10);
    clock.heard(1_600_000, 100);
    expect(clock.at(110)).toBeCloseTo(1_600_010, 0);
  });
});

describe("Web Mercator", () => {
  it("goes there and back", () => {
    expect(lngOf(mercatorX(LNG))).toBeCloseTo(LNG, 9);
    expect(latOf(mercatorY(LAT))).toBeCloseTo(LAT, 9);
  });
});

describe("sizes", () => {
  it("grow with zoom, and cars take over from glyphs at street zoom", () => {
    const zooms = [10, 11, 12, 13, 14, 15, 16, 18, 20];
    const radii = zooms.map((zoom) => sizesAt(zoom).radius);
    expect(radii).toEqual([...radii].sort((a, b) => a - b));
    expect([13, 16].map((zoom) => sizesAt(zoom).car)).toEqual([0, 1]);
    expect([13, 16].map((zoom) => sizesAt(zoom).glow > 0)).toEqual([true, false]);
  });
});

describe("ornament", () => {
  const run = (look: Look, fps: number, seconds: number): Look => {
    let now = look;
    for (let ms = 1; ms < seconds * 1_000; ms += 1_000 / fps) now = pace(now, look.lastMs + ms);
    return now;
  };

  it("stays while frames come", () => {
    expect(run(FULL_LOOK, 60, 20).level).toBe(0);
  });

  it("goes step by step where they don't, and does not come back", () => {
    expect(run(FULL_LOOK, 18, 3).level).toBe(1);
    expect(run(FULL_LOOK, 18, 20).level).toBe(1);
    expect(run(FULL_LOOK, 8, 20).level).toBe(2);
    expect(run(run(FULL_LOOK, 8, 20), 60, 10).level).toBe(2);
  });

  it("stays if it was asked for, and a hidden page is no slow one", () => {
    expect(run({ ...FULL_LOOK, fixed: true }, 5, 20).level).toBe(0);
    expect(run(FULL_LOOK, 0.5, 60).level).toBe(0);
  });
});

describe("the glow", () => {
  it("is fainter where taxis crowd, so that its sum stays the same", () => {
    const area = 1600 * 1000;
    expect(glowShare(100, 13, area)).toBe(1);
    const [some, many] = [2_000, 10_000].map((n) => n * glowShare(n, 13, area));
    expect(many).toBeCloseTo(some!);
  });
});
