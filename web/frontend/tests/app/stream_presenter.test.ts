// SPDX-License-Identifier: Apache-2.0
/** What the stream reports is what the store shows. */

import { afterEach, describe, expect, it, vi } from "vitest";
import { PULSE } from "../../src/city/charts";
import { Neighbourhoods } from "../../src/city/neighbourhoods";
import { atRest, type Link } from "../../src/stream";
import { CUT_MS } from "../stream/encode";
import { FakePage, ROWS } from "./page";

const HELD = { rows: ROWS, rides: [] };
const link = (changes: Partial<Link>): Link => ({ ...atRest(false), ...changes });

function serving(): FakePage {
  const page = new FakePage();
  page.ready("gateway-1");
  page.image();
  return page;
}

afterEach(() => {
  vi.restoreAllMocks();
});

describe("an update", () => {
  it("is drawn, counted and shown as figures", () => {
    const { store, map, presenter, rowsSeen } = serving();
    expect([presenter.updates, map.taken, rowsSeen]).toEqual([1, 1, 1]);
    expect(store.held.value).toEqual({
      drivers: 2,
      byStatus: [0, 1, 0, 0, 0, 1, 0],
      cutMs: CUT_MS,
      stale: false,
    });
    expect(store.figures.value).toMatchObject({ waiting: 0, medianMs: null });
    expect(store.verifiedAt.value).toBe(10_000);
    expect(store.pulseHistory.value).toHaveLength(1);
  });

  it("of another view begins another history of the fleet", () => {
    const page = serving();
    for (let i = 0; i < 3; i++) page.next({ held: HELD, cutMs: CUT_MS + 6_000 * (i + 1) });
    expect(page.store.fleetHistory.value.length).toBeGreaterThan(1);
    page.view = [-74, 40.7, -73.9, 40.8];
    page.next({ held: HELD, cutMs: CUT_MS + 60_000 });
    expect(page.store.view.value).toEqual(page.view);
    expect(page.store.fleetHistory.value).toHaveLength(1);
    expect(page.store.pulseHistory.value.length).toBeGreaterThan(1);
  });

  it("measures the lag only if log time moved, and never of an image", () => {
    const page = serving();
    page.tick();
    expect(page.store.rate.value?.lagMs ?? null).toBeNull();
    page.next({ held: HELD, cutMs: CUT_MS + 50 });
    page.tick();
    expect(page.store.rate.value?.lagMs).toBe(200);
  });

  it("that is an image has no events before it that could be missed", () => {
    const page = serving();
    const batch = (offset: number, number: number) => [
      offset,
      CUT_MS,
      "BatchClosed",
      { batch: number, count: 1 },
    ];
    page.next({ held: HELD, feed: [batch(1, 1)] });
    page.image();
    page.next({ held: HELD, feed: [batch(90, 40)] });
    expect(page.presenter.ledger.tally()).toEqual({ missed: 0, repeated: 0 });
    page.next({ held: HELD, feed: [batch(95, 43)] });
    expect(page.presenter.ledger.tally().missed).toBe(2);
  });

  it("brings rows of the feed at a pace that can be read, with the ride and its places", () => {
    const page = serving();
    const features = [
      { geometry: { coordinates: [-73.98, 40.75] }, properties: { kind: "neighbourhood", name: "Midtown" } },
    ];
    page.presenter.neighbourhoods = new Neighbourhoods({ features });
    const rides = [{ id: "r-13", state: 1 }];
    const feed = Array.from({ length: 14 }, (_, i) => [i, CUT_MS, "RideRequested", { ride: `r-${i}` }]);
    page.next({ held: { rows: ROWS, rides }, rides, feed });
    page.store.feedPaused.value = true;
    page.tick(20);
    expect([page.store.feed.value, page.store.feedWaiting.value]).toEqual([[], 14]);
    page.store.feedPaused.value = false;
    page.tick();
    const [row] = page.store.feed.value;
    expect(row).toMatchObject({ more: 13, where: "within Midtown", ride: { id: "r-13" } });
    expect(page.rowsShown).toEqual([row]);
    page.presenter.noteFare(row!.key, 1_420);
    expect(page.store.feed.value[0]?.fareCents).toBe(1_420);
  });
});

