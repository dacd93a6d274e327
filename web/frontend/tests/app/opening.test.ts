// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { OPENING_ZOOM, Opening, openingZoom } from "../../src/app/opening";
import { cityFragment, namedCity, namedPlace } from "../../src/app/place_link";
import type { Replica } from "../../src/stream";

const one = (speed: number) => ({
  drivers: {
    n: 1,
    lngE5: Int32Array.of(-7_398_000),
    latE5: Int32Array.of(4_075_000),
    speed: Uint8Array.of(speed),
  } as unknown as Replica["drivers"],
});
const [STANDING, DRIVING] = [one(0), one(20)];

class FakeMap {
  isReady = true;
  isTouched = false;
  isMoving = false;
  readonly opened: number[] = [];
  open(_: unknown, zoom: number): void {
    this.opened.push(zoom);
    this.isMoving = true;
  }
}

describe("the opening of the map", () => {
  it("flies once to where taxis drive, as soon as they do, and is then over", () => {
    const map = new FakeMap();
    const opening = new Opening(map, false);
    opening.follow(STANDING);
    expect([map.opened, opening.isOver]).toEqual([[], false]);
    opening.follow(DRIVING);
    opening.follow(DRIVING);
    expect([map.opened, opening.isOver]).toEqual([[OPENING_ZOOM], false]);
    map.isMoving = false;
    expect(opening.isOver).toBe(true);
  });

  it("flies closer in a small city than the whole of it", () => {
    expect([openingZoom(12.9), openingZoom(14), openingZoom()]).toEqual([OPENING_ZOOM, 15.2, OPENING_ZOOM]);
  });

  it("waits for the map", () => {
    const map = new FakeMap();
    map.isReady = false;
    const opening = new Opening(map, false);
    opening.follow(DRIVING);
    expect(map.opened).toEqual([]);
    map.isReady = true;
    opening.follow(DRIVING);
    expect(map.opened).toHaveLength(1);
  });

  it("leaves a map alone that somebody moved, or whose address names a place", () => {
    const [moved, linked] = [new FakeMap(), new FakeMap()];
    moved.isTouched = true;
    for (const opening of [new Opening(moved, false), new Opening(linked, true)]) {
      opening.follow(DRIVING);
      expect(opening.isOver).toBe(true);
    }
    expect([...moved.opened, ...linked.opened]).toEqual([]);
  });
});

describe("an address", () => {
  it("names a place and a zoom", () => {
    expect(namedPlace("#at=-73.9857,40.7580/15.5")).toEqual({ center: [-73.9857, 40.758], zoom: 15.5 });
  });

  it("names a city, alone or beside a place", () => {
    expect(namedCity("#city=helsinki")).toBe("helsinki");
    expect(cityFragment("a b")).toBe("#city=a%20b");
    expect(namedCity(cityFragment("a b&c"))).toBe("a b&c");
    const both = "#at=24.9452,60.1675/15.5&city=helsinki";
    expect([namedCity(both), namedPlace(both)?.zoom]).toEqual(["helsinki", 15.5]);
    expect([namedCity(""), namedCity("#at=1,2/3"), namedCity("#city"), namedCity("#x=city=y")]).toEqual(
      Array(4).fill(null),
    );
  });

  it.each(["", "#token=abc", "#at=1,2", "#at=-73.9,40.7/99", "#at=999,40/12", "#at=x,y/z"])(
    "%s names none",
    (fragment) => {
      expect(namedPlace(fragment)).toBeNull();
    },
  );
});
