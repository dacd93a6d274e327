// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { age, brief, clock, count, cutName, span, taxi } from "../../src/city/format";
import { History } from "../../src/city/history";
import { Ledger } from "../../src/city/ledger";
import { NO_OUTAGE, type OutageEvent, type OutageState, reduceOutage } from "../../src/city/outage";
import { Pulse, quantile } from "../../src/city/pulse";
import { Rates } from "../../src/city/rates";
import { cause, lines } from "../../src/city/words";
import { CityTime } from "../../src/stream/city_time";
import type { FeedEvent, FeedIds } from "../../src/stream/decode";
import { decodeUpdate } from "../../src/stream/decode";
import { Replica } from "../../src/stream/replica";
import { CUT_MS, EPOCH, encodeUpdate, type RideSpec } from "../stream/encode";

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

describe("an outage", () => {
  const run = (...events: OutageEvent[]): OutageState => events.reduce(reduceOutage, NO_OUTAGE);
  const none = { missed: 0, repeated: 0 };
  const started: OutageEvent[] = [
    { type: "ready", gateway: "gateway-1", fresh: true },
    { type: "verified", at: 900, tally: none },
  ];
  const lost: OutageEvent = { type: "lost", lastUpdateAt: 1_000, tally: none };
  const back: OutageEvent = { type: "ready", gateway: "gateway-2", fresh: false };

  it("names who was killed, where the stream went on, and how long that took", () => {
    const state = run(...started, { type: "kill", gateway: "gateway-1" }, lost, back, {
      type: "verified",
      at: 1_180,
      tally: none,
    });
    expect(state.report).toMatchObject({
      lost: "gateway-1",
      killed: true,
      resumedOn: "gateway-2",
      tookMs: 180,
      ...none,
    });
    expect(state).toMatchObject({ killing: null, current: null });
  });

  it("is not known before a cut was verified", () => {
    expect(run(...started, lost, back).report).toBeNull();
  });

  it("counts only what went wrong over the gap", () => {
    const before: OutageEvent = { type: "lost", lastUpdateAt: 1_000, tally: { missed: 5, repeated: 1 } };
    const state = run(...started, before, back, {
      type: "verified",
      at: 2_000,
      tally: { missed: 7, repeated: 1 },
    });
    expect(state.report).toMatchObject({ killed: false, missed: 2, repeated: 0 });
  });

  it("measures from the first loss, however many tries fail", () => {
    const again: OutageEvent = { type: "lost", lastUpdateAt: 1_000, tally: none };
    const state = run(...started, lost, again, back, { ...again, lastUpdateAt: 3_000 }, back, {
      type: "verified",
      at: 4_000,
      tally: none,
    });
    expect(state.report?.tookMs).toBe(3_000);
  });

  it("begins only when there was a line", () => {
    expect(run(lost).current).toBeNull();
  });

  it("lets the button be pressed again when the kill was refused", () => {
    expect(
      run(...started, { type: "kill", gateway: "gateway-1" }, { type: "not_killed" }).killing,
    ).toBeNull();
  });
});

