// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { age, brief, clock, count, cutName, span, taxi } from "../../src/city/format";
import { History } from "../../src/city/history";
import { Ledger } from "../../src/city/ledger";
import { Pulse, quantile } from "../../src/city/pulse";
import { Rates } from "../../src/city/rates";
import { type Happening, NOTHING_YET, type Telling, tell } from "../../src/city/story";
import { cause, lines } from "../../src/city/words";
import type { FeedEvent, FeedIds } from "../../src/stream/decode";
import { decodeCut } from "../../src/stream/decode";
import { Picture } from "../../src/stream/state";
import { CUT_MS, EPOCH, encodeCut, type RideSpec } from "../stream/encode";

const event = (offset: number, type: string, ids: FeedIds = {}): FeedEvent => [offset, CUT_MS, type, ids];
const closed = (offset: number, batch: number, count: number) =>
  event(offset, "BatchClosed", { batch, count });

describe("the ledger", () => {
  it("counts nothing on a whole feed", () => {
    const ledger = new Ledger();
    ledger.take([closed(3, 1, 9), event(4, "RideRequested"), closed(5, 2, 2)]);
    ledger.take([event(6, "RideOffered"), event(7, "RideOffered"), closed(9, 3, 3)]);
    expect(ledger.tally()).toEqual({ missed: 0, repeated: 0 });
  });

  it("counts events that their batch announced and that never came", () => {
    const ledger = new Ledger();
    ledger.take([closed(3, 1, 1), event(4, "RideRequested"), closed(9, 2, 5)]);
    expect(ledger.tally().missed).toBe(3);
  });

  it("counts a batch that left no trace", () => {
    const ledger = new Ledger();
    ledger.take([closed(3, 1, 1), closed(9, 4, 1)]);
    expect(ledger.tally().missed).toBe(2);
  });

  it("counts what comes twice", () => {
    const ledger = new Ledger();
    ledger.take([event(4, "RideRequested"), closed(5, 1, 2)]);
    ledger.take([event(4, "RideRequested"), closed(5, 1, 2)]);
    expect(ledger.tally()).toEqual({ missed: 0, repeated: 2 });
  });

  it("starts afresh after an image, which brings no feed", () => {
    const ledger = new Ledger();
    ledger.take([closed(3, 1, 1)]);
    ledger.restart();
    ledger.take([closed(90, 40, 7), closed(91, 41, 1)]);
    expect(ledger.tally()).toEqual({ missed: 0, repeated: 0 });
  });
});

describe("the story of a loss", () => {
  const run = (...events: Happening[]): Telling => events.reduce(tell, NOTHING_YET);
  const none = { missed: 0, repeated: 0 };
  const started: Happening[] = [
    { type: "ready", gateway: "gateway-1", fresh: true },
    { type: "verified", at: 900, tally: none },
  ];
  const lost: Happening = { type: "lost", lastCutAt: 1_000, tally: none };
  const back: Happening = { type: "ready", gateway: "gateway-2", fresh: false };

  it("names who was killed, where the stream went on, and how long that took", () => {
    const told = run(...started, { type: "kill", gateway: "gateway-1" }, lost, back, {
      type: "verified",
      at: 1_180,
      tally: none,
    });
    expect(told.story).toMatchObject({
      lost: "gateway-1",
      killed: true,
      resumedOn: "gateway-2",
      tookMs: 180,
      ...none,
    });
    expect(told).toMatchObject({ killing: null, loss: null });
  });

  it("is not told before a cut was verified", () => {
    expect(run(...started, lost, back).story).toBeNull();
  });

  it("counts only what went wrong over the gap", () => {
    const before: Happening = { type: "lost", lastCutAt: 1_000, tally: { missed: 5, repeated: 1 } };
    const told = run(...started, before, back, {
      type: "verified",
      at: 2_000,
      tally: { missed: 7, repeated: 1 },
    });
    expect(told.story).toMatchObject({ killed: false, missed: 2, repeated: 0 });
  });

  it("measures from the first loss, however many tries fail", () => {
    const again: Happening = { type: "lost", lastCutAt: 1_000, tally: none };
    const told = run(...started, lost, again, back, { ...again, lastCutAt: 3_000 }, back, {
      type: "verified",
      at: 4_000,
      tally: none,
    });
    expect(told.story?.tookMs).toBe(3_000);
  });

  it("begins only when there was a line", () => {
    expect(run(lost).loss).toBeNull();
  });

  it("lets the button be pressed again when the kill was refused", () => {
    expect(run(...started, { type: "kill", gateway: "gateway-1" }, { type: "spared" }).killing).toBeNull();
  });
});

