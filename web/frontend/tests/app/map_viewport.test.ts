// SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { around, MapViewport } from "../../src/app/map_viewport";
import { type BBox, type CityStream, type Grid, sameView, tilesOf, type View } from "../../src/stream";

const GRID: Grid = { west_e5: -7_402_000, south_e5: 4_070_000, shift: 9, columns: 30, rows: 40 };
const STREET: BBox = [-73.985, 40.75, -73.98, 40.755];

/** A map that shows a box, and what was asked of the stream. */
function following(box: BBox) {
  const map = { bounds: box };
  const asked: View[] = [];
  const stream = { requestView: (view: View) => asked.push(view) } as unknown as CityStream;
  return { map, asked, stream, viewport: new MapViewport({ view: () => map }) };
}

describe("a page that asks for what its map shows", () => {
  beforeEach(() => vi.stubGlobal("location", { search: "?view=map" }));
  afterEach(() => vi.unstubAllGlobals());

  it("asks for more than the map from the start, before it knows the grid, and not again for the same tiles", () => {
    const { viewport, asked, stream } = following(STREET);
    expect(viewport.first()).toEqual(around(STREET));
    viewport.know(GRID, stream);
    expect(asked).toEqual([]);
  });

  it("asks for whole tiles, and for nothing while it moves within them", () => {
    const { map, viewport, asked, stream } = following(STREET);
    viewport.first();
    viewport.know(GRID, stream);
    const moved: BBox = [-73.97, 40.75, -73.965, 40.755];
    map.bounds = moved;
    viewport.moved(stream);
    map.bounds = [-73.9701, 40.75, -73.9651, 40.755];
    viewport.moved(stream);
    expect(asked).toHaveLength(1);
    expect(tilesOf(GRID, asked[0]!)).toEqual(tilesOf(GRID, around(moved)));
  });

  it("asks for the whole city once the map shows all of it", () => {
    const { map, viewport, asked, stream } = following(STREET);
    viewport.first();
    viewport.know(GRID, stream);
    map.bounds = [-75, 40, -73, 42];
    viewport.moved(stream);
    viewport.moved(stream);
    expect(asked.every((view) => sameView(view, null))).toBe(true);
    expect(asked.length).toBeGreaterThan(0);
  });

  it("asks for the whole city, and never for less, where nothing else was wished for", () => {
    vi.stubGlobal("location", { search: "" });
    const { viewport, asked, stream } = following(STREET);
    expect(viewport.first()).toBeNull();
    viewport.know(GRID, stream);
    viewport.moved(stream);
    expect(asked).toEqual([]);
  });
});
