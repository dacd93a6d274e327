// SPDX-License-Identifier: Apache-2.0
/** The health of a page: one word that says whether what it shows can be believed. */

import { describe, expect, it } from "vitest";
import { type Health, Store } from "../../src/app/store";
import { atRest } from "../../src/stream";

const TALLY = { missed: 0, repeated: 0 };

function healthy(): Store {
  const store = new Store();
  store.link.value = { ...atRest(false), state: "live" };
  store.held.value = { drivers: 5, byStatus: [0, 5, 0, 0, 0, 0, 0], cutMs: 1, stale: false };
  store.noteOutage({ type: "ready", gateway: "gateway-1", fresh: true });
  store.verifiedAt.value = store.now.value;
  return store;
}

const lose = (store: Store) => {
  store.noteOutage({ type: "lost", lastUpdateAt: store.now.value, tally: TALLY });
};

describe("the health of a page", () => {
  it.each<[Health, string, (store: Store) => void]>([
    ["fine", "updates arrive and match", () => {}],
    ["starting", "there are no rows yet", (s) => (s.held.value = null)],
    ["stale", "the log does not move", (s) => (s.held.value = { ...s.held.value!, stale: true })],
    ["fine", "an outage has only begun", lose],
    [
      "reconnecting",
      "an outage lasts",
      (s) => {
        lose(s);
        s.now.value += 500;
        s.verifiedAt.value = s.now.value;
      },
    ],
    ["reconnecting", "no update came for a while", (s) => (s.now.value += 2_600)],
    ["refused", "no gateway accepts it", (s) => (s.link.value = { ...s.link.value, state: "refused" })],
    ["troubled", "the gateway reports a fault", (s) => (s.gatewayFaults.value = [{ code: "x", text: "y" }])],
  ])("is %s if %s", (health, _, change) => {
    const store = healthy();
    change(store);
    expect(store.health.value).toBe(health);
  });

  it("names the gravest first: a hash that differs before an outage, a refusal before all", () => {
    const store = healthy();
    lose(store);
    store.now.value += 500;
    store.mismatch.value = { cutMs: 1, own: "a", received: "b", at: store.now.value, healedAt: null };
    expect(store.health.value).toBe("differs");
    store.link.value = { ...store.link.value, state: "refused" };
    expect(store.health.value).toBe("refused");
  });

  it("is never fine while any fault is known", () => {
    for (const trouble of ["missing", "lost", "gone", "misplaced", "failed", "unloaded"] as const) {
      const store = healthy();
      store.mapTrouble.value = trouble;
      expect(store.health.value).not.toBe("fine");
      expect(store.faults.value.map(({ code }) => code)).toEqual([`map_${trouble}`]);
    }
  });

  it("is kept with its time, the last fifty changes", () => {
    const store = healthy();
    for (let i = 0; i < 60; i++) store.noteHealth(i % 2 ? "fine" : "stale");
    expect(store.healths).toHaveLength(50);
    expect(store.healths.at(-1)?.health).toBe("fine");
  });

  it("has no age before the first update", () => {
    expect(new Store().ageMs.value).toBeNull();
  });
});
