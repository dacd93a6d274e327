// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import {
  CHECKS_KEPT,
  type CheckEvent,
  type CheckState,
  NO_CHECKS,
  reduceChecks,
} from "../../src/city/checks";

const run = (...events: CheckEvent[]): CheckState => events.reduce(reduceChecks, NO_CHECKS);
const ready = (gateway: string, fresh = false): CheckEvent => ({ type: "ready", gateway, fresh });
const checked = (changes: Partial<CheckEvent & { type: "checked" }> = {}): CheckEvent => ({
  type: "checked",
  at: 100,
  cutMs: 5,
  bytes: 90,
  image: false,
  own: "a b",
  received: "a b",
  equal: true,
  ...changes,
});

describe("checks", () => {
  it("keep the last sixty, each under a number of its own", () => {
    const many = Array.from({ length: CHECKS_KEPT + 20 }, (_, i) => checked({ at: i }));
    const { checks, equal } = run(ready("g-1", true), ...many);
    expect(checks).toHaveLength(CHECKS_KEPT);
    expect(equal).toBe(CHECKS_KEPT + 20);
    expect(new Set(checks.map(({ key }) => key)).size).toBe(CHECKS_KEPT);
    expect(checks.at(-1)).toMatchObject({ at: CHECKS_KEPT + 19, outcome: "equal", gateway: "g-1" });
  });

  it("are equal only if the page said so, and keep both hashes", () => {
    const { checks, differed, own, received } = run(
      ready("g-1", true),
      checked({ image: true }),
      checked({ equal: false, received: "a c" }),
    );
    expect(checks.map(({ outcome }) => outcome)).toEqual(["equal", "differs"]);
    expect([differed, own, received]).toEqual([1, "a b", "a c"]);
  });

  it("have one gap for a loss, however often a connection is tried, and none before the first update", () => {
    const lost: CheckEvent = { type: "lost", at: 200 };
    expect(run(ready("g-1", true), lost).checks).toEqual([]);
    const { checks } = run(
      ready("g-1", true),
      checked({ image: true }),
      lost,
      lost,
      ready("g-1"),
      lost,
      checked(),
    );
    expect(checks.map(({ outcome, first }) => [outcome, first])).toEqual([
      ["equal", false],
      ["gap", false],
      ["equal", true],
    ]);
  });

  it("compare two gateways where one continues what the other one sent", () => {
    const before = run(
      ready("g-1", true),
      checked({ image: true }),
      ready("g-2"),
      checked({ cutMs: 7 }),
      checked(),
    );
    expect(before.comparison).toEqual({ from: "g-1", to: "g-2", cutMs: 7, equal: true });
    expect([before.compared, before.agreed]).toEqual([1, 1]);
    const after = reduceChecks(reduceChecks(before, ready("g-1")), checked({ equal: false }));
    expect(after.comparison).toMatchObject({ from: "g-2", to: "g-1", equal: false });
    expect([after.compared, after.agreed]).toEqual([2, 1]);
  });

  it("compare nothing where the other gateway sends the full state", () => {
    const { comparison, compared } = run(
      ready("g-1", true),
      checked({ image: true }),
      ready("g-2", true),
      checked({ image: true }),
      checked(),
    );
    expect([comparison, compared]).toEqual([null, 0]);
  });
});
