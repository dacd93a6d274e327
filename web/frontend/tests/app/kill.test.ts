// SPDX-License-Identifier: Apache-2.0
import { afterEach, describe, expect, it, vi } from "vitest";
import type { PartAction } from "../../src/app/api";
import { PartBreaker } from "../../src/app/kill";
import { Store } from "../../src/app/store";
import type { PartNow } from "../../src/city/recovery";
import { atRest } from "../../src/stream";
import { CUT_MS } from "../stream/encode";

afterEach(() => {
  vi.unstubAllGlobals();
});

const part = (name: string, pid: number, state = "ready"): PartNow => ({ name, pid, state, restarts: 0 });

/** A page that gateway-1 serves, and a demo that notes what is done to its parts. */
function page(answer: number | null | string = 11) {
  const store = new Store();
  store.canKill.value = true;
  store.link.value = { ...atRest(false), state: "live" };
  store.held.value = { drivers: 1, byStatus: [], cutMs: CUT_MS, stale: false };
  store.verifiedAt.value = store.now.value;
  store.noteOutage({ type: "ready", gateway: "gateway-1", fresh: true });
  store.parts.value = [part("gateway-1", 11), part("simulator", 12)];
  const done: [string, PartAction][] = [];
  const asked: number[] = [];
  const demo = { parts: store.parts.value as readonly PartNow[] | null };
  const clock = { now: 1_000 };
  const gateway = {
    act: async (name: string, action: PartAction) => {
      done.push([name, action]);
      return answer;
    },
    parts: async () => {
      asked.push(clock.now);
      return demo.parts;
    },
  };
  return { store, done, asked, demo, clock, breaker: new PartBreaker(store, gateway, () => clock.now) };
}

describe("the kill button", () => {
  it("kills the gateway that serves, once", async () => {
    const { store, done, breaker } = page();
    await breaker.killOwn();
    await breaker.killOwn();
    expect(done).toEqual([["gateway-1", "kill"]]);
    expect(store.outage.value.killing).toBe("gateway-1");
    expect(store.marks.value).toEqual([{ atMs: CUT_MS, words: "gateway-1 killed" }]);
  });

  it("says so if the gateway was not killed, and may be pressed again", async () => {
    const { store, done, breaker } = page("it is not a part of this demo");
    await breaker.killOwn();
    expect(store.notice.value).toBe("gateway-1 was not killed: it is not a part of this demo");
    expect([store.recovery.value.going, store.marks.value]).toEqual([[], []]);
    await breaker.killOwn();
    expect(done).toHaveLength(2);
  });

  it("does nothing where nothing may be killed, or while no gateway serves", async () => {
    const [forbidden, early, lost] = [page(), page(), page()];
    forbidden.store.canKill.value = false;
    early.store.held.value = null;
    lost.store.now.value += 3_000;
    for (const { breaker, done } of [forbidden, early, lost]) {
      await breaker.killOwn();
      expect(done).toEqual([]);
    }
  });
});

describe("any part", () => {
  it("is measured from the request until it is ready, and the page verified", async () => {
    const { store, breaker, demo, clock } = page(12);
    await breaker.act("simulator", "kill");
    expect(store.outage.value.killing).toBeNull();
    clock.now = 1_300;
    await breaker.tick();
    expect(store.recovery.value.going[0]).toMatchObject({ part: "simulator", pid: 12, readyAt: null });
    demo.parts = [part("simulator", 99)];
    clock.now = 2_000;
    await breaker.tick();
    store.noteRecovery({ type: "verified", at: 2_050, loc: 5, ev: 0 });
    expect(store.recovery.value.last).toEqual({ "kill simulator": 1_050 });
    expect(store.score.value).toMatchObject({ others: 1, gateways: 0, best: { "kill simulator": 1_050 } });
  });

  it("that is frozen is measured too, and can be woken", async () => {
    const { store, done, breaker } = page(12);
    await breaker.act("simulator", "freeze");
    await breaker.act("simulator", "wake");
    expect(done).toEqual([
      ["simulator", "freeze"],
      ["simulator", "wake"],
    ]);
    expect(store.recovery.value.going[0]).toMatchObject({ deed: "freeze", wasFrozen: true });
    expect(store.marks.value.map(({ words }) => words)).toEqual(["simulator frozen", "simulator woken"]);
  });

  it("is chosen among those that are ready, by chance", async () => {
    const { store, done, breaker } = page();
    store.parts.value = [part("gateway-1", 11, "restarting"), part("simulator", 12), part("kafka", 13)];
    for (const [which, how] of [
      [3, 1],
      [2, 2],
    ]) {
      vi.stubGlobal("crypto", {
        getRandomValues: (words: Uint32Array) => words.map((_, i) => (i === 0 ? which! : how!)),
      });
      await breaker.surprise();
    }
    expect(done).toEqual([
      ["kafka", "freeze"],
      ["simulator", "kill"],
    ]);
    store.parts.value = [];
    await breaker.surprise();
    expect(done).toHaveLength(2);
  });

  it("is looked at only while its state is shown or measured", async () => {
    const { store, asked, breaker, clock } = page();
    await breaker.tick();
    expect(asked).toEqual([]);
    store.proof.value = true;
    for (clock.now = 2_000; clock.now < 4_000; clock.now += 100) await breaker.tick();
    expect(asked).toEqual([2_000, 3_000]);
    store.canKill.value = false;
    clock.now = 9_000;
    await breaker.tick();
    expect(asked).toHaveLength(2);
  });
});
