// SPDX-License-Identifier: Apache-2.0
/**
 * The page's panels with the real style sheets and without stream and map, put into states that are hard to lay out:
 * `window.show(name)`. The browser test of the layout (tests/e2e/test_the_layout.py) measures where everything lies.
 */

import { render } from "preact";
import type { Actions } from "../../src/app/actions";
import { Store } from "../../src/app/store";
import { followWindowSize } from "../../src/app/window_size";
import { RIDE } from "../../src/city/rides";
import { DEMAND_STEPS } from "../../src/city/scenario_plans";
import { NO_WINDOWS, reduceWindows } from "../../src/city/windows";
import { lines } from "../../src/city/words";
import { Page } from "../../src/panels/page";
import { atRest, type RideRecord } from "../../src/stream";
import "../../src/styles/tokens.css";
import "../../src/styles/base.css";
import "../../src/styles/layout.css";
import "../../src/styles/panels.css";
import "../../src/styles/proof.css";
import "../../src/styles/small.css";

const CUT_MS = Date.UTC(2026, 0, 1, 20, 46, 31);
const CREDIT = '© <a href="#">OpenStreetMap contributors</a> · <a href="#">NYC Open Data</a>';
const PICKUP = {
  place: [-73.99, 40.758],
  street: "West 125th Street / Dr Martin Luther King Jr Blvd",
} as const;
const DROPOFF = { place: [-73.98, 40.762], street: "Saint Nicholas Ave" } as const;

const ROUTE = { start: 0, line: [], time_s: 4_812, length_m: 23_412, fare_cents: 14_220, speed: 1 } as const;

function calm(): Store {
  const store = new Store();
  store.now.value = 1_000_000;
  store.link.value = { ...atRest(false), state: "live" };
  const byStatus = [12, 4_812, 311, 2_204, 187, 12_474, 8];
  store.held.value = { drivers: 20_008, byStatus, cutMs: CUT_MS, stale: false };
  store.noteOutage({ type: "ready", gateway: "gateway-12", fresh: true });
  store.verifiedAt.value = store.now.value - 900;
  store.tourOver.value = false;
  store.canKill.value = true;
  store.figures.value = { waiting: 1_204, medianMs: 754_000, p90Ms: 1_421_000, served: 0.9994 };
  store.rate.value = { lagMs: 1_812, updatesPerS: 9.7, kBPerS: 1_412 };
  store.pulseHistory.value = Array.from({ length: 60 }, (_, i) => ({
    atMs: CUT_MS + i * 15_000,
    values: [i * 20, 4e5 + i, 1e6 + i, 0.99],
  }));
  store.fleetHistory.value = store.pulseHistory.value.map(({ atMs }, i) => ({
    atMs,
    values: byStatus.map((n) => n + i),
  }));
  store.feed.value = lines([
    [1, CUT_MS, "RideRequested", { ride: "web-1qn8z7k0xyz1" }],
    [2, CUT_MS, "DriverRepositioned", { driver: 19_871 }],
    [3, CUT_MS, "TripCompleted", { ride: "web-1qn8z7k0xyz2" }],
    [4, CUT_MS, "RideOffered", { ride: "r-482071", driver: 19_872 }],
    [5, CUT_MS, "OfferExpired", { ride: "r-482072", driver: 19_873 }],
    [6, CUT_MS, "RideCancelled", { ride: "r-482073", reason: "rider_cancelled" }],
    [7, CUT_MS, "DriverArrived", { driver: 19_873 }],
  ]).map((line, key) => {
    const where = "Washington Heights → Stuyvesant Town and Peter Cooper Village";
    return { key, line, more: 1_203, where, fareCents: 14_220, ride: null };
  });
  return store;
}

/** A gateway was killed so long ago, and the stream resumed. */
function killed(agoMs: number): Store {
  const store = calm();
  const at = store.now.value - agoMs;
  store.noteOutage({ type: "kill", gateway: "gateway-12" });
  store.noteOutage({ type: "lost", lastUpdateAt: at - 12_200, tally: { missed: 0, repeated: 0 } });
  store.noteOutage({ type: "ready", gateway: "gateway-11", fresh: false });
  store.noteOutage({ type: "verified", at, tally: { missed: 1_200, repeated: 1_100 } });
  return store;
}

