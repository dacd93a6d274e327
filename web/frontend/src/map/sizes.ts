// SPDX-License-Identifier: Apache-2.0
/** How big things are drawn at a zoom, in CSS pixels. */

export interface Sizes {
  /** Of a disc. */
  readonly radius: number;
  /** 0: glyphs, 1: cars. */
  readonly car: number;
  readonly length: number;
  /** Half the square that a glyph needs. */
  readonly reach: number;
  readonly glow: number;
  readonly trailWidth: number;
  readonly stretch: number;
}

const CAR_FROM = 15.7;
const CAR_FULL = 16.2;
const CAR_PX_MIN = 23;
/** Zoom at which a car of 4.8 m is as long as it is drawn at least; from there on it grows with the street. */
const TRUE_TO_SCALE = 18.2;

export function sizesAt(zoom: number): Sizes {
  const radius = between(zoom, [10.5, 1.8], [12, 2.8], [13, 3.8], [15, 5.8], [16, 7]);
  const car = between(zoom, [CAR_FROM, 0], [CAR_FULL, 1]);
  const length = CAR_PX_MIN * 2 ** Math.max(0, zoom - TRUE_TO_SCALE);
  return {
    radius,
    car,
    length,
    reach: Math.max(radius * 1.5, car > 0 ? length * 0.62 : 0) + 3,
    glow: between(zoom, [14.6, 0.62], [16, 0]),
    trailWidth: between(zoom, [11, 1.6], [13, 3], [16, 5]),
    stretch: between(zoom, [12, 3.2], [13, 2.6], [15.5, 1]),
  };
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
