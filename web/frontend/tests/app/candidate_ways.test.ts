// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { CandidateWays } from "../../src/app/candidate_ways";
import type { Explanation, SeenCandidate } from "../../src/city/explanation";
import type { Point, Route } from "../../src/city/route";
import { FakePage } from "./page";

const PICKUP = [-73.98, 40.75] as const;
const [NEAR, FAR] = [[-73.981, 40.751] as const, [-73.97, 40.76] as const];
const WHY = {
  type: "RideOffered",
  batch: 18,
  at_ms: 5,
  driver: 7,
  attempt: 1,
  eta_s: 95,
  candidates: [
    { driver: 8, eta_s: 50, cost: 60 },
    { driver: 7, eta_s: 95, cost: 90 },
    { driver: 9, eta_s: 99, cost: 99 },
  ],
  runner_up: 8,
} satisfies Explanation;
const SEEN: SeenCandidate[] = [
  { driver: 7, place: NEAR, ride: "r-1" },
  { driver: 8, place: FAR, ride: null },
  { driver: 9, place: null, ride: null },
];

function shown() {
  const page = new FakePage();
  const asked: unknown[] = [];
  const route = async (starts: readonly string[], end: Point): Promise<Route | string> => {
    asked.push([starts, end]);
    const line = [starts[0]!.split(",").map(Number) as unknown as Point, end];
    return starts[0] === FAR.join(",") ? "no way" : ({ line } as unknown as Route);
  };
  return { page, asked, ways: new CandidateWays(page.store, page.map, route) };
}

describe("candidates on the map", () => {
  it("are where each was, numbered as in the table, with the way that it would have driven", async () => {
    const { page, asked, ways } = shown();
    const showing = ways.show(WHY, SEEN, PICKUP);
    expect(page.map.badges.map(({ driver, number, line }) => [driver, number, line])).toEqual([
      [7, 1, null],
      [8, 2, null],
    ]);
    await showing;
    expect(asked).toEqual([
      [["-73.981,40.751"], PICKUP],
      [["-73.97,40.76"], PICKUP],
    ]);
    expect(page.map.badges).toMatchObject([
      { number: 1, words: "1:35 · chosen", isChosen: true, line: [NEAR, PICKUP] },
      { number: 2, words: "0:50 · runner-up", isChosen: false, line: null },
    ]);
    expect(page.store.candidatesOnMap.value).toBe(2);
    await ways.show({ ...WHY }, SEEN, PICKUP);
    expect(asked).toHaveLength(2);
  });

  it("are marked together with their rows, and all can be seen at once", async () => {
    const { page, ways } = shown();
    await ways.show(WHY, SEEN, PICKUP);
    ways.highlight(8);
    expect([page.store.highlighted.value, page.map.highlighted]).toEqual([8, 8]);
    ways.fit();
    expect(page.map.asked()).toEqual([["fit", PICKUP, NEAR, FAR]]);
  });

  it("go with the panel, also when their ways come later", async () => {
    const { page, ways } = shown();
    const showing = ways.show(WHY, SEEN, PICKUP);
    ways.highlight(7);
    ways.hide();
    await showing;
    expect([page.map.badges, page.map.highlighted, page.store.candidatesOnMap.value]).toEqual([[], null, 0]);
    expect(page.store.highlighted.value).toBeNull();
  });

  it("have none of the ways of an earlier decision", async () => {
    const { page, ways } = shown();
    const before = ways.show(WHY, SEEN, PICKUP);
    const now = ways.show({ ...WHY, attempt: 2 }, SEEN.slice(1), PICKUP);
    await Promise.all([before, now]);
    expect(page.map.badges.map(({ driver, line }) => [driver, line])).toEqual([[8, null]]);
  });

  it("need no map", async () => {
    const page = new FakePage();
    const ways = new CandidateWays(page.store, null, async () => "no way");
    await ways.show(WHY, SEEN, PICKUP);
    expect(page.store.candidatesOnMap.value).toBe(0);
  });
});
