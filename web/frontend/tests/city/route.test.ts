// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { ahead, clockMs, far, type Point, type Route } from "../../src/city/route";

const L: Point[] = [
  [0, 0],
  [0, 1],
  [1, 1],
];

describe("a way along the streets", () => {
  it("begins where the taxi is on it", () => {
    expect(ahead(L, [0.01, 0.5])).toEqual([
      [0, 0.5],
      [0, 1],
      [1, 1],
    ]);
    expect(ahead(L, [0.4, 1.1])[0]?.[0]).toBeCloseTo(0.4);
    expect(ahead(L, [0.4, 1.1])).toHaveLength(2);
    expect(ahead(L, [9, 9])).toEqual([
      [1, 1],
      [1, 1],
    ]);
  });

  it("takes as much less time by the clock as the city is faster", () => {
    const route: Route = { start: 0, line: L, time_s: 600, length_m: 1, fare_cents: 1, speed: 10 };
    expect(clockMs(route)).toBe(60_000);
    expect(clockMs({ ...route, speed: 1 })).toBe(600_000);
  });

  it.each([
    [4, "0 m"],
    [412, "410 m"],
    [951, "1.0 km"],
    [12_340, "12.3 km"],
  ])("is %i m long in words", (metres, words) => {
    expect(far(metres)).toBe(words);
  });
});
