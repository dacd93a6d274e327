// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { type Deed, kindOf, NO_RECOVERY, type RecoveryEvent, reduceRecovery } from "../../src/city/recovery";
import { addKill, addRecovery, NO_SCORE, readScore } from "../../src/city/score";

const run = (...events: RecoveryEvent[]) => events.reduce(reduceRecovery, NO_RECOVERY);
const begun = (part: string, deed: Deed = "kill"): RecoveryEvent => ({
  type: "begun",
  part,
  deed,
  pid: 7,
  at: 1_000,
  isOwn: false,
});
const parts = (name: string, pid: number, state: string, at: number, log = 10): RecoveryEvent => ({
  type: "parts",
  parts: [{ name, pid, state, restarts: 1 }],
  at,
  loc: log,
  ev: log,
});
const verified = (at: number, loc = 10, ev = 10): RecoveryEvent => ({ type: "verified", at, loc, ev });

describe("a recovery", () => {
  it("after a kill ends with another process that is ready, and an update after that", () => {
    const events = [
      begun("gateway-2"),
      parts("gateway-2", 7, "ready", 1_100),
      verified(1_150),
      parts("gateway-2", 8, "starting", 1_300),
      verified(1_350),
      parts("gateway-2", 8, "ready", 1_600),
    ];
    expect(run(...events).last).toEqual({});
    const { last, going, done } = run(...events, verified(1_700));
    expect([last, going]).toEqual([{ "kill gateway-2": 700 }, []]);
    expect(done).toEqual([{ part: "gateway-2", deed: "kill", isOwn: false, tookMs: 700 }]);
    expect(run(...events, verified(1_700), verified(1_800)).done).toEqual([]);
  });

  it.each([
    ["simulator", verified(1_700, 10, 11), verified(1_900, 11, 11)],
    ["dispatcher-1", verified(1_700, 11, 10), verified(1_900, 11, 11)],
    ["kafka", verified(1_700, 11, 10), verified(1_900, 11, 11)],
  ])("of %s waits until what it writes moves on", (part, early, late) => {
    const events = [begun(part), parts(part, 8, "ready", 1_600), early];
    expect(run(...events).last).toEqual({});
    expect(run(...events, late).last).toEqual({ [`kill ${part}`]: 900 });
  });

  it("after a freeze ends with the same process only after it was seen frozen, or woken here", () => {
    const early = [begun("kafka", "freeze"), parts("kafka", 7, "ready", 1_100), verified(1_150, 11, 11)];
    expect(run(...early).last).toEqual({});
    const woken: RecoveryEvent = { type: "woken", part: "kafka" };
    const after = [parts("kafka", 7, "ready", 1_500), verified(1_600, 11, 11)];
    expect(run(...early, ...after).last).toEqual({});
    expect(run(...early, woken, ...after).last).toEqual({ "freeze kafka": 600 });
    expect(run(...early, parts("kafka", 7, "frozen", 1_300), ...after).last).toEqual({ "freeze kafka": 600 });
    expect(run(...early, parts("kafka", 8, "ready", 1_500), verified(1_600, 11, 11)).last).toEqual({
      "freeze kafka": 600,
    });
  });

  it("learns from the answer which process it was, is forgotten if refused, and given up after three minutes", () => {
    const answered: RecoveryEvent = { type: "answered", part: "kafka", pid: 8 };
    const events = [begun("kafka"), answered, parts("kafka", 8, "ready", 1_100), verified(1_150, 11, 11)];
    expect(run(...events).last).toEqual({});
    expect(run(begun("kafka"), { type: "refused", part: "kafka", deed: "kill" }).going).toEqual([]);
    expect(run(begun("kafka"), parts("kafka", 8, "starting", 182_000)).going).toEqual([]);
  });

  it("is of a kind of part", () => {
    const names = ["gateway-2", "dispatcher-1", "simulator", "simulator-helsinki", "kafka"];
    expect(names.map(kindOf)).toEqual(["gateway", "dispatcher", "simulator", "simulator", "kafka"]);
  });
});

describe("the score", () => {
  const report = { tookMs: 180, missed: 0, repeated: 0, fresh: false };

  it("adds kills up, and keeps the shortest recoveries", () => {
    type Report = Parameters<typeof addKill>[1];
    const kills = [report, { ...report, tookMs: 900, missed: 2, fresh: true }] as Report[];
    const score = kills.reduce(addKill, NO_SCORE);
    expect(score).toMatchObject({ gateways: 2, longestGapMs: 900, shortestGapMs: 180, missed: 2, fresh: 1 });
    const more = addRecovery(addRecovery(score, "kill kafka", 4_300, false), "kill kafka", 5_100, false);
    expect([more.best, more.others]).toEqual([{ "kill kafka": 4_300 }, 2]);
    expect(addRecovery(score, "kill gateway", 700, true).others).toBe(0);
  });

  it("is read as it was kept, and what cannot be read counts as none", () => {
    const score = { ...NO_SCORE, gateways: 5, shortestGapMs: 130, best: { "kill kafka": 4_300 } };
    expect(readScore(JSON.stringify(score))).toEqual(score);
    for (const text of [null, "", "7", "{", "null", '{"gateways":-1,"best":{"x":"y"},"missed":"<b>"}'])
      expect(readScore(text)).toEqual(NO_SCORE);
  });
});
