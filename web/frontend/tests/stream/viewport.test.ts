// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { type BBox, boxOf, type Grid, tilesOf } from "../../src/stream";
import { ViewportRequests } from "../../src/stream/viewport";

const GRID: Grid = { west_e5: -7_402_000, south_e5: 4_070_000, shift: 9, columns: 30, rows: 40 };
const BOX: BBox = [-73.99, 40.74, -73.97, 40.76];

describe("the grid", () => {
  it("knows the tiles that touch a box, from floor to ceiling, and none beyond its edge", () => {
    expect(tilesOf(GRID, BOX)).toEqual({ west: 5, south: 7, east: 9, north: 11 });
    expect(tilesOf(GRID, [-180, -90, 180, 90])).toEqual({ west: 0, south: 0, east: 29, north: 39 });
  });

  it("makes a box that touches just the tiles it is made of", () => {
    for (let west = 0; west < GRID.columns; west += 7) {
      for (let south = 0; south < GRID.rows; south += 9) {
        for (const size of [0, 1, 5]) {
          const tiles = { west, south, east: Math.min(west + size, 29), north: Math.min(south + size, 39) };
          expect(tilesOf(GRID, boxOf(GRID, tiles)!)).toEqual(tiles);
        }
      }
    }
  });

  it("says of all its tiles that they are the whole city", () => {
    expect(boxOf(GRID, tilesOf(GRID, [-180, -90, 180, 90]))).toBeNull();
  });
});

describe("views", () => {
  it("count their generations from 1 to 65535 and then from 1 again", () => {
    const views = new ViewportRequests();
    const seen = Array.from({ length: 65_537 }, (_, i) => {
      views.want([i, 0, i + 1, 1]);
      return views.nextRequest()!.generation;
    });
    expect([seen[0], seen[65_534], seen[65_535], seen[65_536]]).toEqual([1, 65_535, 1, 2]);
    expect(Math.min(...seen.slice(0, 10_000))).toBe(1);
  });

  it("are of the generation whose cut was applied, and forget the ones before it", () => {
    const views = new ViewportRequests();
    const boxes: BBox[] = [1, 2, 3].map((i) => [i, 0, i + 1, 1]);
    for (const box of boxes) {
      views.want(box);
      views.nextRequest();
    }
    views.applied(2);
    expect(views.shown).toEqual(boxes[1]);
    expect([1, 2, 3, 0].map((generation) => views.isRequested(generation))).toEqual([
      false,
      false,
      true,
      true,
    ]);
  });
});
