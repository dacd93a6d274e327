// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { HeatLayer } from "../../src/app/heat_layer";
import { Neighbourhoods } from "../../src/city/neighbourhoods";
import { FakePage } from "./page";

function shown(withMap = true) {
  const page = new FakePage();
  page.ready("gateway-1");
  page.image([
    { id: 1, x: -7_398_000, y: 4_075_000, at: 5, status: 1 },
    { id: 2, x: -7_398_000, y: 4_075_000, at: 5, status: 5, speed: 10 },
  ]);
  let now = 0;
  const loaded: string[] = [];
  const waits = Array.from({ length: 10 }, (_, i) => ({
    requestedMs: 0,
    atMs: 0,
    pickup: (i < 5 ? [-7_398_000, 4_075_000] : [-7_388_000, 4_075_000]) as [number, number],
    waitMs: i < 5 ? 45_000 : 310_000,
  }));
  const street = {
    geometry: {
      type: "LineString",
      coordinates: [
        [-73.99, 40.75],
        [-73.97, 40.75],
      ],
    },
  };
  const block = (lng: number) => ({ geometry: { coordinates: [[[lng, 40.75]]] } });
  const heat = new HeatLayer(
    page.store,
    withMap ? page.map : null,
    () => ({ waits }),
    async (name) => {
      loaded.push(name);
      return { features: name === "roads" ? [street] : [block(-73.98), block(-73.88)] };
    },
    () => now,
  );
  page.store.neighbourhoods.value = new Neighbourhoods({
    features: [
      { geometry: { coordinates: [-73.98, 40.75] }, properties: { kind: "neighbourhood", name: "West" } },
      { geometry: { coordinates: [-73.88, 40.75] }, properties: { kind: "neighbourhood", name: "East" } },
    ],
  });
  const later = (ms: number) => {
    now += ms;
    heat.follow(page.replica);
  };
  return { page, heat, loaded, later };
}

describe("a layer of the map", () => {
  it("is none until one is chosen, then follows the rows every other second", async () => {
    const { page, heat, later } = shown();
    later(5_000);
    expect(page.map.heats).toEqual([]);
    await heat.choose("vacant", page.replica);
    expect(page.map.heats).toEqual([null, { what: "density", of: "vacant", points: [[-73.98, 40.75, 1]] }]);
    later(1_900);
    expect(page.map.heats).toHaveLength(2);
    later(200);
    expect(page.map.heats).toHaveLength(3);
    await heat.choose(null, page.replica);
    later(5_000);
    expect([page.map.heats.at(-1), page.store.layer.value]).toEqual([null, null]);
  });

  it("of waits colours blocks from the shortest to the longest median, and says what these are", async () => {
    const { page, heat, loaded, later } = shown();
    await heat.choose("waits", page.replica);
    later(2_000);
    expect(page.map.heats.at(-1)).toEqual({
      what: "features",
      of: "blocks",
      values: new Map([
        [0, 0],
        [1, 1],
      ]),
    });
    expect([loaded, page.store.layerScale.value]).toEqual([["blocks"], ["0:45", "5:10"]]);
    await heat.choose("waiting", page.replica);
    expect(page.store.layerScale.value).toBeNull();
  });

  it("of speeds knows a street after some sightings, and loads the streets once", async () => {
    const { page, heat, loaded, later } = shown();
    await heat.choose("speeds", page.replica);
    for (let i = 0; i < 3; i++) later(2_000);
    const last = page.map.heats.at(-1);
    if (last?.what !== "features") throw new Error("no streets");
    expect([...last.values]).toEqual([[0, expect.closeTo(1 - 5 / (40 / 3.6))]]);
    await heat.choose("vacant", page.replica);
    await heat.choose("speeds", page.replica);
    expect(loaded).toEqual(["roads"]);
  });

  it("needs no map", async () => {
    const { page, heat } = shown(false);
    await heat.choose("waiting", page.replica);
    expect(page.store.layer.value).toBe("waiting");
  });
});
