// SPDX-License-Identifier: Apache-2.0
/** A client that gets no line says why, as far as it can know, and does not try in silence for ever. */

import { beforeEach, describe, expect, it, vi } from "vitest";
import type { Link, Problem } from "../../src/stream";
import { Connection, GIVE_UP_MS, type Options } from "../../src/stream/connection";
import { diagnose } from "../../src/stream/diagnose";
import { EPOCH, encodeUpdate } from "./encode";
import { FakeWorld } from "./world";

const GRID = { west_e5: 0, south_e5: 0, shift: 9, columns: 1, rows: 1 };
const READY = { type: "ready", v: 1, gateway: "gateway-1", mode: "image", epoch: EPOCH, grid: GRID };
const IMAGE = () => encodeUpdate({ image: true, to: [10, 5] });
const UNREACHABLE: Problem = { kind: "unreachable", text: "nothing answers at example.test:9" };

/** A client, and every state of its line that it reported. */
function client(world = new FakeWorld(), options: Partial<Options> = {}) {
  const links: Link[] = [];
  const listener = { link: (link: Link) => links.push(link) };
  const connection = new Connection({ city: "manhattan", listener, ...options }, world);
  connection.start();
  const newest = () => world.sockets.at(-1)!;
  const fail = (times: number) => {
    for (let i = 0; i < times; i++) {
      newest().onclose({ code: 1006, reason: "" });
      world.pass(200);
    }
  };
  return { connection, world, links, newest, fail, problem: () => connection.state.problem };
}

describe("a line that can't be had", () => {
  const warned: string[] = [];
  beforeEach(() => {
    warned.length = 0;
    vi.spyOn(console, "warn").mockImplementation((line) => warned.push(String(line)));
  });

  it("says from the first failure on that no connection could be opened, and on the console once it lasts", () => {
    const it = client();
    it.fail(1);
    expect(it.links.find(({ problem }) => problem)?.problem?.kind).toBe("unopened");
    expect(warned).toEqual([]);
    it.fail(30);
    expect(warned).toEqual(["no connection to a gateway: no connection to the gateway could be opened"]);
  });

  it("is looked into once it lasts, and what was found out is reported", async () => {
    const world = new FakeWorld();
    let asked = 0;
    world.diagnose = async () => {
      asked++;
      return UNREACHABLE;
    };
    const it = client(world);
    it.fail(10);
    await vi.waitFor(() => expect(it.problem()).toEqual(UNREACHABLE));
    expect(it.links.at(-1)?.problem).toEqual(UNREACHABLE);
    it.fail(10);
    expect(it.problem()).toEqual(UNREACHABLE);
    expect(asked).toBe(1);
    expect(warned.at(-1)).toBe(`no connection to a gateway: ${UNREACHABLE.text}`);
    it.newest().onopen();
    it.newest().says(READY);
    expect(it.problem()).toBeNull();
  });

  it("is reported as silent where nothing answers, before and after it opened", () => {
    const it = client();
    it.world.pass(1_000);
    expect(it.problem()).toMatchObject({ kind: "silent", text: "nothing answers the attempt to connect" });
    it.world.pass(50);
    it.newest().onopen();
    it.world.pass(2_000);
    expect(it.problem()?.text).toBe("the connection opened, but no gateway answers on it");
  });

  it("is never waited for longer than three seconds, whether it does not open or does not speak", () => {
    const it = client();
    const { world } = it;
    let dialled = 0;
    let sinceMs = 0;
    // Until so many have failed that a slow network gets its time: one that opened counts as five.
    while (it.connection.state.failures < 10) {
      if (world.sockets.length > dialled) {
        dialled = world.sockets.length;
        sinceMs = 0;
        if (dialled === 3) world.after(1_790, () => it.newest().onopen());
      }
      world.pass(10);
      sinceMs += 10;
      expect(sinceMs).toBeLessThanOrEqual(3_020); // looked at every 10 ms
    }
    expect(dialled).toBeGreaterThan(5);
  });

  it("is given up where no picture came in time, and may be tried again", () => {
    const it = client();
    it.fail(20);
    it.world.pass(GIVE_UP_MS);
    expect(it.connection.state.state).toBe("unreachable");
    expect(it.problem()?.kind).toBeDefined();
    const tried = it.world.sockets.length;
    it.world.pass(120_000);
    expect(it.world.sockets).toHaveLength(tried);
    it.connection.start();
    expect(it.world.sockets).toHaveLength(tried + 1);
    it.world.pass(GIVE_UP_MS + 1);
    expect(it.connection.state.state).toBe("unreachable");
  });

  it("is never given up after a picture, nor where that is not wanted", () => {
    const seen = client();
    seen.newest().onopen();
    seen.newest().says(READY);
    seen.newest().says(IMAGE());
    seen.fail(1);
    seen.world.pass(10 * GIVE_UP_MS);
    expect(seen.connection.state.state).not.toBe("unreachable");
    const patient = client(new FakeWorld(), { giveUpMs: null });
    patient.world.pass(10 * GIVE_UP_MS);
    expect(patient.connection.state.state).not.toBe("unreachable");
  });

  it("is reported where the browser forbids the very attempt", () => {
    const world = new FakeWorld();
    vi.spyOn(world, "open").mockImplementation(() => {
      throw new DOMException("An insecure WebSocket connection may not be initiated", "SecurityError");
    });
    const it = client(world);
    world.pass(1);
    expect(it.problem()?.kind).toBe("blocked");
    expect(it.problem()?.text).toContain("An insecure WebSocket connection");
    expect(it.connection.state.state).toBe("waiting");
  });

  it("does not wait for ever for a token", async () => {
    const it = client(new FakeWorld(), { token: () => new Promise(() => {}) });
    expect(it.connection.state.state).toBe("asking");
    it.world.pass(10_000);
    await vi.waitFor(() => expect(it.problem()?.kind).toBe("no token"));
  });

  it("says what a gateway closed it with", () => {
    const it = client();
    it.newest().onopen();
    it.newest().onclose({ code: 1013, reason: "try again" });
    expect(it.problem()?.text).toBe("the gateway closed the connection: 1013, try again");
  });
});

