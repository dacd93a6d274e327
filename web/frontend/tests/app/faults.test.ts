// SPDX-License-Identifier: Apache-2.0
/** What is wrong although cuts arrive, and that the headline's health never says "fine" while something is. */

import { describe, expect, it } from "vitest";
import { faults, headAndRest, type Seen } from "../../src/app/faults";
import { Store } from "../../src/app/store";
import { atRest } from "../../src/stream";

const WELL: Seen = { gateway: [], verifiers: [], map: null, error: null, taxis: 2000 };
const SILENT = { code: "no_positions", text: "no positions arrive: check the simulator" };

/** A page on which everything is in order. */
function healthy(): Store {
  const store = new Store();
  store.link.value = { ...atRest(false), state: "live" };
  store.held.value = { drivers: 2000, byStatus: [], cutMs: Date.now(), stale: false };
  store.verifiedAt.value = store.now.value;
  return store;
}

describe("faults", () => {
  it("are none where all is well", () => {
    expect(faults(WELL)).toEqual([]);
  });

  it("come with the gravest first: this page, its map, the gateway", () => {
    const all = faults({
      gateway: [SILENT],
      verifiers: [{ code: "differs_from_log", text: "gateway-1 …" }],
      map: "lost",
      error: "TypeError: x",
      taxis: 2000,
    });
    expect(all.map(({ code }) => code)).toEqual([
      "page_error",
      "map_lost",
      "differs_from_log",
      "no_positions",
    ]);
  });

  it("name an empty city, unless the gateway says why it is empty", () => {
    expect(faults({ ...WELL, taxis: 0 }).map(({ code }) => code)).toEqual(["no_taxis"]);
    expect(faults({ ...WELL, taxis: 0, gateway: [SILENT] })).toEqual([SILENT]);
    expect(faults({ ...WELL, taxis: null })).toEqual([]);
  });

  it.each([
    ["no positions arrive: check the simulator", "No positions arrive", "check the simulator"],
    ["positions are ahead; set the clock", "Positions are ahead", "set the clock"],
    ["the page broke: reload it (x: y)", "The page broke", "reload it (x: y)"],
    ["this is all", "This is all", ""],
    ["disk full (97 %)", "Disk full", "97 %"],
    ["", "", ""],
    ["a: b", "A: b", ""],
  ])("are shown in two parts: %s", (text, head, rest) => {
    expect(headAndRest({ code: "x", text })).toEqual([head, rest]);
  });
});

describe("the headline", () => {
  it("is fine where all is well", () => {
    expect(healthy().health.value).toBe("fine");
  });

  it.each<[string, (store: Store) => void]>([
    ["the gateway tells a fault", (store) => (store.gatewayFaults.value = [SILENT])],
    ["the map lost its context", (store) => (store.mapTrouble.value = "lost")],
    ["the map cannot be drawn", (store) => (store.mapTrouble.value = "missing")],
    ["taxis are not where the streets are", (store) => (store.mapTrouble.value = "misplaced")],
    ["the page had an error", (store) => (store.pageError.value = "TypeError: x")],
    ["there are no taxis", (store) => (store.held.value = { ...store.held.value!, drivers: 0 })],
  ])("is troubled while %s", (_, change) => {
    const store = healthy();
    change(store);
    expect(store.health.value).toBe("troubled");
  });

  it("is not fine once no cut has come for a while, though no line was lost", () => {
    const store = healthy();
    store.now.value += 2_600;
    expect(store.health.value).toBe("reconnecting");
  });

  it("is not fine while another line is sought", () => {
    const store = healthy();
    store.link.value = { ...store.link.value, state: "handover_connecting", isDoubted: true };
    expect(store.health.value).toBe("reconnecting");
  });

  it("counts an empty view, where only a part is asked for, as no fault", () => {
    const store = healthy();
    store.view.value = [0, 0, 1, 1];
    store.held.value = { ...store.held.value!, drivers: 0 };
    expect(store.health.value).toBe("fine");
  });
});