describe("the pulse", () => {
  const MIN = 60_000;
  const low = (ms: number) => ms % 2 ** 32;
  const look = (pulse: Pulse, rides: RideSpec[], cutMs = CUT_MS) => {
    const replica = new Replica();
    replica.apply(decodeUpdate(encodeUpdate({ image: true, to: [1, 1], cutMs, rides })), EPOCH);
    return pulse.count(replica);
  };
  const met = (id: string, waitMs: number, atMs = CUT_MS): RideSpec => ({
    id,
    state: 5,
    requested: low(atMs - waitMs),
    arrived: low(atMs),
  });
  const left = (id: string, waitMs: number, atMs: number): RideSpec => ({
    id,
    state: 9,
    requested: low(atMs - waitMs),
    ended: low(atMs),
  });
  /** A request every ten seconds, each with the same wait. */
  const steady = (fromMs: number, toMs: number, waitMs = 2 * MIN) => {
    const rides: RideSpec[] = [];
    for (let ms = fromMs; ms + waitMs <= toMs; ms += 10_000) rides.push(met(`s-${ms}`, waitMs, ms + waitMs));
    return rides;
  };

  it("sorts many waits once a second, and counts who waits with each update", () => {
    const pulse = new Pulse();
    const many = (ms: number, n: number) =>
      Array.from({ length: n }, (_, i) => met(`m-${ms}-${i}`, ms, CUT_MS - 60_000 + i));
    const old = [...steady(CUT_MS - 10 * MIN, CUT_MS, MIN), ...many(MIN, 300)];
    expect(look(pulse, old)).toMatchObject({ waiting: 0, medianMs: MIN });
    const all = [...old, ...many(2 * MIN, 900), { id: "w", state: 1, requested: low(CUT_MS) }];
    expect(look(pulse, all, CUT_MS + 900)).toMatchObject({ waiting: 1, medianMs: MIN });
    expect(look(pulse, all, CUT_MS + 1_000)).toMatchObject({ waiting: 1, medianMs: 2 * MIN });
  });

  it("tells waits, and the share that was picked up, of what it has seen", () => {
    const rides = steady(CUT_MS - 20 * MIN, CUT_MS);
    const some = rides.map((ride, i) =>
      i % 4 === 0 ? { ...ride, state: 9, ended: ride.arrived!, arrived: 0 } : ride,
    );
    const figures = look(new Pulse(), [...some, { id: "e", state: 1 }, { id: "f", state: 2 }]);
    expect(figures).toMatchObject({ waiting: 2, medianMs: 2 * MIN, p90Ms: 2 * MIN });
    expect(figures.served).toBeCloseTo(0.75, 1);
  });

  it("has no figure before anything happened", () => {
    expect(look(new Pulse(), [])).toEqual({ waiting: 0, medianMs: null, p90Ms: null, served: null });
  });

  it("counts a ride that left the picture until 15 minutes have passed, and not longer", () => {
    const pulse = new Pulse();
    look(pulse, steady(CUT_MS - 20 * MIN, CUT_MS));
    expect(look(pulse, [], CUT_MS + 10 * MIN).medianMs).toBe(2 * MIN);
    expect(look(pulse, [], CUT_MS + 16 * MIN).medianMs).toBeNull();
  });

  it("claims nothing from the first riders of a new city, who have a taxi beside them", () => {
    const opening = Array.from({ length: 500 }, (_, i) => met(`o-${i}`, 800, CUT_MS + i * 20));
    const at = (ms: number) => look(new Pulse(), [...opening, ...steady(CUT_MS, CUT_MS + ms)], CUT_MS + ms);
    for (const minutes of [0.5, 1, 2, 3, 3.9])
      expect(at(minutes * MIN)).toMatchObject({ medianMs: null, served: null });
    expect(at(5 * MIN)).toMatchObject({ medianMs: 2 * MIN, served: 1 });
  });

  it("counts no ride that waited through a standstill, as while everything is restarted", () => {
    const before = steady(CUT_MS - 20 * MIN, CUT_MS);
    const again = CUT_MS + 15 * MIN;
    const through = Array.from({ length: 40 }, (_, i) => met(`w-${i}`, 15 * MIN + i * 100, again + i * 100));
    const gone = Array.from({ length: 12 }, (_, i) => left(`g-${i}`, 15 * MIN, again + i * 100));
    const rows = (ms: number) => [...before, ...through, ...gone, ...steady(again, again + ms)];
    const opened = new Pulse();
    look(opened, before);
    for (const pulse of [opened, new Pulse()]) {
      expect(look(pulse, rows(MIN), again + MIN)).toMatchObject({ medianMs: null, served: null });
      expect(look(pulse, rows(6 * MIN), again + 6 * MIN)).toMatchObject({ medianMs: 2 * MIN, served: 1 });
    }
  });

  it("tells waits as long as they were lived through", () => {
    const replica = new Replica();
    replica.cityTime = new CityTime([{ fromMs: 0, cityMs: 0, speed: 10 }]);
    const rides = steady(CUT_MS - 3 * MIN, CUT_MS, 12_000);
    replica.apply(decodeUpdate(encodeUpdate({ image: true, to: [1, 1], cutMs: CUT_MS, rides })), EPOCH);
    expect(new Pulse().count(replica)).toMatchObject({ medianMs: 2 * MIN, p90Ms: 2 * MIN });
  });

  it("takes the value below which a share lies", () => {
    expect([0, 0.5, 0.9, 1].map((share) => quantile([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], share))).toEqual([
      1, 6, 10, 10,
    ]);
  });
});

describe("the cause of an outage", () => {
  it("is who was lost, why the picture had to be a fresh one, or both", () => {
    const report = { lost: "gateway-1", killed: false, connectionLost: true, reason: null };
    expect(cause(report)).toBe("gateway-1 lost");
    expect(cause({ ...report, killed: true, reason: "expired" })).toBe(
      "gateway-1 killed, away for longer than a gateway remembers",
    );
    expect(cause({ ...report, connectionLost: false, reason: "epoch" })).toBe("The log was started again");
  });

  it("hears of a reset on a line that is well, from the last cut before it", () => {
    const tally = { missed: 0, repeated: 0 };
    const reset: OutageEvent = { type: "reset", reason: "overflow", lastUpdateAt: 1_000, tally };
    const on: OutageEvent = { type: "ready", gateway: "gateway-1", fresh: true };
    const events: OutageEvent[] = [on, reset, on, { type: "verified", at: 1_400, tally }];
    const { report, current } = events.reduce(reduceOutage, NO_OUTAGE);
    expect(current).toBeNull();
    expect(report).toMatchObject({ connectionLost: false, reason: "overflow", fresh: true, tookMs: 400 });
  });
});

describe("a reset that no image followed", () => {
  it("is forgotten when another gateway goes on from the cursor", () => {
    const tally = { missed: 0, repeated: 0 };
    const ready = (gateway: string, fresh: boolean): OutageEvent => ({ type: "ready", gateway, fresh });
    const events: OutageEvent[] = [
      ready("gateway-1", true),
      { type: "reset", reason: "overflow", lastUpdateAt: 1_000, tally },
      { type: "lost", lastUpdateAt: 1_000, tally },
      ready("gateway-2", false),
      { type: "verified", at: 1_400, tally },
    ];
    const { report } = events.reduce(reduceOutage, NO_OUTAGE);
    expect(report).toMatchObject({
      connectionLost: true,
      reason: null,
      fresh: false,
      resumedOn: "gateway-2",
    });
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
    expect(rate.updatesPerS).toBeCloseTo(10, 0);
    expect(rate.kBPerS).toBeCloseTo(40, 0);
    expect(rate.lagMs).toBeGreaterThanOrEqual(50);
    expect(rates.read(40_000)).toEqual({ lagMs: null, updatesPerS: 0, kBPerS: 0 });
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
