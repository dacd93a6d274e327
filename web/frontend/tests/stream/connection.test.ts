// SPDX-License-Identifier: Apache-2.0
/** What the fault scripts can't say: which events the application gets, and what it may do at any time. */

import { describe, expect, it, vi } from "vitest";
import type { Link, Update } from "../../src/stream";
import { Connection, type TokenSource } from "../../src/stream/connection";
import { EPOCH, encodeUpdate } from "./encode";
import { FakeWorld } from "./world";

const GRID = { west_e5: 0, south_e5: 0, shift: 9, columns: 1, rows: 1 };
const ready = (gateway: string, mode = "image") => ({
  type: "ready",
  v: 1,
  gateway,
  mode,
  epoch: EPOCH,
  grid: GRID,
});
const ROW = { id: 1, x: -7_398_000, y: 4_075_000, at: 5 };
const IMAGE = () => encodeUpdate({ image: true, to: [10, 5], rows: [ROW] });
const next = (from: [number, number], to: [number, number], hashOff = 0) =>
  encodeUpdate({ from, to, held: { rows: [ROW], rides: [] }, hashOff });

/** A client in a world without sockets, and the events that it got. */
function client(token?: TokenSource) {
  const world = new FakeWorld();
  const calls: string[] = [];
  const listener = {
    update: ({ loc }: Update) => calls.push(`update ${loc}`),
    mismatch: ({ loc }: Update) => calls.push(`mismatch ${loc}`),
    ready: ({ gateway, mode }: { gateway: string; mode: string }) => calls.push(`${gateway} ${mode}`),
    reset: (reason: string) => calls.push(`reset ${reason}`),
    link: ({ state }: Link) => calls.push(state),
  };
  const connection = new Connection({ city: "manhattan", listener, ...(token && { token }) }, world);
  connection.start();
  return { connection, world, calls, newest: () => world.sockets.at(-1)! };
}

function live() {
  const it = client();
  it.newest().onopen();
  it.newest().says(ready("gateway-1"));
  it.newest().says(IMAGE());
  return it;
}

describe("the application", () => {
  it("gets events in the order in which it happens", () => {
    const it = live();
    it.newest().says(next([10, 5], [12, 5]));
    it.newest().says({ type: "reset", reason: "overflow" });
    it.newest().says(ready("gateway-1"));
    it.newest().says(IMAGE());
    const again = ["reset overflow", "gateway-1 image", "live", "update 10"];
    expect(it.calls).toEqual([
      "connecting",
      "greeting",
      "gateway-1 image",
      "live",
      "update 10",
      "update 12",
      ...again,
    ]);
  });

  it("gets an event for rows that are wrong, and not of the cuts that are passed over until it heals", () => {
    const it = live();
    it.newest().says(next([10, 5], [11, 5], 1));
    it.newest().says(next([11, 5], [12, 5]));
    expect(it.calls.slice(-1)).toEqual(["mismatch 11"]);
    expect(it.connection.trusted).toBe(false);
  });

  it("gets nothing of a line that is left, and of nothing but states while a gateway drains", () => {
    const it = live();
    const old = it.newest();
    it.calls.length = 0;
    old.says({ type: "drain", within_ms: 2000 });
    it.newest().onopen();
    it.newest().says(ready("gateway-2", "resume"));
    it.newest().says(next([10, 5], [12, 5]));
    old.says(next([10, 5], [11, 5]));
    old.onclose({ code: 4001, reason: "0" });
    expect(it.calls).toEqual([
      "handover_connecting",
      "handover_greeting",
      "gateway-2 resume",
      "live",
      "live",
      "update 12",
    ]);
  });

  it("may try at once what was meant for later", () => {
    const it = live();
    it.newest().onclose({ code: 4029, reason: "20000" });
    it.connection.start();
    expect(it.world.sockets).toHaveLength(2);
    it.world.pass(900);
    expect(it.world.sockets).toHaveLength(2);
  });

  it("may be busy for longer than a line may be silent, and keeps the line that spoke meanwhile", () => {
    const it = live();
    it.world.stall(6_000);
    it.newest().says(next([10, 5], [12, 5]));
    it.world.pass(1_400);
    expect(it.world.sockets).toHaveLength(1);
    expect(it.calls.at(-1)).toBe("update 12");
    it.world.pass(200);
    expect(it.world.sockets).toHaveLength(2);
    expect(it.calls.at(-1)).toBe("handover_connecting");
  });

  it("may leave at any time, and nothing is left behind", () => {
    const it = live();
    it.newest().says({ type: "drain", within_ms: 2000 });
    it.connection.stop();
    expect(it.world.sockets.map(({ deeds }) => deeds.at(-1))).toEqual(["closes", "closes"]);
    it.world.pass(60_000);
    expect(it.world.sockets).toHaveLength(2);
    expect(it.calls.at(-1)).toBe("stopped");
  });

  it("is asked for a token again, later, where it had none to give at the moment", async () => {
    vi.spyOn(console, "warn").mockImplementation(() => {});
    const answers = [() => Promise.reject(new Error("the issuer is down")), () => Promise.resolve("late")];
    const it = client(() => answers.shift()!());
    await vi.waitFor(() => expect(it.calls.at(-1)).toBe("waiting"));
    it.world.pass(50);
    await vi.waitFor(() => expect(it.calls.at(-1)).toBe("connecting"));
    it.newest().onopen();
    expect(it.newest().deeds.at(-1)).toMatchObject({ says: { token: "late" } });
  });
});