describe("the pulse", () => {
  const low = (ms: number) => ms % 2 ** 32;
  const look = (pulse: Pulse, rides: RideSpec[], cutMs = CUT_MS) => {
    const picture = new Picture();
    picture.apply(decodeCut(encodeCut({ image: true, to: [1, 1], cutMs, rides })), EPOCH);
    return pulse.look(picture);
  };
  const met = (id: string, waitMs: number, atMs = CUT_MS): RideSpec => ({
    id,
    state: 5,
    requested: low(atMs - waitMs),
    arrived: low(atMs),
  });

  it("tells waits, and the share that was picked up, of what it has seen", () => {
    const rides = [
      met("a", 60_000),
      met("b", 120_000),
      met("c", 300_000),
      { id: "d", state: 9, ended: low(CUT_MS) },
    ];
    const figures = look(new Pulse(), [...rides, { id: "e", state: 1 }, { id: "f", state: 2 }]);
    expect(figures).toEqual({ waiting: 2, medianMs: 120_000, p90Ms: 300_000, served: 0.75 });
  });

  it("has no figure before anything happened", () => {
    expect(look(new Pulse(), [])).toEqual({ waiting: 0, medianMs: null, p90Ms: null, served: null });
  });

  it("counts a ride that left the picture until 15 minutes have passed, and not longer", () => {
    const pulse = new Pulse();
    look(pulse, [met("a", 60_000)]);
    expect(look(pulse, [], CUT_MS + 14 * 60_000).medianMs).toBe(60_000);
    expect(look(pulse, [], CUT_MS + 16 * 60_000).medianMs).toBeNull();
  });

  it("takes the value below which a share lies", () => {
    expect([0, 0.5, 0.9, 1].map((share) => quantile([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], share))).toEqual([
      1, 6, 10, 10,
    ]);
  });
});

describe("a story's cause", () => {
  it("is who was lost, why the picture had to be a fresh one, or both", () => {
    const story = { lost: "gateway-1", killed: false, lineLost: true, reason: null };
    expect(cause(story)).toBe("gateway-1 lost");
    expect(cause({ ...story, killed: true, reason: "expired" })).toBe(
      "gateway-1 killed, away for longer than a gateway remembers",
    );
    expect(cause({ ...story, lineLost: false, reason: "epoch" })).toBe("The log began anew");
  });

  it("is told of a reset on a line that is well, from the last cut before it", () => {
    const tally = { missed: 0, repeated: 0 };
    const reset: Happening = { type: "reset", reason: "overflow", lastCutAt: 1_000, tally };
    const on: Happening = { type: "ready", gateway: "gateway-1", fresh: true };
    const events: Happening[] = [on, reset, on, { type: "verified", at: 1_400, tally }];
    const { story, loss } = events.reduce(tell, NOTHING_YET);
    expect(loss).toBeNull();
    expect(story).toMatchObject({ lineLost: false, reason: "overflow", fresh: true, tookMs: 400 });
  });
});

