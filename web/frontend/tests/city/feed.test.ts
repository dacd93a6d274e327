// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import {
  type About,
  type FeedAction,
  type FeedState,
  NO_FEED,
  ROW_MS,
  reduceFeed,
  waitingEvents,
} from "../../src/city/feed";
import { Neighbourhoods } from "../../src/city/neighbourhoods";
import { lines } from "../../src/city/words";
import type { FeedEvent } from "../../src/stream";
import { CUT_MS } from "../stream/encode";

const NOTHING: About = { ride: null, where: null };
const KINDS = [
  "RideRequested",
  "RideOffered",
  "RideAssigned",
  "DriverArrived",
  "TripStarted",
  "TripCompleted",
];
/** Six of them are shown. */
const SHOWN = 6;

function events(...feed: FeedEvent[]): FeedAction {
  return { type: "events", lines: lines(feed), about: () => NOTHING };
}

let offset = 0;
const event = (type: string): FeedEvent => [++offset, CUT_MS, type, { ride: `r-${offset}`, driver: 7 }];

/** Ten ticks a second with `perS` events each second, of all kinds in turn. */
function run(state: FeedState, fromMs: number, toMs: number, perS: number, paused = false): FeedState {
  let now = state;
  let sent = 0;
  for (let ms = fromMs; ms < toMs; ms += 100) {
    while (sent < ((ms - fromMs) / 1_000) * perS) {
      now = reduceFeed(now, events(event(KINDS[sent % KINDS.length]!)));
      sent++;
    }
    now = reduceFeed(now, { type: "tick", now: ms, paused });
  }
  return now;
}

const counted = (state: FeedState) =>
  waitingEvents(state) + state.rows.reduce((sum, { more }) => sum + 1 + more, 0);

describe("the feed", () => {
  it.each([1, 11, 60])("leaves a row for seven seconds at %i events a second", (perS) => {
    let state = NO_FEED;
    const since = new Map<number, number>();
    const lived: number[] = [];
    for (let ms = 0; ms < 60_000; ms += 100) {
      const n = Math.floor(((ms + 100) / 1_000) * perS) - Math.floor((ms / 1_000) * perS);
      for (let i = 0; i < n; i++) state = reduceFeed(state, events(event(KINDS[offset % KINDS.length]!)));
      state = reduceFeed(state, { type: "tick", now: ms, paused: false });
      const shown = new Set(state.rows.slice(0, SHOWN).map(({ key }) => key));
      for (const key of shown) if (!since.has(key)) since.set(key, ms);
      for (const [key, from] of since) {
        if (shown.has(key)) continue;
        lived.push(ms - from);
        since.delete(key);
      }
    }
    expect(lived.length).toBeGreaterThan(20);
    expect(Math.min(...lived)).toBeGreaterThanOrEqual(7_000);
  });

  it("counts every event in exactly one row, or as waiting", () => {
    offset = 0;
    const state = run(NO_FEED, 0, 30_000, 35);
    expect(counted(state)).toBe(offset);
    expect(waitingEvents(state)).toBeLessThan(35 * ROW_MS * KINDS.length);
  });

  it("shows each kind in its turn, the one that has waited longest first", () => {
    const first = reduceFeed(
      NO_FEED,
      events(event("RideOffered"), event("TripStarted"), event("RideOffered")),
    );
    const one = reduceFeed(first, { type: "tick", now: 0, paused: false });
    const again = reduceFeed(one, events(event("RideOffered")));
    const two = reduceFeed(again, { type: "tick", now: ROW_MS, paused: false });
    expect(two.rows.map(({ line, more }) => [line.kind, more])).toEqual([
      ["TripStarted", 0],
      ["RideOffered", 1],
    ]);
  });

  it("names the newest event of a row", () => {
    const some = reduceFeed(NO_FEED, events(event("RideOffered"), event("RideOffered")));
    const { rows } = reduceFeed(some, { type: "tick", now: 0, paused: false });
    expect(rows[0]?.line.ride).toBe(`r-${offset}`);
  });

  it("loses nothing while it is paused, and goes on at the same pace", () => {
    offset = 0;
    const before = run(NO_FEED, 0, 10_000, 11);
    const paused = run(before, 10_000, 70_000, 11, true);
    expect(paused.rows).toEqual(before.rows);
    expect(waitingEvents(paused)).toBeGreaterThan(600);
    expect(counted(paused)).toBe(offset);
    const after = run(paused, 70_000, 80_000, 11);
    expect(counted(after)).toBe(offset);
    expect(after.rows.length - before.rows.length).toBeLessThanOrEqual(Math.ceil(10_000 / ROW_MS));
  });

  it("takes the fare of a row when it comes", () => {
    const some = reduceFeed(NO_FEED, events(event("TripCompleted")));
    const { rows, nextKey, ...rest } = reduceFeed(some, { type: "tick", now: 0, paused: false });
    const paid = reduceFeed(
      { rows, nextKey, ...rest },
      { type: "fare", key: rows[0]!.key, fareCents: 1_420 },
    );
    expect(paid.rows[0]?.fareCents).toBe(1_420);
    expect(reduceFeed(paid, { type: "fare", key: 99, fareCents: 1 }).rows).toEqual(paid.rows);
  });

  it("is the same state while nothing comes", () => {
    expect(reduceFeed(NO_FEED, { type: "tick", now: 5, paused: false })).toBe(NO_FEED);
    expect(reduceFeed(NO_FEED, events())).toBe(NO_FEED);
  });
});

describe("neighbourhoods", () => {
  const point = (kind: string, name: string, lng: number, lat: number) => ({
    geometry: { coordinates: [lng, lat] },
    properties: { kind, name },
  });
  const places = new Neighbourhoods({
    features: [
      point("neighbourhood", "Midtown", -73.98, 40.755),
      point("neighbourhood", "Chelsea", -74, 40.746),
      point("park", "Bryant Park", -73.983, 40.753),
      {},
    ],
  });

  it("name a place by the nearest one, and never by a park", () => {
    expect(places.at([-7_398_300, 4_075_300])).toBe("Midtown");
    expect(places.at([-7_399_900, 4_074_500])).toBe("Chelsea");
    expect(new Neighbourhoods({}).at([0, 0])).toBeNull();
  });

  it("say from where to where a ride goes", () => {
    const [midtown, chelsea] = [
      [-7_398_000, 4_075_500],
      [-7_400_000, 4_074_600],
    ] as const;
    expect(places.way({ pickup: midtown, dropoff: chelsea } as never)).toBe("Midtown → Chelsea");
    expect(places.way({ pickup: midtown, dropoff: midtown } as never)).toBe("within Midtown");
  });
});
