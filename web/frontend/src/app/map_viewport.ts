// SPDX-License-Identifier: Apache-2.0
/** `?view=map`: ask only for what the map shows, and some of what lies around it. Otherwise for the whole city. */

import { type BBox, boxOf, type CityStream, type Grid, type Tiles, tilesOf, type View } from "../stream";

/** What is asked for beyond each edge, as a share of the map: drivers that come into view are there already. */
const AROUND = 0.25;

export interface Shown {
  view(): { readonly bounds: BBox };
}

export class MapViewport {
  private grid: Grid | null = null;
  private asked: View = null;

  constructor(private readonly map: Shown | null) {}

  /** Before the gateway's grid is known. */
  first(): View {
    this.asked = this.map && followsMap() ? around(this.map.view().bounds) : null;
    return this.asked;
  }

  know(grid: Grid, stream: CityStream): void {
    this.grid = grid;
    this.moved(stream);
  }

  /** Whole tiles only, so that a map that moves within them asks for nothing. */
  moved(stream: CityStream): void {
    if (!this.map || !this.grid || !followsMap()) return;
    const tiles = tilesOf(this.grid, around(this.map.view().bounds));
    if (this.asked && sameTiles(tiles, tilesOf(this.grid, this.asked))) return;
    this.asked = boxOf(this.grid, tiles);
    stream.requestView(this.asked);
  }
}

export function around([west, south, east, north]: BBox): BBox {
  const [x, y] = [(east - west) * AROUND, (north - south) * AROUND];
  return [west - x, south - y, east + x, north + y];
}

function sameTiles(a: Tiles, b: Tiles): boolean {
  return a.west === b.west && a.south === b.south && a.east === b.east && a.north === b.north;
}

function followsMap(): boolean {
  return new URLSearchParams(location.search).get("view") === "map";
}
