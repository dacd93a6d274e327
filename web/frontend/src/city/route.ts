// SPDX-License-Identifier: Apache-2.0
/** A way along the streets (`GET /api/route`), and the part of it that is still ahead. Pure functions. */

export type Point = readonly [lng: number, lat: number];

export interface Route {
  /** Which of the places asked for it begins at. */
  readonly start: number;
  readonly line: readonly Point[];
  /** In city time. */
  readonly time_s: number;
  readonly length_m: number;
  readonly fare_cents: number;
  /** Seconds of `time_s` that pass in one of the clock. */
  readonly speed: number;
}

/** How long it takes by the clock. */
export function clockMs({ time_s, speed }: Route): number {
  return (time_s * 1000) / Math.max(speed, 1);
}

/** What is left of a line from the place on it that is nearest to a point. */
export function ahead(line: readonly Point[], place: Point): Point[] {
  let best = { d: Number.POSITIVE_INFINITY, next: 1, at: place };
  const narrow = Math.cos((place[1] * Math.PI) / 180);
  for (let i = 1; i < line.length; i++) {
    const at = nearest(line[i - 1]!, line[i]!, place, narrow);
    const d = Math.hypot((at[0] - place[0]) * narrow, at[1] - place[1]);
    if (d < best.d) best = { d, next: i, at };
  }
  return [best.at, ...line.slice(best.next)];
}

function nearest(a: Point, b: Point, p: Point, narrow: number): Point {
  const [x, y] = [(b[0] - a[0]) * narrow, b[1] - a[1]];
  const along = ((p[0] - a[0]) * narrow * x + (p[1] - a[1]) * y) / Math.max(x * x + y * y, 1e-18);
  const share = Math.max(0, Math.min(1, along));
  return [a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share];
}

/** Kilometres or metres, as people say them. */
export function far(metres: number): string {
  return metres < 950 ? `${Math.round(metres / 10) * 10} m` : `${(metres / 1000).toFixed(1)} km`;
}
