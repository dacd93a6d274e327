// SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { around, Look } from "../../src/app/look";
import { type BBox, type CityStream, type Grid, sameView, tilesOf, type View } from "../../src/stream";

const GRID: Grid = { west_e5: -7_402_000, south_e5: 4_070_000, shift: 9, columns: 30, rows: 40 };
const STREET: BBox = [-73.985, 40.75, -73.98, 40.755];

/** A map that shows a box, and what was asked of the stream. */
function looking(box: BBox) {
  const map = { bounds: box };
  const asked: View[] = [];
  const stream = { requestView: (view: View) => asked.push(view) } as unknown as CityStream;
  return { map, asked, stream, look: new Look({ view: () => map }) };
}

describe("a page that asks for what its map shows", () => {
  beforeEach(() => vi.stubGlobal("location", { search: "?view=map" }));
  afterEach(() => vi.unstubAllGlobals());

  it("asks for more than the map from the start, before it knows the grid, and not again for the same tiles", () => {
    const { look, asked, stream } = looking(STREET);
    expect(look.first()).toEqual(around(STREET));
    look.know(GRID, stream);
    expect(asked).toEqual([]);
  });

  it("asks for whole tiles, and for nothing while it moves within them", () => {
    const { map, look, asked, stream } = looking(STREET);
    look.first();
    look.know(GRID, stream);
    const moved: BBox = [-73.97, 40.75, -73.965, 40.755];
    map.bounds = moved;
    look.moved(stream);
    map.bounds = [-73.9701, 40.75, -73.9651, 40.755];
    look.moved(stream);
    expect(asked).toHaveLength(1);
    expect(tilesOf(GRID, asked[0]!)).toEqual(tilesOf(GRID, around(moved)));
  });

  it("asks for the whole city once the map shows all of it", () => {
    const { map, look, asked, stream } = looking(STREET);
    look.first();
    look.know(GRID, stream);
    map.bounds = [-75, 40, -73, 42];
    look.moved(stream);
    look.moved(stream);
    expect(asked.every((view) => sameView(view, null))).toBe(true);
    expect(asked.length).toBeGreaterThan(0);
  });

  it("asks for the whole city, and never for less, where nothing else was wished for", () => {
    vi.stubGlobal("location", { search: "" });
    const { look, asked, stream } = looking(STREET);
    expect(look.first()).toBeNull();
    look.know(GRID, stream);
    look.moved(stream);
    expect(asked).toEqual([]);
  });
});