describe("the proof", () => {
  it("has each update with the hashes that were compared, and a failover with its steps", () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    const page = serving();
    const { store, presenter } = page;
    page.next({ held: HELD });
    page.now += 100;
    presenter.link(link({ state: "waiting" }), 50);
    page.now += 60;
    presenter.link(link({ state: "greeting" }), null);
    page.ready("gateway-2", "resume");
    page.now += 20;
    page.next({ held: HELD });
    page.next({ held: HELD, hashOff: 1 });
    const { checks, compared, agreed, own, received } = store.checks.value;
    expect(checks.map(({ outcome, gateway }) => [outcome, gateway])).toEqual([
      ["equal", "gateway-1"],
      ["equal", "gateway-1"],
      ["gap", "gateway-1"],
      ["equal", "gateway-2"],
      ["differs", "gateway-2"],
    ]);
    expect([compared, agreed]).toEqual([1, 1]);
    expect(own).not.toBe(received);
    expect(store.failover.value.steps.map(({ kind, at }) => [kind, at - 10_000])).toEqual([
      ["last", 0],
      ["lost", 100],
      ["opened", 160],
      ["resumed", 160],
      ["equal", 180],
    ]);
    expect([store.resumes.value, store.resets.value]).toEqual([1, 0]);
  });

  it("has no failover of a page that was away", () => {
    const page = serving();
    page.now += 60_000;
    page.presenter.link(link({ state: "waiting" }), 50);
    page.presenter.link(link({ state: "greeting" }), null);
    page.ready("gateway-2", "resume");
    page.next({ held: HELD, cutMs: CUT_MS + 60_000 });
    expect(page.store.failover.value.steps).toEqual([]);
    expect(page.store.outage.value.report?.away?.why).toBe("asleep");
  });
});

describe("a mismatch", () => {
  it("is shown with both hashes until an image matches", () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    const page = serving();
    page.next({ held: HELD, hashOff: 1 });
    const { own, received, healedAt } = page.store.mismatch.value!;
    expect(own).not.toBe(received);
    expect(own.split(" ")[1]).toBe(received.split(" ")[1]);
    expect([healedAt, page.store.health.value, page.presenter.mismatches]).toEqual([null, "differs", 1]);
    page.presenter.reset("mismatch");
    expect(page.store.outage.value.current).toBeNull();
    page.now += 300;
    page.image();
    expect(page.store.mismatch.value?.healedAt).toBe(page.now);
    page.tick();
    expect(page.store.health.value).toBe("fine");
    expect(page.store.mismatchShown.value).not.toBeNull();
    page.tick(70);
    page.image();
    expect(page.store.mismatchShown.value).toBeNull();
  });

  it("of counts alone shows the counts", () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    const page = serving();
    // Two rows that take each other's place in the sum of hashes are not at hand: a row too many in the header is.
    const update = { drivers: 3, rides: 0 };
    page.presenter.mismatch(
      { hashA: 0, hashB: 0, driversHeld: update.drivers, ridesHeld: update.rides, cutMs: CUT_MS } as never,
      { a: 0, b: 0 },
      page.replica,
    );
    expect(page.store.mismatch.value).toMatchObject({ own: "2+0 rows", received: "3+0 rows" });
  });
});

