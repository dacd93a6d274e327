// SPDX-License-Identifier: Apache-2.0
/** The city in tiles (docs/protocol.md, "Grid"): which of them a box touches, and a box that touches just these. */

/** The `grid` of `ready`. */
export interface Grid {
  readonly west_e5: number;
  readonly south_e5: number;
  readonly shift: number;
  readonly columns: number;
  readonly rows: number;
}

/** West, south, east, north in degrees. */
export type BBox = readonly [west: number, south: number, east: number, north: number];

/** First and last column and row, both included. */
export interface Tiles {
  readonly west: number;
  readonly south: number;
  readonly east: number;
  readonly north: number;
}

export function tilesOf(grid: Grid, [west, south, east, north]: BBox): Tiles {
  return {
    west: tile(Math.floor(west * 1e5), grid.west_e5, grid.columns, grid.shift),
    south: tile(Math.floor(south * 1e5), grid.south_e5, grid.rows, grid.shift),
    east: tile(Math.ceil(east * 1e5), grid.west_e5, grid.columns, grid.shift),
    north: tile(Math.ceil(north * 1e5), grid.south_e5, grid.rows, grid.shift),
  };
}

/** From the middle of the corner tiles, so that no rounding leads to another one; null if that is every tile. */
export function boxOf(grid: Grid, { west, south, east, north }: Tiles): BBox | null {
  if (west === 0 && south === 0 && east === grid.columns - 1 && north === grid.rows - 1) return null;
  const lng = (column: number) => middle(column, grid.west_e5, grid.shift);
  const lat = (row: number) => middle(row, grid.south_e5, grid.shift);
  return [lng(west), lat(south), lng(east), lat(north)];
}

function tile(e5: number, from: number, n: number, shift: number): number {
  return Math.max(0, Math.min(n - 1, (e5 - from) >> shift));
}

function middle(index: number, from: number, shift: number): number {
  return (from + (index << shift) + 2 ** (shift - 1)) / 1e5;
}