function asking(): Store {
  const store = calm();
  const problem = "pickup is not within Manhattan, or too far from a street";
  store.ask.value = { step: "choosing", pickup: PICKUP, dropoff: DROPOFF, problem };
  store.quote.value = { pickup: [0, 0], dropoff: [1, 1], trip: ROUTE, nearest: ROUTE, problem: null };
  return store;
}

function taxi(): Store {
  const { row } = riding().ask.value as { row: RideRecord };
  const store = calm();
  store.taxi.value = { driver: 19_872, status: 5, speedMps: 12, ride: row };
  store.way.value = { driver: 19_872, to: "dropoff", route: ROUTE, at: store.now.value };
  store.taxiDetails.value = {
    driver: 19_872,
    on_shift: true,
    leaving: true,
    shift_since_ms: null,
    trips: 112,
    earned_cents: 142_050,
    distance_m: 412_300,
    counted_since_ms: CUT_MS - 50_000_000,
  };
  return store;
}

/** The switch for the map's layers is open. */
function layers(): Store {
  const store = calm();
  store.layersOpen.value = true;
  store.layer.value = "speeds";
  store.layerScale.value = ["40 km/h or more", "0"];
  return store;
}

function charts(): Store {
  const store = calm();
  store.charts.value = true;
  store.pulseHistory.value = store.pulseHistory.value.map(({ atMs, values }) => ({
    atMs,
    values: [...values, 0.86, 1_204, 1_812],
  }));
  const words = "This machine slept, or its clock was set, by 1,412 s";
  store.marks.value = Array.from({ length: 9 }, (_, i) => ({ atMs: CUT_MS + i * 60_000, words }));
  return store;
}

function neighbourhood(): Store {
  const { row } = riding().ask.value as { row: RideRecord };
  const store = calm();
  store.areaName.value = "Stuyvesant Town and Peter Cooper Village";
  store.area.value = {
    name: store.areaName.value,
    waiting: Array.from({ length: 12 }, (_, i) => ({ ...row, id: `r-48207${i}` })),
    vacant: 4_812,
    taxis: 20_008,
    medianMs: 754_000,
    p90Ms: 1_421_000,
    pickups: 1_204,
    expected: 1_311,
    paceMs: 900_000,
  };
  return store;
}

/** No taxi came. */
function expired(): Store {
  const store = riding();
  const now = store.ask.value;
  if (now.step === "riding" && now.row)
    store.ask.value = { ...now, row: { ...now.row, state: RIDE.expired, ended: now.row.started } };
  return store;
}

