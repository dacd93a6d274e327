// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { areaFigures } from "../../src/city/areas";
import { Neighbourhoods } from "../../src/city/neighbourhoods";
import { Pulse } from "../../src/city/pulse";
import { RIDE } from "../../src/city/rides";
import { CityTime, decodeUpdate, Replica } from "../../src/stream";
import { CUT_MS, EPOCH, encodeUpdate, type RideSpec } from "../stream/encode";

const MIN = 60_000;
const middle = (name: string, lng: number, lat: number) => ({
  geometry: { coordinates: [lng, lat] },
  properties: { kind: "neighbourhood", name },
});
const PLACES = new Neighbourhoods({
  features: [middle("West", -74, 40.7), middle("East", -73.9, 40.7), middle("Easton", -73.9, 40.8)],
});
const WEST = { x: -7_399_000, y: 4_070_000 };
const EAST = { x: -7_391_000, y: 4_070_000 };
const low = (ms: number) => ms % 2 ** 32;

function shown(rides: RideSpec[] = [], cutMs = CUT_MS, replica = new Replica()) {
  const rows = [
    { id: 1, ...WEST, at: 5, status: 1 },
    { id: 2, ...WEST, at: 5, status: 5 },
    { id: 3, ...EAST, at: 5, status: 1 },
  ];
  replica.apply(decodeUpdate(encodeUpdate({ image: true, to: [10, 5], cutMs, rows, rides })), EPOCH);
  return replica;
}

const at = ({ x, y }: { x: number; y: number }) => ({ pickup: [x, y] as [number, number] });

describe("a neighbourhood", () => {
  it("counts the riders and vacant taxis that are nearest to its middle", () => {
    const rides: RideSpec[] = [
      { id: "new", state: RIDE.requested, requested: low(CUT_MS - 5_000), ...at(WEST) },
      { id: "old", state: RIDE.offered, requested: low(CUT_MS - 9_000), ...at(WEST) },
      { id: "far", state: RIDE.requested, requested: low(CUT_MS), ...at(EAST) },
      { id: "on board", state: RIDE.onTrip, requested: low(CUT_MS), ...at(WEST) },
    ];
    const figures = areaFigures("West", PLACES, shown(rides), new Pulse());
    expect(figures.waiting.map(({ id }) => id)).toEqual(["old", "new"]);
    expect(figures).toMatchObject({ vacant: 1, taxis: 2, medianMs: null, pickups: 0 });
  });

  it("has the waits of its own pickups, once there are enough", () => {
    const wait = (requestedMs: number, waitMs: number) => ({ requestedMs, atMs: 0, waitMs });
    const here = [10, 20, 30, 40, 50].map((s) => ({
      ...wait(0, s * 1000),
      pickup: [WEST.x, WEST.y] as const,
    }));
    const there = [900, 901, 902].map((s) => ({ ...wait(0, s * 1000), pickup: [EAST.x, EAST.y] as const }));
    const gaveUp = { ...here[0]!, waitMs: null };
    const pulse = { waits: [...here, ...there, gaveUp], requests: () => ({ fromMs: CUT_MS, rides: [] }) };
    expect(areaFigures("West", PLACES, shown(), pulse)).toMatchObject({
      medianMs: 30_000,
      p90Ms: 50_000,
      pickups: 5,
    });
    expect(areaFigures("East", PLACES, shown(), pulse)).toMatchObject({ medianMs: null, pickups: 3 });
  });

  it("expects requests at the pace of those that it saw, in the time of the city", () => {
    const rides = Array.from({ length: 8 }, (_, i) => ({
      id: `r-${i}`,
      state: RIDE.onTrip,
      requested: low(CUT_MS + i * 10_000),
      ...at(i < 6 ? WEST : EAST),
    }));
    const before = { id: "before", state: RIDE.onTrip, requested: low(CUT_MS - 5_000), ...at(WEST) };
    const expected = (afterMs: number, time?: CityTime) => {
      const pulse = new Pulse();
      pulse.count(shown());
      const replica = shown([...rides, before], CUT_MS + afterMs);
      if (time) replica.cityTime = time;
      pulse.count(replica);
      return areaFigures("West", PLACES, replica, pulse).expected;
    };
    expect(expected(MIN)).toBeNull();
    expect(expected(3 * MIN)).toBe(10);
    expect(expected(3 * MIN, new CityTime([{ fromMs: 0, cityMs: 0, speed: 10 }]))).toBe(1);
  });

  it("has the part of the city that is nearest to it", () => {
    const cell = PLACES.cell("West");
    expect(cell.at(0)).toEqual(cell.at(-1));
    const [lngs, lats] = [cell.map(([lng]) => lng), cell.map(([, lat]) => lat)];
    expect([Math.min(...lngs), Math.max(...lngs)]).toEqual([
      expect.closeTo(-74.1),
      expect.closeTo(-73.95, 4),
    ]);
    expect(Math.min(...lats)).toBeCloseTo(40.6);
    for (const [lng, lat] of cell) {
      const inside = [-74 + (lng + 74) * 0.98, 40.7 + (lat - 40.7) * 0.98] as const;
      expect(PLACES.at([inside[0] * 1e5, inside[1] * 1e5])).toBe("West");
    }
    expect(PLACES.cell("Nowhere")).toEqual([]);
  });

  it("is meant by its name or by the beginning of one name alone", () => {
    expect(["west", "EAST", " easto", "e", "", "x"].map((text) => PLACES.meant(text))).toEqual([
      "West",
      "East",
      "Easton",
      null,
      null,
      null,
    ]);
  });
});
