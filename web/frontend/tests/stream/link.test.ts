// SPDX-License-Identifier: Apache-2.0
/** The table by itself; what a client makes of it is checked by the fault scripts. */

import { describe, expect, it } from "vitest";
import { atRest, backoffMs, type Link, type LinkEvent, type LinkState, step } from "../../src/stream/link";
import { BACKOFF_MS_MAX, TRANSITIONS } from "../../src/stream/protocol";

const closed = (code: number, reason = ""): LinkEvent => ({ type: "closed", code, reason });
const at = (state: LinkState): Link => ({ ...atRest(false), state });

const STATES = Object.keys(TRANSITIONS) as LinkState[];
const EVENTS: LinkEvent[] = [
  { type: "retry" },
  { type: "token", isNew: true },
  { type: "token", isNew: false },
  { type: "no_token" },
  { type: "opened" },
  { type: "ready" },
  { type: "verified" },
  { type: "drain" },
  { type: "pending" },
  { type: "quiet" },
  { type: "broken", forget: true, why: "gap" },
  { type: "broken", forget: false, why: "silent" },
  { type: "wrong_image" },
  { type: "next_opened" },
  { type: "next_ready" },
  { type: "next_broken" },
  { type: "give_up" },
  { type: "diagnosed", problem: { kind: "unreachable", text: "nothing answers" } },
  ...[4001, 4002, 4008, 4029, 4401, 4404, 1006].map((code) => closed(code)),
  ...[4001, 4401, 4404, 1006].map((code): LinkEvent => ({ type: "next_closed", code, reason: "" })),
];

function deeds(from: Link, event: LinkEvent): [LinkState, string[]] {
  const [{ state }, effects] = step(from, event, 0.5);
  return [state, effects.map((effect) => (effect.type === "retry" ? `retry ${effect.inMs}` : effect.type))];
}

/** How many lines there are in a state, and what each effect adds to or takes from them. */
const LINES: Record<LinkState, number> = {
  waiting: 0,
  asking: 0,
  connecting: 1,
  greeting: 1,
  live: 1,
  handover_waiting: 1,
  handover_connecting: 2,
  handover_greeting: 2,
  ending: 1,
  refused: 0,
  unreachable: 0,
  stopped: 0,
};

describe("the line to a gateway", () => {
  it("has as many sockets in each state as its effects opened and closed, whatever happens", () => {
    for (const state of STATES) {
      for (const event of EVENTS) {
        const [next, effects] = step(at(state), event, 0.5);
        // A closed socket is gone by itself; to close it again does nothing.
        let present = ["waiting", "asking", "refused", "unreachable", "stopped"].includes(state) ? 0 : 1;
        let other = LINES[state] - present;
        if (event.type === "closed" && state !== next.state) present = 0;
        if (event.type === "next_closed") other = 0;
        for (const effect of effects) {
          if (effect.type === "open") present++;
          else if (effect.type === "open_next") other++;
          else if (effect.type === "close") present = 0;
          else if (effect.type === "close_next") other = 0;
          else if (effect.type === "adopt_next") [present, other] = [other, 0];
        }
        if (effects.length === 0 && next.state === state) continue;
        expect(present + other, `${state}, ${JSON.stringify(event)}`).toBe(LINES[next.state]);
      }
    }
  });

  it("leaves no state by a dead end but those that are meant: there is a timer, a question or a socket", () => {
    for (const state of STATES) {
      for (const event of EVENTS) {
        const [next, effects] = step(at(state), event, 0.5);
        const waits = effects.some((effect) => effect.type === "retry" || effect.type === "ask");
        if (next.state === "waiting" && state !== "waiting")
          expect(waits, `${state}, ${JSON.stringify(event)}`).toBe(true);
      }
    }
  });

  it("never comes back once it is refused or stopped", () => {
    for (const state of ["refused", "stopped"] as const) {
      for (const event of EVENTS) expect(deeds(at(state), event)).toEqual([state, []]);
    }
  });

  it("closes every connection when it is stopped", () => {
    for (const state of STATES)
      expect(deeds(at(state), { type: "stop" })).toEqual(["stopped", ["close", "close_next"]]);
  });

  it("never opens a second line while one is open and nothing drains", () => {
    for (const state of [
      "connecting",
      "greeting",
      "live",
      "handover_connecting",
      "handover_greeting",
      "ending",
    ] as const) {
      expect(deeds(at(state), { type: "retry" })).toEqual([state, []]);
    }
  });

  it("asks again for a token that could not be had", () => {
    const asking: Link = { ...atRest(true), state: "asking" };
    const [waiting, effects] = step(asking, { type: "no_token" }, 0.5);
    expect(effects).toEqual([{ type: "retry", inMs: 50 }]);
    expect(deeds(waiting, { type: "retry" })).toEqual(["asking", ["ask"]]);
  });

  it("tells why it was refused", () => {
    expect(step(at("greeting"), closed(4404, "this gateway shows berlin"), 0)[0].refusal).toEqual({
      code: 4404,
      reason: "this gateway shows berlin",
    });
  });

  it("spreads its tries and never waits longer than 30 s", () => {
    const waits = [0, 1, 99, 100, 101].map((tries) => backoffMs(tries, 0.5));
    expect(waits).toEqual([50, 150, 150, 100, 200]);
    expect([1, 99].map((tries) => backoffMs(tries, 0))).toEqual([100, 100]);
    expect(backoffMs(140, 0.999)).toBeLessThan(BACKOFF_MS_MAX);
    expect(backoffMs(140, 0)).toBe(0);
  });
});
