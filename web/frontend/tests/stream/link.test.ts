// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { BACKOFF_MS_MAX, backoffMs, type Link, type LinkEvent, step } from "../../src/stream/link";

const closed = (code: number, reason = ""): LinkEvent => ({ type: "closed", code, reason });
const broken = (forget = false): LinkEvent => ({ type: "broken", forget });
const live: Link = { state: "live", tries: 0 };

function run(from: Link, ...events: LinkEvent[]): [Link, string[]] {
  let link = from;
  const done: string[] = [];
  for (const event of events) {
    const [next, effects] = step(link, event, 0.5);
    link = next;
    done.push(...effects.map((effect) => (effect.do === "retry" ? `retry ${effect.inMs}` : effect.do)));
  }
  return [link, done];
}

describe("the line to a gateway", () => {
  it("opens, says hello, and is live when the gateway is ready", () => {
    const events: LinkEvent[] = [
      { type: "retry" },
      { type: "opened" },
      { type: "ready" },
      { type: "verified" },
    ];
    expect(run({ state: "waiting", tries: 0 }, ...events)).toEqual([live, ["open", "hello"]]);
  });

  it("comes back within 100 ms after a loss, and only then more slowly", () => {
    expect(run(live, closed(1006))).toEqual([{ state: "waiting", tries: 0 }, ["retry 50"]]);
    const lost: LinkEvent[] = [
      closed(1006),
      { type: "retry" },
      closed(1006),
      { type: "retry" },
      closed(1012),
    ];
    expect(run(live, ...lost)[1]).toEqual(["retry 50", "open", "retry 100", "open", "retry 200"]);
  });

  it("drops a silent line and keeps its place", () => {
    expect(run(live, broken())).toEqual([{ state: "waiting", tries: 0 }, ["close", "retry 50"]]);
  });

  it("asks for a fresh picture when its own is wrong", () => {
    expect(run(live, broken(true))[1]).toEqual(["close", "forget", "retry 50"]);
    expect(run(live, closed(4010))[1]).toEqual(["forget", "retry 50"]);
  });

  it("moves at once when the gateway drains", () => {
    expect(run(live, { type: "drain" })).toEqual([{ state: "connecting", tries: 1 }, ["close", "open"]]);
  });

  it("waits as long as a gateway says that has not caught up", () => {
    expect(run({ state: "greeting", tries: 2 }, closed(4001, "1500"))[1]).toEqual(["retry 1500"]);
    expect(run({ state: "greeting", tries: 2 }, closed(4001, "soon"))[1]).toEqual(["retry 200"]);
  });

  it("stays away when it is told so", () => {
    for (const code of [4400, 4404, 4426, 4499])
      expect(run(live, closed(code))).toEqual([{ state: "refused", tries: 0 }, []]);
    expect(run({ state: "refused", tries: 0 }, { type: "retry" })[1]).toEqual([]);
  });

  it("never opens a second line while one stands", () => {
    for (const state of ["connecting", "greeting", "live"] as const) {
      expect(run({ state, tries: 0 }, { type: "retry" })).toEqual([{ state, tries: 0 }, []]);
    }
  });

  it("spreads its tries and never waits longer than 30 s", () => {
    expect([0, 1, 2, 3].map((tries) => backoffMs(tries, 0.999))).toEqual([99.9, 199.8, 399.6, 799.2]);
    expect(backoffMs(60, 0.999)).toBeLessThan(BACKOFF_MS_MAX);
    expect(backoffMs(60, 0)).toBe(0);
  });
});
