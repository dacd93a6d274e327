// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { type FailoverEvent, NO_FAILOVER, reduceFailover, stretches } from "../../src/city/failover";

const run = (...events: FailoverEvent[]) => events.reduce(reduceFailover, NO_FAILOVER);
const SERVED: FailoverEvent[] = [
  { type: "ready", at: 10, gateway: "g-1", fresh: true },
  { type: "verified", at: 20, cutMs: 1, bytes: 9_000 },
];
const verified = (at: number): FailoverEvent => ({ type: "verified", at, cutMs: 7, bytes: 3_100 });
const kinds = (steps: readonly { kind: string; at: number }[]) => steps.map(({ kind, at }) => [kind, at]);

describe("a failover", () => {
  it("lasts from the last update of the lost gateway to the first verified one of the next", () => {
    const { steps, ongoing } = run(
      ...SERVED,
      { type: "lost", at: 100 },
      { type: "opened", at: 160 },
      { type: "ready", at: 180, gateway: "g-2", fresh: false },
      verified(200),
      verified(300),
    );
    expect(ongoing).toEqual([]);
    expect(steps).toEqual([
      { kind: "last", at: 20, gateway: "g-1", cutMs: 1, bytes: 0 },
      { kind: "lost", at: 100, gateway: "", cutMs: 0, bytes: 0 },
      { kind: "opened", at: 160, gateway: "", cutMs: 0, bytes: 0 },
      { kind: "resumed", at: 180, gateway: "g-2", cutMs: 0, bytes: 0 },
      { kind: "equal", at: 200, gateway: "g-2", cutMs: 7, bytes: 3_100 },
    ]);
    expect(stretches(steps)).toEqual([
      { name: "notice", ms: 80 },
      { name: "connect", ms: 60 },
      { name: "resume", ms: 20 },
      { name: "update", ms: 20 },
    ]);
  });

  it("names the gateway that served last, also if another one was ready and lost before it served", () => {
    const { steps, ongoing } = run(
      ...SERVED,
      { type: "lost", at: 100 },
      { type: "opened", at: 110 },
      { type: "ready", at: 120, gateway: "g-2", fresh: false },
      { type: "lost", at: 130 },
      { type: "opened", at: 140 },
      { type: "ready", at: 150, gateway: "g-3", fresh: true },
      verified(160),
    );
    expect(ongoing).toEqual([]);
    expect(kinds(steps)).toEqual([
      ["last", 20],
      ["lost", 100],
      ["opened", 110],
      ["resumed", 120],
      ["failed", 130],
      ["opened", 140],
      ["fresh", 150],
      ["equal", 160],
    ]);
    expect(steps[0]?.gateway).toBe("g-1");
  });

  it("lists two attempts that failed, and counts the others", () => {
    const tries = Array.from({ length: 9 }, (_, i): FailoverEvent[] => [
      { type: "opened", at: 200 + i },
      { type: "lost", at: 300 + i },
    ]).flat();
    const { ongoing, failed } = run(
      ...SERVED,
      { type: "lost", at: 100 },
      { type: "lost", at: 101 },
      ...tries,
    );
    expect(failed).toBe(9);
    expect(kinds(ongoing)).toEqual([
      ["last", 20],
      ["lost", 100],
      ["opened", 200],
      ["failed", 300],
      ["opened", 201],
      ["failed", 301],
    ]);
  });

  it("is none if a silent gateway speaks again, and one if another one takes over", () => {
    const silent: FailoverEvent[] = [...SERVED, { type: "silent", at: 1_600 }, { type: "opened", at: 1_650 }];
    expect(run(...silent, verified(1_660)).steps).toEqual([]);
    const { steps } = run(
      ...silent,
      { type: "ready", at: 1_670, gateway: "g-2", fresh: false },
      verified(1_700),
    );
    expect(kinds(steps).map(([kind]) => kind)).toEqual(["last", "silent", "opened", "resumed", "equal"]);
    expect(stretches(steps)[0]).toEqual({ name: "notice", ms: 1_580 });
  });

  it("is none if the page itself was away, before its first update, or in a drain", () => {
    expect(run(...SERVED, { type: "lost", at: 100 }, { type: "away" }, verified(120)).steps).toEqual([]);
    expect(run({ type: "lost", at: 100 }, ...SERVED).steps).toEqual([]);
    const drained: FailoverEvent[] = [
      { type: "opened", at: 50 },
      { type: "ready", at: 60, gateway: "g-2", fresh: false },
    ];
    expect(run(...SERVED, ...drained, verified(70)).steps).toEqual([]);
  });
});
