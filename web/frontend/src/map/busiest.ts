// SPDX-License-Identifier: Apache-2.0
/** Where most taxis drive: what the map opens on, and the corner to watch. A pure function of the rows. */

import type { DriverRows } from "../stream";

/** A side of a square of the grid, in 1e-5 degrees: about half a kilometre, and about 80 m. */
export const DISTRICT_E5 = 500;
export const CORNER_E5 = 80;
/** A row's speed is in half metres a second. */
const MOVING = 2;
/** With a smaller share of moving taxis the city has not begun to drive: no place is busy yet. */
const MOVING_MIN = 0.05;

type Rows = Pick<DriverRows, "n" | "lngE5" | "latE5" | "speed">;

interface Square {
  n: number;
  lng: number;
  lat: number;
}

/**
 * The mean place of the moving taxis in the busiest three by three squares of a grid.
 *
 * @param side of a square, in 1e-5 degrees
 * @returns degrees; null while hardly any taxi moves
 */
export function busiest(rows: Rows, side: number): readonly [lng: number, lat: number] | null {
  const squares = new Map<string, Square>();
  let moving = 0;
  for (let slot = 0; slot < rows.n; slot++) {
    if (rows.speed[slot]! < MOVING) continue;
    moving++;
    const [lng, lat] = [rows.lngE5[slot]!, rows.latE5[slot]!];
    const key = `${Math.floor(lng / side)} ${Math.floor(lat / side)}`;
    const square = squares.get(key) ?? { n: 0, lng: 0, lat: 0 };
    squares.set(key, square);
    square.n++;
    square.lng += lng;
    square.lat += lat;
  }
  if (moving === 0 || moving < rows.n * MOVING_MIN) return null;
  let best: Square = { n: 0, lng: 0, lat: 0 };
  for (const key of squares.keys()) {
    const sum = around(squares, key);
    if (sum.n > best.n) best = sum;
  }
  return [best.lng / best.n / 1e5, best.lat / best.n / 1e5];
}

function around(squares: ReadonlyMap<string, Square>, key: string): Square {
  const [x, y] = key.split(" ").map(Number) as [number, number];
  const sum = { n: 0, lng: 0, lat: 0 };
  for (let dx = -1; dx <= 1; dx++) {
    for (let dy = -1; dy <= 1; dy++) {
      const square = squares.get(`${x + dx} ${y + dy}`);
      if (!square) continue;
      sum.n += square.n;
      sum.lng += square.lng;
      sum.lat += square.lat;
    }
  }
  return sum;
}
