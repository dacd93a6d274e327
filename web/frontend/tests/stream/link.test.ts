// SPDX-License-Identifier: Apache-2.0
/** The table by itself; what a client makes of it is told by the fault scripts. */

import { describe, expect, it } from "vitest";
import {
  atRest,
  BACKOFF_MS_MAX,
  backoffMs,
  type Link,
  type LinkEvent,
  type LinkState,
  step,
} from "../../src/stream/link";

const closed = (code: number, reason = ""): LinkEvent => ({ type: "closed", code, reason });
const at = (state: LinkState): Link => ({ ...atRest(false), state });

const STATES: LinkState[] = ["waiting", "asking", "connecting", "greeting", "live"];
STATES.push("leaving", "reaching", "crossing", "ending", "refused", "left");
const EVENTS: LinkEvent[] = [
  { type: "retry" },
  { type: "token", other: true },
  { type: "token", other: false },
  { type: "no token" },
  { type: "opened" },
  { type: "ready" },
  { type: "verified" },
  { type: "drain" },
  { type: "broken", forget: true },
  { type: "wrong image" },
  { type: "successor opened" },
  { type: "successor ready" },
  { type: "successor broken" },
  ...[4001, 4002, 4008, 4029, 4401, 4404, 1006].map((code) => closed(code)),
  ...[4001, 4401, 4404, 1006].map((code): LinkEvent => ({ type: "successor closed", code, reason: "" })),
];

function deeds(from: Link, event: LinkEvent): [LinkState, string[]] {
  const [{ state }, effects] = step(from, event, 0.5);
  return [state, effects.map((effect) => (effect.do === "retry" ? `retry ${effect.inMs}` : effect.do))];
}

/** How many lines there are in a state, and what each effect adds to or takes from them. */
const LINES: Record<LinkState, number> = {
  waiting: 0,
  asking: 0,
  connecting: 1,
  greeting: 1,
  live: 1,
  leaving: 1,
  reaching: 2,
  crossing: 2,
  ending: 1,
  refused: 0,
  left: 0,
};

describe("the line to a gateway", () => {
  it("has as many sockets in each state as its effects opened and closed, whatever happens", () => {
    for (const state of STATES) {
      for (const event of EVENTS) {
        const [next, effects] = step(at(state), event, 0.5);
        // A closed socket is gone by itself; to close it again does nothing.
        let main = ["waiting", "asking", "refused", "left"].includes(state) ? 0 : 1;
        let successor = LINES[state] - main;
        if (event.type === "closed" && state !== next.state) main = 0;
        if (event.type === "successor closed") successor = 0;
        for (const effect of effects) {
          if (effect.do === "open") main++;
          else if (effect.do === "reach") successor++;
          else if (effect.do === "close") main = 0;
          else if (effect.do === "drop") successor = 0;
          else if (effect.do === "promote") [main, successor] = [successor, 0];
        }
        if (effects.length === 0 && next.state === state) continue;
        expect(main + successor, `${state}, ${JSON.stringify(event)}`).toBe(LINES[next.state]);
      }
    }
  });

  it("leaves no state by a dead end but those that are meant: there is a timer, a question or a socket", () => {
    for (const state of STATES) {
      for (const event of EVENTS) {
        const [next, effects] = step(at(state), event, 0.5);
        const waits = effects.some((effect) => effect.do === "retry" || effect.do === "ask");
        if (next.state === "waiting" && state !== "waiting")
          expect(waits, `${state}, ${JSON.stringify(event)}`).toBe(true);
      }
    }
  });

  it("never comes back once it is refused or left", () => {
    for (const state of ["refused", "left"] as const) {
      for (const event of EVENTS) expect(deeds(at(state), event)).toEqual([state, []]);
    }
  });

  it("closes whatever stands when it is left", () => {
    for (const state of STATES)
      expect(deeds(at(state), { type: "leave" })).toEqual(["left", ["close", "drop"]]);
  });

  it("never opens a second line while one stands and nothing drains", () => {
    for (const state of ["connecting", "greeting", "live", "reaching", "crossing", "ending"] as const) {
      expect(deeds(at(state), { type: "retry" })).toEqual([state, []]);
    }
  });

  it("asks again for a token that could not be had", () => {
    const asking: Link = { ...atRest(true), state: "asking" };
    const [waiting, effects] = step(asking, { type: "no token" }, 0.5);
    expect(effects).toEqual([{ do: "retry", inMs: 50 }]);
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