describe("looking into it", () => {
  const answer = (status: number, body = "", type = "text/plain") =>
    new Response(status === 0 ? null : body, { status: status || 200, headers: { "content-type": type } });

  /** A world in which these addresses answer. */
  function network(answers: Record<string, (mode: string) => Response>) {
    return async (url: string, { mode }: RequestInit) => {
      const found = Object.entries(answers).find(([start]) => url.startsWith(start))?.[1];
      if (!found)
        throw new TypeError("fetch failed", { cause: new Error("connect ECONNREFUSED 127.0.0.1:9") });
      return found(mode!);
    };
  }

  it("tells that nothing listens, and what Node knows of it", async () => {
    const problem = await diagnose("ws://127.0.0.1:9/ws", network({}));
    expect(problem).toEqual({
      kind: "unreachable",
      text: "nothing answers at 127.0.0.1:9 (connect ECONNREFUSED 127.0.0.1:9): no gateway listens there",
    });
  });

  it("tells that a server answers and opens no socket, with what it says about that", async () => {
    const detail = '{"title":"Forbidden","detail":"pages of https://a.test may not open the socket"}';
    const forbids = network({ "http://h:1/ws": () => answer(403, detail, "application/problem+json") });
    const problem = await diagnose("ws://h:1/ws", forbids);
    expect(problem?.kind).toBe("refused");
    expect(problem?.text).toBe(
      "a server answers at h:1/ws, but it does not open the socket: pages of https://a.test may not open the socket",
    );
    const missing = await diagnose("ws://h:1/wrong", network({ "http://h:1/": () => answer(404) }));
    expect(missing?.text).toContain("says that nothing is there (404)");
  });

  it("tells as much of another origin's server as a browser shows", async () => {
    const opaque = (mode: string) => {
      if (mode === "cors") throw new TypeError("Failed to fetch");
      return answer(0);
    };
    const problem = await diagnose("wss://h/ws", network({ "https://h/ws": opaque }));
    expect(problem?.kind).toBe("refused");
    expect(problem?.text).toContain("not allow this page's origin");
  });

  it.each([
    ["ws://h:1/ws", "https://h:1/", "speaks TLS: use wss:// instead of ws://"],
    ["wss://h:1/ws", "http://h:1/", "speaks no TLS: use ws:// instead of wss://"],
  ])("tells that %s is of the wrong scheme", async (url, answers, words) => {
    const problem = await diagnose(url, network({ [answers]: () => answer(200) }));
    expect(problem?.text).toBe(`the server at h:1 ${words}`);
  });

  it("knows nothing where it cannot ask at all", async () => {
    expect(await diagnose("not an address", network({}))).toBeNull();
  });
});