function riding(store = calm()): Store {
  const low = (ms: number) => (CUT_MS - ms) % 2 ** 32;
  const row = {
    id: "web-1qn8z7k0xyz1",
    state: RIDE.onTrip,
    attempt: 3,
    driver: 19_872,
    pickup: [-7_399_000, 4_075_800],
    dropoff: [-7_398_000, 4_076_200],
    requested: low(900_000),
    assigned: low(800_000),
    arrived: low(500_000),
    started: low(400_000),
    ended: 0,
  } as unknown as RideRecord;
  const candidates = [19_872, 19_871, 19_870, 19_869, 19_868].map((driver, i) => ({
    driver,
    eta_s: 812 + i * 90,
    cost: 11_205 + i * 1_800,
  }));
  const step = (type: string, ms: number, driver: number, eta_s: number | null = null) => ({
    type,
    at_ms: CUT_MS - ms,
    driver,
    eta_s,
  });
  const steps = [
    step("RideOffered", 890_000, 19_868),
    step("OfferDeclined", 880_000, 19_868),
    step("RideOffered", 870_000, 19_871),
    step("RideAssigned", 800_000, 19_871, 700),
    step("RideReassigned", 700_000, 19_872, 812),
  ];
  store.candidatesOnMap.value = 5;
  store.highlighted.value = 19_870;
  const why = {
    type: "RideReassigned",
    batch: 1_180_412,
    at_ms: CUT_MS - 700_000,
    driver: 19_872,
    attempt: 3,
    eta_s: 812,
    from_driver: 19_871,
    moves: 4,
    saves_s: 312,
    candidates,
    runner_up: 19_871,
    market_rides: 1_204,
    market_drivers: 4_812,
  } as const;
  store.ask.value = {
    step: "riding",
    id: row.id,
    row,
    own: true,
    pickup: PICKUP,
    dropoff: DROPOFF,
    why,
    fareCents: null,
    candidates: candidates.map(({ driver }) => ({ driver, place: [0, 0], ride: "r-482071" })),
    steps,
  };
  store.ownRide.value = { id: row.id, pickup: PICKUP, dropoff: DROPOFF };
  store.way.value = { driver: 19_872, to: "dropoff", route: ROUTE, at: store.now.value };
  store.quote.value = { pickup: [0, 0], dropoff: [1, 1], trip: ROUTE, nearest: null, problem: null };
  return store;
}

/** As many faults as a banner can have. */
function troubled(store = calm()): Store {
  const text = "the dispatcher has decided nothing for 128 s although riders wait: look at its log";
  store.gatewayFaults.value = [
    { code: "no_decisions", text },
    { code: "disk_full", text: "the disk of the broker is full: make room, or the log stops" },
    { code: "positions_ahead", text: "positions arrive but are 2 s in the future: set the clock" },
    { code: "clock", text: "the clock is wrong: set it" },
  ];
  store.emptyView.value = true;
  return store;
}

function reconnecting(): Store {
  const store = riding();
  store.now.value += 3_000;
  store.emptyView.value = true;
  const problem = { kind: "unreachable", text: "nothing answers at taxi.example.test:8000" } as const;
  store.link.value = { ...store.link.value, problem, failures: 12 };
  return store;
}

