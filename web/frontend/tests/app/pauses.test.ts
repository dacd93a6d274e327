// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { Pauses } from "../../src/app/pauses";

function pass(pauses: Pauses, ticks: number, at: number): void {
  for (let i = 0; i < ticks; i++) pauses.tick();
  pauses.verified(at);
}

describe("pauses", () => {
  it("are counted in the page's own ticks, so that a page that stood still was not without news", () => {
    const pauses = new Pauses(100);
    pass(pauses, 1, 0);
    pass(pauses, 1, 9_000);
    expect(pauses.longestMs(0)).toBeLessThanOrEqual(100);
  });

  it("tell the longest one that ended after a time, and the one that goes on", () => {
    const pauses = new Pauses(100);
    pass(pauses, 30, 3_000);
    pass(pauses, 5, 3_500);
    expect([pauses.longestMs(0), pauses.longestMs(3_100), pauses.longestMs(4_000)]).toEqual([3_000, 500, 0]);
    for (let i = 0; i < 40; i++) pauses.tick();
    expect(pauses.longestMs(4_000)).toBe(4_000);
  });
});
