// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { Connection, type Listener } from "../../src/stream/connection";
import { type Cursor, cursorText } from "../../src/stream/cursor";
import { Picture } from "../../src/stream/state";
import { EPOCH, encodeCut } from "./encode";

class FakeSocket {
  binaryType = "";
  sent: string[] = [];
  closed = false;
  onopen = () => {};
  onmessage = (_: { data: ArrayBuffer | string }) => {};
  onclose = (_: { code: number; reason: string }) => {};

  send(text: string) {
    this.sent.push(text);
  }

  close() {
    this.closed = true;
  }

  says(message: object | ArrayBuffer) {
    this.onmessage({ data: message instanceof ArrayBuffer ? message : JSON.stringify(message) });
  }

  drops(code = 1006, reason = "") {
    this.onclose({ code, reason });
  }
}

/** A page without a browser: its sockets, its timers, and what it was told. */
function page() {
  const sockets: FakeSocket[] = [];
  let timers: { at: number; then: () => void }[] = [];
  let now = 0;
  const picture = new Picture();
  const told: string[] = [];
  const listener: Listener = {
    cursor: (): Cursor | null => picture.cursor,
    forget: () => {
      picture.cursor = null;
      told.push("forget");
    },
    cut: (cut, epoch) => picture.apply(cut, epoch),
    ready: ({ gateway, mode }) => told.push(`${gateway} ${mode}`),
    reset: (reason) => told.push(`reset ${reason}`),
    link: ({ state }) => told.push(state),
  };
  const connection = new Connection("manhattan", listener, {
    open: () => {
      const socket = new FakeSocket();
      sockets.push(socket);
      return socket as unknown as WebSocket;
    },
    after: (ms, then) => {
      const timer = { at: now + ms, then };
      timers.push(timer);
      return () => {
        timers = timers.filter((other) => other !== timer);
      };
    },
    random: () => 0.5,
  });
  const pass = (ms: number) => {
    const end = now + ms;
    for (;;) {
      const next = timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (!next) break;
      timers = timers.filter((other) => other !== next);
      now = next.at;
      next.then();
    }
    now = end;
  };
  return { connection, sockets, picture, told, pass, newest: () => sockets.at(-1)! };
}

const ready = (gateway: string, mode = "image") => ({ type: "ready", v: 1, gateway, mode, epoch: EPOCH });
const ROW = { id: 1, x: -7_398_000, y: 4_075_000, at: 5 };
const IMAGE = () => encodeCut({ image: true, to: [10, 5], rows: [ROW] });
const next = (from: [number, number], to: [number, number]) =>
  encodeCut({ from, to, held: { rows: [ROW], rides: [] } });

function live() {
  const it = page();
  it.connection.start();
  it.newest().onopen();
  it.newest().says(ready("gateway-1"));
  it.newest().says(IMAGE());
  return it;
}

describe("the connection", () => {
  it("says hello without a cursor at the first visit", () => {
    const it = live();
    expect(JSON.parse(it.newest().sent[0]!)).toEqual({ type: "hello", v: 1, city: "manhattan" });
    expect(it.picture.drivers.n).toBe(1);
  });

  it("comes back within 100 ms with the cursor of the last cut applied", () => {
    const it = live();
    it.newest().says(next([10, 5], [12, 6]));
    it.newest().drops();
    it.pass(100);
    it.newest().onopen();
    expect(it.sockets).toHaveLength(2);
    expect(JSON.parse(it.newest().sent[0]!).cursor).toBe(cursorText({ epoch: EPOCH, loc: 12, ev: 6 }));
    it.newest().says(ready("gateway-2", "resume"));
    it.newest().says(next([12, 6], [20, 6]));
    expect(it.picture.cursor).toMatchObject({ loc: 20 });
  });

  it("leaves a line that has been silent for three seconds", () => {
    const it = live();
    it.pass(2_900);
    it.newest().says(next([10, 5], [10, 5]));
    it.pass(2_900);
    expect(it.sockets).toHaveLength(1);
    it.pass(200);
    expect(it.sockets[0]!.closed).toBe(true);
    expect(it.sockets).toHaveLength(2);
  });

  it("gives up on a line that never opens, too", () => {
    const it = page();
    it.connection.start();
    it.pass(3_100);
    expect(it.sockets[0]!.closed).toBe(true);
    expect(it.sockets.length).toBeGreaterThan(1);
  });

  it("asks again from where it stands when a cut is missing", () => {
    const it = live();
    it.newest().says(next([11, 5], [12, 5]));
    it.pass(100);
    it.newest().onopen();
    expect(JSON.parse(it.newest().sent[0]!).cursor).toBe(`${EPOCH}:10:5`);
  });

  it("asks for a fresh picture when its hash differs, and is right again after it", () => {
    const it = live();
    it.newest().says(encodeCut({ from: [10, 5], to: [11, 5], held: { rows: [ROW], rides: [] }, hashOff: 1 }));
    expect(it.told).toContain("forget");
    it.pass(100);
    it.newest().onopen();
    expect(JSON.parse(it.newest().sent[0]!).cursor).toBeUndefined();
    it.newest().says(ready("gateway-1"));
    it.newest().says(IMAGE());
    expect(it.told.at(-1)).toBe("live");
  });

  it("hears nothing from a socket that it has left", () => {
    const it = live();
    const old = it.newest();
    it.newest().says({ type: "drain", within_ms: 2000 });
    expect(it.sockets).toHaveLength(2);
    old.says(next([10, 5], [12, 6]));
    old.drops(4001, "0");
    expect(it.picture.cursor).toMatchObject({ loc: 10 });
    it.pass(500);
    expect(it.sockets).toHaveLength(2);
  });

  it("tells of a reset and of being turned away", () => {
    const it = live();
    it.newest().says({ type: "reset", reason: "expired" });
    it.newest().drops(4404);
    expect(it.told.slice(-2)).toEqual(["reset expired", "refused"]);
    it.pass(60_000);
    expect(it.sockets).toHaveLength(1);
  });
});
