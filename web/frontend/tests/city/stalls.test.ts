// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { reduceStalls, type StallState } from "../../src/city/stalls";
import { stallWords } from "../../src/city/words";

const NONE = { missed: 0, repeated: 0 };

/** Ten updates a second for 30 s; positions and decisions stand still within their spans. */
function run(stills: { loc?: [number, number]; ev?: [number, number]; restartAt?: number }) {
  let state: StallState | null = null;
  let [loc, ev] = [0, 0];
  for (let at = 0; at < 30_000; at += 100) {
    const within = (span?: [number, number]) => span !== undefined && at >= span[0] && at < span[1];
    if (!within(stills.loc)) loc++;
    if (!within(stills.ev) && at % 500 === 0) ev++;
    state = reduceStalls(state, { loc, ev, at, tally: NONE, restart: at === stills.restartAt });
  }
  return state!.report;
}

describe("a stall", () => {
  it("is none while both come, or for shorter than three seconds", () => {
    expect(run({})).toBeNull();
    expect(run({ loc: [5_000, 7_500], ev: [9_000, 11_000] })).toBeNull();
  });

  it("of positions alone is the simulator's", () => {
    const report = run({ loc: [5_000, 11_000] })!;
    expect(report).toMatchObject({ decisionsMs: 0, ...NONE });
    expect(report.positionsMs).toBe(6_100);
    expect(stallWords(report)).toBe("No positions came for 6.1 s");
  });

  it("of decisions alone is the dispatcher's", () => {
    const report = run({ ev: [5_000, 9_000] })!;
    expect(report.positionsMs).toBe(0);
    expect(stallWords(report)).toBe("No decisions came for 4.5 s");
  });

  it("of both is the log's, and reported once when the last of them is over", () => {
    const report = run({ loc: [5_000, 13_000], ev: [5_000, 17_000] })!;
    expect(report).toMatchObject({ at: 17_000, positionsMs: 8_100, decisionsMs: 12_500 });
    expect(stallWords(report)).toContain("The log stood still for 8.1 s, decisions for 0:1");
  });

  it("that an outage of the page itself covers is not reported", () => {
    expect(run({ loc: [5_000, 11_000], ev: [5_000, 11_000], restartAt: 11_000 })).toBeNull();
  });

  it("tells what was missed meanwhile", () => {
    const at = (ms: number, loc: number, missed: number, state: StallState | null) =>
      reduceStalls(state, { loc, ev: loc, at: ms, tally: { missed, repeated: 0 }, restart: false });
    const state = at(5_100, 2, 3, at(100, 1, 1, at(0, 0, 1, null)));
    expect(state.report?.missed).toBe(2);
  });
});
