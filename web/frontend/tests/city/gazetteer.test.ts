// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { Gazetteer } from "../../src/city/gazetteer";

const street = (label: string, ...coordinates: number[][]) => ({
  geometry: { type: "LineString", coordinates },
  properties: { label },
});
const SMALL = new Gazetteer(
  {
    features: [
      street("8th Ave", [0, -0.01], [0, 0.01]),
      street("W 44th St", [-0.01, 0], [0.01, 0]),
      street("W 45th St", [-0.01, 0.005], [0.01, 0.005]),
      street("Far St", [0.5, 0.5], [0.6, 0.5]),
    ],
  },
  {
    features: [{ geometry: { coordinates: [1, 2] }, properties: { kind: "neighbourhood", name: "Chelsea" } }],
  },
);
const names = (text: string, gazetteer = SMALL) => gazetteer.search(text).map(({ name }) => name);

describe("places by name", () => {
  it("are corners where two streets cross, the street first", () => {
    expect(SMALL.search("44 8")).toEqual([{ name: "W 44th St & 8th Ave", place: [0, 0] }]);
    expect(names("8th avenue and west 45th street")).toEqual(["W 45th St & 8th Ave"]);
    expect(names("8th")).toEqual(["W 44th St & 8th Ave", "W 45th St & 8th Ave"]);
    expect(names("far")).toEqual([]);
  });

  it("are neighbourhoods, and nothing for nothing", () => {
    expect(names("chel")).toEqual(["Chelsea"]);
    expect(names(" & ")).toEqual([]);
  });

  it("are found in the real map", () => {
    const read = (name: string) =>
      JSON.parse(
        readFileSync(
          new URL(`../../../../taxi/cities/manhattan/basemap/${name}.geojson`, import.meta.url),
          "utf8",
        ),
      );
    const started = performance.now();
    const real = new Gazetteer(read("roads"), read("places"));
    expect(performance.now() - started).toBeLessThan(3_000);
    expect(names("w 44th st & 8th ave", real)).toContain("W 44th St & 8th Ave");
    const [corner] = real.search("w 44th 8th ave");
    expect(corner?.place[0]).toBeCloseTo(-73.988, 2);
    expect(corner?.place[1]).toBeCloseTo(40.758, 2);
    expect(names("harlem", real).length).toBeGreaterThan(0);
  });
});
