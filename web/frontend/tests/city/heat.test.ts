// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import {
  between,
  namesOf,
  StreetSpeeds,
  vacantDensity,
  waitingDensity,
  waitsByName,
} from "../../src/city/heat";
import { Neighbourhoods } from "../../src/city/neighbourhoods";
import { DRIVER, RIDE } from "../../src/city/rides";
import type { RideRecord } from "../../src/stream";

const PLACES = new Neighbourhoods({
  features: [
    { geometry: { coordinates: [-74, 40.7] }, properties: { kind: "neighbourhood", name: "West" } },
    { geometry: { coordinates: [-73.9, 40.7] }, properties: { kind: "neighbourhood", name: "East" } },
  ],
});

type Driver = readonly [lngE5: number, latE5: number, status: number, speed?: number];
function rows(...drivers: Driver[]) {
  return {
    n: drivers.length,
    lngE5: Int32Array.from(drivers, ([lng]) => lng),
    latE5: Int32Array.from(drivers, ([, lat]) => lat),
    status: Uint8Array.from(drivers, ([, , status]) => status),
    speed: Uint8Array.from(drivers, ([, , , speed]) => speed ?? 0),
  };
}

describe("a density", () => {
  it("has near ones as one point of their weight, in their middle", () => {
    const found = vacantDensity(
      rows(
        [-7_399_990, 4_070_010, DRIVER.idle],
        [-7_399_970, 4_070_030, DRIVER.idle],
        [-7_399_980, 4_070_020, DRIVER.onTrip],
        [-7_390_000, 4_070_000, DRIVER.idle],
      ),
    );
    expect(found).toEqual([
      [expect.closeTo(-73.9998, 6), expect.closeTo(40.7002, 6), 2],
      [-73.9, 40.7, 1],
    ]);
  });

  it("of riders is that of those who wait", () => {
    const ride = (state: number) => ({ state, pickup: [-7_400_000, 4_070_000] }) as unknown as RideRecord;
    const rides = [ride(RIDE.requested), ride(RIDE.offered), ride(RIDE.assigned), ride(RIDE.expired)];
    expect(waitingDensity(rides)).toEqual([[-74, 40.7, 2]]);
  });
});

describe("waits by neighbourhood", () => {
  const wait = (lng: number, waitMs: number | null) => ({
    requestedMs: 0,
    atMs: 0,
    pickup: [lng, 4_070_000] as const,
    waitMs,
  });

  it("are medians, where enough riders were picked up", () => {
    const west = [50, 10, 30, 20, 40].map((s) => wait(-7_400_000, s));
    const east = [1, 2, 3, 4].map((s) => wait(-7_390_000, s));
    const gaveUp = wait(-7_390_000, null);
    expect([...waitsByName([...west, ...east, gaveUp], PLACES)]).toEqual([["West", 30]]);
  });

  it("colour the blocks that belong to each", () => {
    const block = (lng: number) => ({ geometry: { coordinates: [[[lng, 40.7]]] } });
    expect(namesOf({ features: [block(-73.99), block(-73.91), {}] }, PLACES)).toEqual(["West", "East", null]);
    expect([0, 10, 15, 20, 30].map((value) => between(value, 10, 20))).toEqual([0, 0, 0.5, 1, 1]);
    expect(between(5, 5, 5)).toBe(0.5);
  });
});

describe("speeds by street", () => {
  const line = (...coordinates: [number, number][]) => ({ geometry: { type: "LineString", coordinates } });
  const street = line([-74, 40.7], [-73.99, 40.7], [-73.98, 40.701]);
  const avenue = line([-73.995, 40.69], [-73.995, 40.71]);
  const speeds = () => new StreetSpeeds({ features: [street, avenue] });

  it("belong to the nearest street, and to none that is far", () => {
    const all = speeds();
    expect(all.roadAt([-73.991, 40.7001])).toBe(0);
    expect(all.roadAt([-73.9951, 40.705])).toBe(1);
    expect(all.roadAt([-73.985, 40.7006])).toBe(0);
    expect(all.roadAt([-73.991, 40.7005])).toBeNull();
    expect(all.roadAt([0, 0])).toBeNull();
  });

  it("are means of driving taxis over two minutes, of streets with enough of them", () => {
    const all = speeds();
    const here = [-7_399_100, 4_070_000] as const;
    const there = [-7_399_500, 4_070_500] as const;
    const seen = rows(
      [...here, DRIVER.onTrip, 10],
      [...here, DRIVER.toPickup, 20],
      [...here, DRIVER.atPickup, 0],
      [...here, DRIVER.idle, 0],
      [...there, DRIVER.onTrip, 40],
    );
    all.see(seen, 1_000);
    expect([...all.means()]).toEqual([]);
    all.see(seen, 3_000);
    expect([...all.means()]).toEqual([[0, 7.5]]);
    all.see(
      rows([...here, DRIVER.onTrip, 4], [...here, DRIVER.onTrip, 4], [...here, DRIVER.onTrip, 4]),
      124_000,
    );
    expect([...all.means()]).toEqual([[0, 2]]);
  });
});
