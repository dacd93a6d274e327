// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { type Ask, type AskEvent, ask, type Stop } from "../../src/app/ask";
import type { Explanation } from "../../src/city/explanation";
import type { RideRecord } from "../../src/stream/decode";

const here: Stop = { place: [-73.98, 40.75], street: "W 44th St" };
const there: Stop = { place: [-73.97, 40.76], street: null };
const run = (...events: AskEvent[]): Ask => events.reduce(ask, { step: "off" } as Ask);
const chosen: AskEvent[] = [{ type: "begin" }, { type: "pick", stop: here }, { type: "pick", stop: there }];

describe("asking for a ride", () => {
  it("takes the first click as pickup and the second as drop-off", () => {
    expect(run(...chosen)).toMatchObject({ step: "choosing", pickup: here, dropoff: there });
  });

  it("lets the drop-off be moved", () => {
    expect(run(...chosen, { type: "pick", stop: here })).toMatchObject({ pickup: here, dropoff: here });
  });

  it("sends nothing before both are chosen", () => {
    expect(run({ type: "begin" }, { type: "pick", stop: here }, { type: "send" }).step).toBe("choosing");
  });

  it("follows the ride that was accepted, and no other", () => {
    const riding = run(...chosen, { type: "send" }, { type: "accepted", id: "web-1" });
    const row = { id: "web-1", state: 3 } as RideRecord;
    expect(ask(riding, { type: "row", row })).toMatchObject({ step: "riding", row });
    expect(ask(riding, { type: "row", row: { ...row, id: "r-9" } })).toBe(riding);
  });

  it("keeps what was chosen when the request fails, and says why", () => {
    const failed = run(...chosen, { type: "send" }, { type: "failed", problem: "outside the city" });
    expect(failed).toMatchObject({ step: "choosing", pickup: here, problem: "outside the city" });
  });

  it("keeps what one gateway answered when the next one knows less", () => {
    const riding = run(...chosen, { type: "send" }, { type: "accepted", id: "web-1" });
    const why = { driver: 7 } as Explanation;
    const known = ask(riding, { type: "details", id: "web-1", why, fareCents: null });
    expect(known).toMatchObject({ why, fareCents: null });
    expect(ask(known, { type: "details", id: "web-1", why: null, fareCents: 900 })).toMatchObject({
      why,
      fareCents: 900,
    });
    expect(ask(known, { type: "details", id: "r-9", why: null, fareCents: 900 })).toBe(known);
  });

  it("shows a ride that was found, but never in place of places that are chosen", () => {
    const row = { id: "r-9", state: 3 } as RideRecord;
    const found: AskEvent = { type: "found", row, pickup: here, dropoff: there };
    const shown = run(found);
    expect(shown).toMatchObject({ step: "riding", id: "r-9", row, own: false, why: null });
    expect(ask(shown, { ...found, row: { ...row, id: "r-8" } })).toMatchObject({ id: "r-8" });
    const choosing = run(...chosen);
    expect(ask(choosing, found)).toBe(choosing);
    const riding = run(...chosen, { type: "send" }, { type: "accepted", id: "web-1" });
    expect(ask(riding, found)).toMatchObject({ id: "r-9", own: false });
    const over = ask(riding, { type: "row", row: { id: "web-1", state: 6 } as RideRecord });
    expect(ask(over, found)).toMatchObject({ id: "r-9", own: false });
  });

  it("is left at any time", () => {
    expect(run(...chosen, { type: "cancel" })).toEqual({ step: "off" });
  });

  it("does not forget what was chosen when the key is pressed again", () => {
    expect(run(...chosen, { type: "begin" })).toMatchObject({ dropoff: there });
  });

  it("sets either place by name, and chooses again with the places of a ride", () => {
    const set = ask(
      { step: "choosing", pickup: null, dropoff: null, problem: "x" },
      { type: "set", what: "dropoff", stop: there },
    );
    expect(set).toMatchObject({ pickup: null, dropoff: there, problem: null });
    const resumed = ask({ step: "off" }, { type: "resumed", id: "web-1", pickup: here, dropoff: there });
    expect(resumed).toMatchObject({ step: "riding", own: true, row: null });
    expect(ask(resumed, { type: "again" })).toMatchObject({ step: "choosing", pickup: here, dropoff: there });
  });
});