describe("a reset that no image followed", () => {
  it("is forgotten when another gateway goes on from the cursor", () => {
    const tally = { missed: 0, repeated: 0 };
    const ready = (gateway: string, fresh: boolean): Happening => ({ type: "ready", gateway, fresh });
    const events: Happening[] = [
      ready("gateway-1", true),
      { type: "reset", reason: "overflow", lastCutAt: 1_000, tally },
      { type: "lost", lastCutAt: 1_000, tally },
      ready("gateway-2", false),
      { type: "verified", at: 1_400, tally },
    ];
    const { story } = events.reduce(tell, NOTHING_YET);
    expect(story).toMatchObject({ lineLost: true, reason: null, fresh: false, resumedOn: "gateway-2" });
  });
});

describe("history", () => {
  it("keeps a point every few seconds, the newest always, and 15 minutes of them", () => {
    const history = new History();
    for (let ms = 0; ms <= 20 * 60_000; ms += 100) history.add(ms, [ms]);
    const samples = history.add(20 * 60_000 + 100, [42]);
    expect(samples.at(-1)).toEqual({ atMs: 1_200_100, values: [42] });
    expect(samples.length).toBeGreaterThan(170);
    expect(samples.length).toBeLessThan(190);
    expect(samples[0]!.atMs).toBeGreaterThanOrEqual(5 * 60_000);
  });
});

describe("rates", () => {
  it("tell cuts and bytes over five seconds, and the median lag over ten", () => {
    const rates = new Rates();
    for (let at = 0; at <= 20_000; at += 100) rates.add(at, 4_000, at % 300 === 0 ? null : 50 + (at % 7));
    const rate = rates.read(20_000);
    expect(rate.cutsPerS).toBeCloseTo(10, 0);
    expect(rate.kBPerS).toBeCloseTo(40, 0);
    expect(rate.lagMs).toBeGreaterThanOrEqual(50);
    expect(rates.read(40_000)).toEqual({ lagMs: null, cutsPerS: 0, kBPerS: 0 });
  });
});

describe("words", () => {
  const say = (...feed: FeedEvent[]) =>
    lines(feed).map(({ parts }) =>
      parts.map((part) => (typeof part === "string" ? part : part.name)).join(""),
    );

  it("say what happened, with names as in the log", () => {
    const feed = [
      event(1, "RideOffered", { ride: "r-48219", driver: 1204, attempt: 1, eta_s: 95 }),
      event(2, "TripStarted", { ride: "r-48213", driver: 418 }),
      event(3, "RideCancelled", { ride: "r-1", reason: "driver_lost" }),
    ];
    expect(say(...feed)).toEqual([
      "r-48219 offered to t-1204",
      "t-0418 left with r-48213",
      "r-1 cancelled, driver lost",
    ]);
  });

  it("tell a batch with its offers, and pass over one without", () => {
    expect(say(event(1, "RideOffered", {}), closed(2, 18_204, 2))[1]).toBe("batch 18,204: 1 offer");
    expect(say(closed(3, 18_205, 1))).toEqual([]);
  });

  it("tell of a taxi that is sent ahead of riders", () => {
    const sent = event(1, "DriverRepositioned", { driver: 815 });
    expect(say(sent)).toEqual(["t-0815 drives to where riders are expected"]);
  });

  it("show a type that this page does not know by its name", () => {
    expect(say(event(1, "PolicyActivated"))).toEqual(["policy activated"]);
  });
});

describe("figures", () => {
  it("have their units and their commas", () => {
    expect([count(2_000), taxi(418), taxi(12_345)]).toEqual(["2,000", "t-0418", "t-12345"]);
    expect([span(128_000), span(59_600), span(0)]).toEqual(["2:08", "1:00", "0:00"]);
    expect([brief(180), brief(1_234), brief(9_960), brief(128_000)]).toEqual([
      "0.18 s",
      "1.2 s",
      "0:10",
      "2:08",
    ]);
    expect([age(3), age(440), age(1_400), age(6_000), age(75_000)]).toEqual([
      "0.1 s",
      "0.4 s",
      "1.4 s",
      "6 s",
      "1:15",
    ]);
  });

  it("name a cut by its log time to a tenth of a second", () => {
    expect(cutName(1_790_000_000_451)).toBe(`${clock(1_790_000_000_451)}.4`);
  });
});
