// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { type Channel, WindowComparison } from "../../src/app/second_window";
import { Store } from "../../src/app/store";
import { NO_WINDOWS, openWindows, readSeen, reduceWindows, type Seen } from "../../src/city/windows";

const seen = (id: string, cursor: string, hash = `hash of ${cursor}`, rows = "manhattan"): Seen => {
  return { id, gateway: `gateway of ${id}`, cursor, rows, hash, cutMs: 7 };
};
const own = (...given: Parameters<typeof seen>) => ({ type: "own", seen: seen(...given) }) as const;
const other = (at: number, ...given: Parameters<typeof seen>) =>
  ({ type: "other", seen: seen(...given), at }) as const;
const run = (...events: Parameters<typeof reduceWindows>[1][]) => events.reduce(reduceWindows, NO_WINDOWS);

describe("another window", () => {
  it("is compared at the cuts that both have had, whichever has it first", () => {
    const { others } = run(
      own("a", "e:1:1"),
      other(10, "b", "e:1:1"),
      other(20, "b", "e:3:1"),
      own("a", "e:2:1"),
      own("a", "e:3:1"),
    );
    expect(others).toEqual([{ id: "b", gateway: "gateway of b", at: 20, equal: 2, differed: 0, cutMs: 7 }]);
  });

  it("with another hash at the same cut differs, and one with other rows is not compared", () => {
    expect(run(own("a", "e:1:1"), other(10, "b", "e:1:1", "another")).others[0]).toMatchObject({
      equal: 0,
      differed: 1,
    });
    expect(run(own("a", "e:1:1"), other(10, "b", "e:1:1", "x", "helsinki")).others[0]).toMatchObject({
      equal: 0,
      differed: 0,
      cutMs: null,
    });
  });

  it("is gone if it was not heard for five seconds", () => {
    const state = run(other(0, "b", "e:1:1"), other(4_000, "c", "e:1:1"));
    expect(openWindows(state, 4_500).map(({ id }) => id)).toEqual(["b", "c"]);
    expect(openWindows(state, 6_000).map(({ id }) => id)).toEqual(["c"]);
    expect(run(other(0, "b", "e:1:1"), other(9_000, "c", "e:1:1")).others.map(({ id }) => id)).toEqual(["c"]);
  });

  it("keeps a bounded number of cuts", () => {
    const many = Array.from({ length: 1_000 }, (_, i) => own("a", `e:${i}:1`));
    expect(run(...many).own).toHaveLength(60);
  });

  it("may be of another version, and say what cannot be read", () => {
    for (const data of [
      null,
      7,
      "x",
      {},
      { ...seen("b", "e:1:1"), hash: 7 },
      { ...seen("b", "e:1:1"), cutMs: null },
    ])
      expect(readSeen(data)).toBeNull();
    expect(readSeen({ ...seen("b", "e:1:1"), more: 1 })).toEqual(seen("b", "e:1:1"));
  });
});

describe("windows of one browser", () => {
  /** Channels of one name: what one posts, the others get. */
  function channels() {
    const all: Channel[] = [];
    return () => {
      const channel: Channel = {
        onmessage: null,
        postMessage: (data) => {
          for (const one of all) if (one !== channel) one.onmessage?.({ data });
        },
        close: () => all.splice(all.indexOf(channel), 1),
      };
      all.push(channel);
      return channel;
    };
  }

  it("compare their hashes", () => {
    const open = channels();
    const stores = [new Store(), new Store()] as const;
    const windows = stores.map((store) => new WindowComparison(store, () => 10, open));
    const update = { gateway: "gateway-1", cursor: "e:1:1", rows: "manhattan", hash: "a b", cutMs: 7 };
    windows[0]!.say(update);
    windows[1]!.say({ ...update, gateway: "gateway-2" });
    expect(stores[0].windows.value.others).toMatchObject([{ gateway: "gateway-2", equal: 1, differed: 0 }]);
    expect(stores[1].windows.value.others).toMatchObject([{ gateway: "gateway-1", equal: 1, differed: 0 }]);
    windows[1]!.close();
    windows[0]!.say({ ...update, cursor: "e:2:1" });
    expect(stores[1].windows.value.theirs).toHaveLength(1);
  });

  it("that have no channel say nothing, and go on", () => {
    const store = new Store();
    const none = new WindowComparison(
      store,
      () => 10,
      () => {
        throw new Error("blocked");
      },
    );
    none.say({ gateway: "gateway-1", cursor: "e:1:1", rows: "manhattan", hash: "a b", cutMs: 7 });
    none.close();
    expect(store.windows.value).toEqual(NO_WINDOWS);
  });
});
