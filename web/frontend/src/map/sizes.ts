// SPDX-License-Identifier: Apache-2.0
/** How big things are drawn at a zoom, in CSS pixels. */

export interface Sizes {
  /** Of a disc. */
  readonly radius: number;
  /** 0: glyphs, 1: cars. */
  readonly car: number;
  readonly length: number;
  /** From a car's middle to its corner, 0 while there are none. */
  readonly carReach: number;
  readonly glow: number;
  readonly trailWidth: number;
  /** Straight trails are drawn longer than the way was, up to a length: they show where a taxi came from. */
  readonly stretch: number;
  readonly trailLongest: number;
  /** Trails follow the streets, as ribbons. */
  readonly ribbons: boolean;
}

const RIBBONS_FROM = 14.5;
const CAR_FROM = 15.75;
const CAR_FULL = 15.9;
const CAR_PX_MIN = 23;
/** Zoom at which a car of 4.8 m is as long as it is drawn at least; from there on it grows with the street. */
const TRUE_TO_SCALE = 18.2;

export function sizesAt(zoom: number): Sizes {
  const radius = between(zoom, [10.5, 1.6], [12, 2.5], [13, 3.3], [14, 4.4], [15, 5.6], [16, 7]);
  const car = between(zoom, [CAR_FROM, 0], [CAR_FULL, 1]);
  const length = CAR_PX_MIN * 2 ** Math.max(0, zoom - TRUE_TO_SCALE);
  return {
    radius,
    car,
    length,
    carReach: car > 0 ? length * 0.6 : 0,
    glow: between(zoom, [14.6, 0.35], [15.8, 0]),
    trailWidth: between(zoom, [11, 2.6], [13, 5.6], [14.5, 7], [16, 10], [18.5, 14]),
    stretch: 8,
    trailLongest: zoom < RIBBONS_FROM ? between(zoom, [11, 10], [13, 22], [14.5, 38]) : 0,
    ribbons: zoom >= RIBBONS_FROM,
  };
}

/** Glows may cover so much of the map; more of them become fainter, so that a crowd is no white cloud. */
const GLOW_COVER_MAX = 0.4;

/** How strong the glow of each of `n` taxis is, as a share of that of one: `radius` and `area` in CSS pixels. */
export function glowShare(n: number, radius: number, area: number): number {
  const cover = (n * Math.PI * radius ** 2) / Math.max(area, 1);
  return Math.min(1, GLOW_COVER_MAX / Math.max(cover, 1e-9));
}

/** Straight lines through the points (x, y), level beyond their ends. */
function between(x: number, ...points: [number, number][]): number {
  let [leftX, leftY] = points[0]!;
  if (x <= leftX) return leftY;
  for (const [rightX, rightY] of points) {
    if (x < rightX) return leftY + ((x - leftX) / (rightX - leftX)) * (rightY - leftY);
    [leftX, leftY] = [rightX, rightY];
  }
  return leftY;
}
