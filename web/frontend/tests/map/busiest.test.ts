// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { busiest, CORNER_E5, DISTRICT_E5 } from "../../src/map/busiest";

/** Rows of taxis: longitude and latitude in 1e-5 degrees, speed in half metres a second. */
function rows(...taxis: [lng: number, lat: number, speed: number][]) {
  const column = (i: 0 | 1) => Int32Array.from(taxis.map((taxi) => taxi[i]));
  const speed = Uint8Array.from(taxis.map((taxi) => taxi[2]));
  return { n: taxis.length, lngE5: column(0), latE5: column(1), speed };
}

const many = (n: number, lng: number, lat: number, speed: number) =>
  Array.from({ length: n }, (_, i): [number, number, number] => [lng + (i % 5), lat + (i % 3), speed]);

describe("the busiest place", () => {
  it("is where most taxis drive, not where most stand", () => {
    const place = busiest(
      rows(...many(30, -7_398_000, 4_075_000, 20), ...many(90, -7_395_000, 4_079_000, 0)),
      DISTRICT_E5,
    );
    expect(place![0]).toBeCloseTo(-73.98, 3);
    expect(place![1]).toBeCloseTo(40.75, 3);
  });

  it("counts a crowd that lies across the edge of a square as one", () => {
    const edge = -74 * CORNER_E5 * 1000;
    const crowd = [...many(8, edge - 6, 4_075_000, 20), ...many(8, edge + 6, 4_075_000, 20)];
    const other = many(10, edge + 5_000, 4_075_000, 20);
    expect(busiest(rows(...other, ...crowd), CORNER_E5)![0]).toBeCloseTo(edge / 1e5, 3);
  });

  it("is not known while hardly any taxi moves", () => {
    expect(busiest(rows(), DISTRICT_E5)).toBeNull();
    expect(busiest(rows(...many(99, 0, 0, 0), [0, 0, 20]), DISTRICT_E5)).toBeNull();
  });
});