describe("an outage", () => {
  it("is reported from the last verified update to the first one after it", () => {
    const page = serving();
    page.now += 1_000;
    page.presenter.link(link({ state: "waiting", failures: 5 }), 80);
    expect(page.store.retryAt.value).toBe(page.now + 80);
    page.now += 500;
    page.store.now.value = page.now;
    expect(page.store.health.value).toBe("reconnecting");
    page.presenter.link(link({ state: "live" }), null);
    page.ready("gateway-2", "resume");
    page.next({ held: HELD });
    expect(page.store.outage.value.report).toMatchObject({
      lost: "gateway-1",
      resumedOn: "gateway-2",
      connectionLost: true,
      fresh: false,
      tookMs: 1_500,
    });
    expect(page.presenter.resumes).toBe(1);
  });

  it("is none before the first update", () => {
    const page = new FakePage();
    page.presenter.link(link({ state: "waiting", failures: 3 }), 100);
    page.presenter.reset("epoch");
    expect(page.store.outage.value.current).toBeNull();
    expect(page.store.health.value).toBe("starting");
  });

  it("by a reset names the gateway's reason", () => {
    const page = serving();
    page.presenter.reset("overflow");
    expect(page.store.outage.value.current).toMatchObject({ gateway: "gateway-1", reason: "overflow" });
    expect(page.presenter.resets).toBe(1);
  });

  it("after a wrong image says that the rows were wrong", () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    const page = serving();
    page.next({ held: HELD, hashOff: 1 });
    page.presenter.link(link({ state: "waiting" }), 100);
    expect(page.store.outage.value.current).toMatchObject({ connectionLost: true, reason: "mismatch" });
  });
});

describe("a page that did not run", () => {
  const feed = (offset: number, batch: number, n: number) => [
    ...Array.from({ length: n - 1 }, (_, i) => [offset + i, CUT_MS, "RideRequested", { ride: `r-${i}` }]),
    [offset + n - 1, CUT_MS, "BatchClosed", { batch, count: n }],
  ];
  const frozen = (ms: number) => {
    const page = serving();
    page.next({ held: HELD, cutMs: CUT_MS + 100, feed: feed(1, 1, 2) });
    page.tick();
    page.now += ms;
    return page;
  };
  const lose = (page: FakePage) => {
    page.presenter.link(link({ state: "waiting", failures: 5 }), 80);
    page.now += 160;
    page.presenter.link(link({ state: "live" }), null);
  };

  it("was asleep, whatever connection it lost by that, and counts the events since", () => {
    const page = frozen(60_000);
    page.tick();
    lose(page);
    page.ready("gateway-2", "resume");
    page.next({ held: HELD, cutMs: CUT_MS + 60_300, feed: feed(3, 2, 1_412) });
    const { report, current } = page.store.outage.value;
    expect(current).toBeNull();
    expect(report).toMatchObject({
      away: { why: "asleep" },
      events: 1_412,
      missed: 0,
      repeated: 0,
      fresh: false,
    });
    expect(Math.round(report!.away!.forMs / 1000)).toBe(60);
  });

  it("is not reported before it has caught up with what its browser kept for it", () => {
    const page = frozen(60_000);
    page.next({ held: HELD, cutMs: CUT_MS + 5_000, feed: feed(3, 2, 10) });
    expect(page.store.outage.value.report).toBeNull();
    lose(page);
    page.ready("gateway-2", "resume");
    page.next({ held: HELD, cutMs: CUT_MS + 60_300, feed: feed(13, 3, 20) });
    expect(page.store.outage.value.report).toMatchObject({ away: { why: "asleep" }, events: 30 });
  });

  it("says so too if its connection is lost only after it has caught up", () => {
    const page = frozen(60_000);
    page.next({ held: HELD, cutMs: CUT_MS + 60_200, feed: feed(3, 2, 10) });
    page.now += 500;
    lose(page);
    page.ready("gateway-2", "resume");
    page.next({ held: HELD, cutMs: CUT_MS + 61_000 });
    expect(page.store.outage.value.report?.away?.why).toBe("asleep");
  });

  it("takes a full update for what it is", () => {
    const page = frozen(60_000);
    page.tick();
    lose(page);
    page.ready("gateway-2", "image");
    page.image();
    expect(page.store.outage.value.report).toMatchObject({ away: { why: "asleep" }, fresh: true });
  });

  it("was left, if its reader came back to it, even for a moment", () => {
    const page = frozen(0);
    page.presenter.leave();
    page.now += 2_000;
    page.tick();
    lose(page);
    page.ready("gateway-1", "resume");
    page.next({ held: HELD, cutMs: CUT_MS + 2_500 });
    expect(page.store.outage.value.report).toMatchObject({ away: { why: "left", forMs: 2_100 } });
  });

  it("slept with its machine, or had its clock set: only if something was lost by it", () => {
    const page = frozen(0);
    page.wallAheadMs = 60_000;
    page.tick();
    page.next({ held: HELD, cutMs: CUT_MS + 60_300 });
    expect(page.store.outage.value.report).toBeNull();
    page.wallAheadMs += 60_000;
    page.tick();
    lose(page);
    page.ready("gateway-2", "resume");
    page.next({ held: HELD, cutMs: CUT_MS + 120_400 });
    expect(page.store.outage.value.report).toMatchObject({ away: { why: "clock", forMs: 60_000 } });
  });

  it("does not hide that a gateway was killed from here, or lost long after", () => {
    const page = frozen(60_000);
    page.next({ held: HELD, cutMs: CUT_MS + 60_200 });
    page.store.noteOutage({ type: "kill", gateway: "gateway-1" });
    lose(page);
    page.ready("gateway-2", "resume");
    page.next({ held: HELD, cutMs: CUT_MS + 60_400 });
    expect(page.store.outage.value.report).toMatchObject({ killed: true, away: null, lost: "gateway-1" });
    for (let i = 0; i < 50; i++) {
      page.tick();
      page.next({ held: HELD, cutMs: CUT_MS + 60_500 + i * 100 });
    }
    lose(page);
    page.ready("gateway-1", "resume");
    page.next({ held: HELD, cutMs: CUT_MS + 66_000 });
    expect(page.store.outage.value.report).toMatchObject({ killed: false, away: null, lost: "gateway-2" });
  });

  it("is no stall of the city", () => {
    const page = frozen(60_000);
    page.next({ held: HELD, cutMs: CUT_MS + 60_300 });
    expect(page.store.stalls.value?.report).toBeNull();
  });
});

