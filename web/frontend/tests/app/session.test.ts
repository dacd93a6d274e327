// SPDX-License-Identifier: Apache-2.0
/** A whole page but for its browser: a stream over fake sockets, a map that notes what it is asked, all actions. */

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { askAbout, rideDetails } from "../../src/app/api";
import { Session } from "../../src/app/session";
import { Store } from "../../src/app/store";
import type { connect } from "../../src/stream";
import { Connection } from "../../src/stream/connection";
import { EPOCH, encodeUpdate } from "../stream/encode";
import { FakeWorld } from "../stream/world";
import { FakeMap, ROWS } from "./page";

const GRID = { west_e5: -7_402_000, south_e5: 4_070_000, shift: 9, columns: 30, rows: 40 };
const READY = { type: "ready", v: 1, gateway: "gateway-1", mode: "image", epoch: EPOCH, grid: GRID };

beforeEach(() => {
  vi.stubGlobal("location", { search: "", hash: "", pathname: "/" });
  vi.stubGlobal("document", { baseURI: "https://taxi.example/city/" });
});

afterEach(() => {
  vi.unstubAllGlobals();
});

function open(map: FakeMap | null = new FakeMap()) {
  const world = new FakeWorld();
  const urls: string[] = [];
  const fake: typeof connect = (url, options) => {
    urls.push(url);
    const connection = new Connection(options, world);
    connection.start();
    return connection;
  };
  const store = new Store();
  const session = new Session({ basemap: "/basemap", city: "manhattan" }, store, map, fake);
  return { session, store, map, world, urls };
}

async function served(map: FakeMap | null = new FakeMap()) {
  const it = open(map);
  for (let i = 0; i < 8; i++) await Promise.resolve();
  const [socket] = it.world.sockets;
  socket!.onopen();
  socket!.says(READY);
  socket!.says(encodeUpdate({ image: true, to: [10, 5], rows: ROWS }));
  return { ...it, socket: socket! };
}

describe("a page whose city is left", () => {
  it("ends its stream and closes the panel of its ride", async () => {
    const { session, store, socket } = await served();
    session.actions.askForRide();
    expect(store.ask.value.step).toBe("choosing");
    session.stop();
    expect(store.ask.value.step).toBe("off");
    expect(socket.deeds.at(-1)).toBe("closes");
    expect(session.stream.state.state).toBe("stopped");
  });

  it("asks about its own city alone where a gateway shows several", async () => {
    const asked = vi.fn(async () => new Response("{}"));
    vi.stubGlobal("fetch", asked);
    vi.stubGlobal("sessionStorage", { getItem: () => null });
    askAbout("helsinki");
    await rideDetails("r 1");
    askAbout(null);
    await rideDetails("r 1");
    expect(asked.mock.calls.map(([url]: unknown[]) => url)).toEqual([
      "https://taxi.example/city/api/rides/r%201?city=helsinki",
      "https://taxi.example/city/api/rides/r%201",
    ]);
  });
});

describe("a page", () => {
  it("asks the gateway that served it, over the same path, for its city", async () => {
    const { urls, socket } = await served();
    expect(urls).toEqual(["wss://taxi.example/city/ws"]);
    expect(socket.deeds).toContainEqual({ says: { type: "hello", v: 1, city: "manhattan" } });
  });

  it("shows what the stream brings", async () => {
    const { store, map, session } = await served();
    expect(store.held.value?.drivers).toBe(2);
    expect(store.outage.value.gateway).toBe("gateway-1");
    expect([map?.taken, session.presenter.updates]).toEqual([1, 1]);
  });

  it("asks for what its map shows, if its address says so, and again when the map moved", async () => {
    vi.stubGlobal("location", { search: "?view=map", hash: "", pathname: "/" });
    const { map, socket } = await served();
    const bbox = (message: unknown) => (message as { says: { bbox?: number[]; view?: number[] } }).says;
    const first = socket.deeds.map(bbox).find((said) => said?.view)?.view;
    expect(first?.[0]).toBeLessThan(-74.02);
    map!.map.view = () => ({ center: [-73.985, 40.745], zoom: 15, bounds: [-73.99, 40.74, -73.98, 40.75] });
    map!.moved();
    expect(socket.deeds.map(bbox).some((said) => said?.bbox)).toBe(true);
  });

  it("does what its panels ask for", async () => {
    const { session, store, map } = await served();
    const { actions } = session;
    actions.filter(1);
    actions.zoomBy(-1);
    actions.showWholeCity();
    actions.showTaxi(1);
    expect(map?.asked()).toEqual([
      ["filter", [1]],
      ["zoomBy", -1],
      ["wholeCity"],
      ["follow", null],
      ["select", 1],
      ["fly", -73.98, 40.75, 16.3],
    ]);
    expect(store.statusFilter.value).toBe(1);
    actions.filter(null);
    expect([store.statusFilter.value, map?.asked()]).toEqual([null, [["filter", null]]]);
    actions.askForRide();
    session.pick([-73.98, 40.75], { x: 1, y: 1 });
    expect(store.ask.value).toMatchObject({ step: "choosing", pickup: { street: "Broadway" } });
    actions.closePanel();
    expect(store.ask.value.step).toBe("off");
    actions.find("t-2");
    expect(store.found.value).toEqual({ what: "taxi", driver: 2 });
  });

  it("follows the ride that was found, as its row changes", async () => {
    const { session, store, socket } = await served();
    const ride = { id: "r-1", state: 3, driver: 1, requested: 5 };
    const image = (state: number) =>
      socket.says(encodeUpdate({ image: true, to: [11, 6], rows: ROWS, rides: [{ ...ride, state }] }));
    image(3);
    session.actions.find("r-1");
    image(4);
    expect(store.ask.value).toMatchObject({ id: "r-1", row: { state: 4 } });
  });

  it("has live figures and quiet actions without a map", async () => {
    const { session, store } = await served(null);
    const { actions } = session;
    expect(store.held.value?.drivers).toBe(2);
    actions.filter(1);
    actions.zoomBy(1);
    actions.showWholeCity();
    actions.showTaxi(1);
    actions.askForRide();
    expect(store.ask.value.step).toBe("choosing");
  });
});