/** Everything that the proof and the chaos panel can hold at once. */
function proving(store = killed(1_000), chaos = false): Store {
  store.proof.value = true;
  store.chaos.value = chaos;
  const at = store.now.value;
  const lanes = { own: "9f3c71ab e04d5512", received: "9f3c71ab e04d5512" };
  const check = (i: number, equal: boolean) =>
    store.noteCheck({
      type: "checked",
      at: at - 6_100 + i * 100,
      cutMs: CUT_MS + i * 100,
      bytes: 3_100,
      image: i === 0,
      ...(equal ? lanes : { ...lanes, received: "9f3c71ab e04d5513" }),
      equal,
    });
  store.noteCheck({ type: "ready", gateway: "gateway-11", fresh: true });
  for (let i = 0; i < 29; i++) check(i, i !== 5);
  store.noteFailover({ type: "ready", at: at - 13_000, gateway: "gateway-11", fresh: true });
  store.noteFailover({ type: "verified", at: at - 12_200, cutMs: CUT_MS, bytes: 90_000 });
  store.noteFailover({ type: "silent", at: at - 12_100 });
  store.noteFailover({ type: "opened", at: at - 12_000 });
  for (let i = 0; i < 4; i++) {
    store.noteFailover({ type: "lost", at: at - 9_000 + i * 1_000 });
    store.noteFailover({ type: "opened", at: at - 8_500 + i * 1_000 });
  }
  store.noteCheck({ type: "lost", at });
  store.noteCheck({ type: "ready", gateway: "gateway-12", fresh: false });
  store.noteFailover({ type: "ready", at: at - 1_200, gateway: "gateway-12", fresh: true });
  for (let i = 30; i < 59; i++) check(i, true);
  store.noteFailover({ type: "verified", at: at - 1_000, cutMs: CUT_MS, bytes: 1_231_000 });
  store.stalls.value = {
    loc: { offset: 4_821_037_700, grewAt: at, stalledMs: 0 },
    ev: { offset: 1_204_551_203, grewAt: at, stalledMs: 0 },
    before: { missed: 0, repeated: 0 },
    report: null,
  };
  const seen = { id: "b", gateway: "gateway-12", cursor: "e:1:1", rows: "", hash: "a", cutMs: CUT_MS };
  const windows = [
    { type: "own", seen },
    { type: "other", seen, at },
    { type: "other", seen: { ...seen, id: "c", hash: "b" }, at },
    { type: "other", seen: { ...seen, id: "d", cursor: "e:2:1" }, at },
  ] as const;
  store.windows.value = windows.reduce(reduceWindows, NO_WINDOWS);
  store.resumes.value = store.resets.value = 1_204;
  const plan = { about: "", lasts_s: 3_600 };
  store.scenarioPlans.value = [
    ...DEMAND_STEPS.flatMap(({ name }) => (name === null ? [] : [{ ...plan, name, title: name, place: "" }])),
    { ...plan, name: "rain", title: "Rain", place: "" },
    {
      ...plan,
      name: "no-network",
      title: "A district without network",
      place: "Stuyvesant Town and Peter Cooper Village",
    },
  ];
  store.scenarios.value = ["rain", "demand-triple"].map((name) => {
    return { name, title: name, sinceMs: CUT_MS - 60_000, lastsS: 3_600, area: null };
  });
  const names = ["gateway-12", "gateway-11", "dispatcher-1", "dispatcher-2", "simulator-manhattan", "kafka"];
  const states = ["ready", "restarting", "frozen", "ready", "not answering", "ready"];
  store.parts.value = names.map((name, i) => ({ name, pid: i + 1, state: states[i]!, restarts: i }));
  for (const deed of ["kill", "freeze"] as const) {
    for (const [i, part] of names.entries()) {
      store.noteRecovery({ type: "begun", part, deed, pid: 99, at: at - 61_000, isOwn: i === 0 });
      const now = [{ name: part, pid: 7, state: "ready", restarts: 1 }];
      store.noteRecovery({ type: "parts", parts: now, at: at - 1_000, loc: 1, ev: 1 });
      store.noteRecovery({ type: "verified", at, loc: 2, ev: 2 });
    }
  }
  store.noteRecovery({ type: "begun", part: "kafka", deed: "kill", pid: 6, at: at - 12_000, isOwn: false });
  return store;
}

const STATES: Record<string, () => Store> = {
  calm,
  "report of an outage": () => killed(1_000),
  "report below": () => killed(30_000),
  asking,
  riding: () => riding(),
  "no taxi came": expired,
  "a taxi": taxi,
  "a neighbourhood": neighbourhood,
  charts,
  layers,
  "riding, after a kill": () => riding(killed(1_000)),
  troubled: () => troubled(),
  "troubled, riding": () => riding(troubled()),
  reconnecting,
  proof: () => proving(),
  "proof, calm": () => {
    const store = calm();
    store.proof.value = true;
    return store;
  },
  "proof, differs": () => {
    const store = proving(calm());
    const at = store.now.value;
    store.mismatch.value = {
      cutMs: CUT_MS,
      own: "9f3c71ab e04d5512",
      received: "9f3c71ab e04d5513",
      at,
      healedAt: null,
    };
    return store;
  },
  presenting: () => {
    const store = proving(calm());
    store.scene.value = "kill";
    return store;
  },
  "what can be broken": () => proving(killed(1_000), true),
};

const nothing = new Proxy({} as Actions, { get: () => () => {} });
const box = document.getElementById("panels")!;

const CITIES = {
  all: [
    { city: "manhattan", title: "Manhattan" },
    { city: "helsinki", title: "Helsinki" },
  ],
  shown: "manhattan",
};

function show(name: string): void {
  const store = STATES[name]!();
  followWindowSize(store);
  render(null, box);
  render(<Page store={store} actions={nothing} attribution={CREDIT} cities={CITIES} />, box);
}

Object.assign(window, { show, states: Object.keys(STATES) });