describe("the gateway", () => {
  it("reports its faults", () => {
    const page = serving();
    page.presenter.health([{ code: "no_positions", text: "no positions arrive" }]);
    page.tick();
    expect(page.store.health.value).toBe("troubled");
    page.presenter.health([]);
    expect(page.store.health.value).toBe("fine");
  });

  it("is passed on when it is ready", () => {
    expect(serving().readies.map(({ gateway }) => gateway)).toEqual(["gateway-1"]);
  });
});

describe("the charts' values", () => {
  it("have the share of busy taxis, requests of the last minute once one was seen, and marks of what befell", () => {
    const page = new FakePage();
    page.ready("gateway-1");
    const status = (id: number, status: number) => ({ id, x: -7_398_000, y: 4_075_000, at: 5, status });
    const rows = [status(1, 1), status(2, 3), status(3, 5), status(4, 0), status(5, 6)];
    page.image(rows);
    expect(page.store.pulseHistory.value.at(-1)?.values.slice(4, 6)).toEqual([expect.closeTo(2 / 3), null]);
    expect(page.store.runHistory.value).toHaveLength(1);
    const ride = (id: string, agoMs: number) => ({
      id,
      state: 1,
      requested: (CUT_MS + 61_000 - agoMs) % 2 ** 32,
    });
    const rides = [ride("r-1", 59_000), ride("r-2", 5_000), ride("r-3", 61_000)];
    const feed = [[11, CUT_MS, "PolicyActivated", {}]];
    page.next({ rows: [], rides, cutMs: CUT_MS + 61_000, feed, held: { rows, rides } });
    expect(page.store.pulseHistory.value.at(-1)?.values[PULSE.requests]).toBe(2);
    expect(page.store.marks.value.map(({ words }) => words)).toEqual(["policy activated"]);
    page.store.noteOutage({ type: "lost", lastUpdateAt: 1, tally: { missed: 0, repeated: 0 } });
    page.ready("gateway-2", "resume");
    page.next({ rows: [], cutMs: CUT_MS + 61_100, held: { rows, rides } });
    expect(page.store.marks.value.map(({ words }) => words)).toEqual(["policy activated", "gateway-1 lost"]);
  });
});
