// SPDX-License-Identifier: Apache-2.0
/** Panels are functions of the store: what they show for a state, and what they do when they are clicked. */

import type { VNode } from "preact";
import { beforeAll, describe, expect, it, vi } from "vitest";
import type { Actions } from "../../src/app/actions";
import { Store } from "../../src/app/store";
import type { AreaFigures } from "../../src/city/areas";
import type { FeedRow } from "../../src/city/feed";
import { clock } from "../../src/city/format";
import { Gazetteer } from "../../src/city/gazetteer";
import { DRIVER, RIDE } from "../../src/city/rides";
import { lines } from "../../src/city/words";
import { Announcer, EmptyView, MapTroubleLine, Tools, Zoom } from "../../src/panels/chrome";
import { Events } from "../../src/panels/events";
import { Headline } from "../../src/panels/headline";
import { Page } from "../../src/panels/page";
import type { PanelProps } from "../../src/panels/props";
import { PulsePanel } from "../../src/panels/pulse";
import { RidePanel } from "../../src/panels/ride";
import { Sheet } from "../../src/panels/sheet";
import { TaxiPanel } from "../../src/panels/taxi";
import { Tour } from "../../src/panels/tour";
import { atRest, CityTime, type RideRecord } from "../../src/stream";
import { CUT_MS } from "../stream/encode";
import { draw, type FakeNode, settled } from "./dom";

const ONE_CITY = { all: [{ city: "manhattan", title: "Manhattan" }], shown: "manhattan" };
const TWO_CITIES = { all: [...ONE_CITY.all, { city: "helsinki", title: "Helsinki" }], shown: "helsinki" };

beforeAll(() => {
  vi.stubGlobal("requestAnimationFrame", (then: () => void) => setTimeout(then, 0));
});

/** Actions that note their names and arguments. A handler that is passed on as it is gets the event as well. */
function noting() {
  const done: unknown[][] = [];
  const note =
    (name: string) =>
    (...given: unknown[]) => {
      done.push([name, ...given.filter((one) => typeof one !== "object" || one === null)]);
    };
  const actions = new Proxy({} as Actions, { get: (_, name: string) => note(name) });
  return { actions, done };
}

function verified(): Store {
  const store = new Store();
  store.link.value = { ...atRest(false), state: "live" };
  const byStatus = [0, 3, 0, 0, 0, 2, 0];
  store.held.value = { drivers: 5, byStatus, cutMs: CUT_MS, stale: false };
  store.noteOutage({ type: "ready", gateway: "gateway-1", fresh: true });
  store.verifiedAt.value = store.now.value - 100;
  store.tourOver.value = true;
  return store;
}

function panel(draws: (props: PanelProps) => VNode | null, store = verified()) {
  const { actions, done } = noting();
  const Panel = () => draws({ store, actions });
  return { store, done, box: draw(<Panel />) };
}

const TIMES = { requested: 5, assigned: 0, arrived: 0, started: 0, ended: 0 };
const row = (changes: Partial<RideRecord>) =>
  ({ id: "r-1", driver: 7, attempt: 1, ...TIMES, ...changes }) as RideRecord;

describe("the headline", () => {
  it("says with what the hash was compared, and when", () => {
    const { box } = panel((props) => <Headline {...props} />);
    expect(box.find("h1")[0]?.text).toContain("5 taxis·hash equals the gateway’s·verified 0.1 s ago");
    const [claim] = box.find("span").filter(({ attributes }) => attributes.has("title"));
    expect(claim?.attributes.get("title")).toContain("An error that all gateways make alike would not show");
  });

  it.each<[string, (store: Store) => void]>([
    ["Reconnecting", (s) => (s.now.value += 3_000)],
    ["Stale", (s) => (s.held.value = { ...s.held.value!, stale: true })],
    ["The disk is full", (s) => (s.gatewayFaults.value = [{ code: "x", text: "the disk is full: delete" }])],
    [
      "Hash differs",
      (s) => (s.mismatch.value = { cutMs: 1, own: "a b", received: "a c", at: 1, healedAt: null }),
    ],
    ["The gateway refused this page", (s) => (s.link.value = { ...s.link.value, state: "refused" })],
    ["The map is paused", (s) => (s.mapTrouble.value = "lost")],
  ])("says %s, and then never that the hash is equal", async (title, change) => {
    const { store, box } = panel((props) => <Headline {...props} />);
    change(store);
    await settled();
    expect(box.find("h1")[0]?.text).toContain(title);
    expect(box.text).not.toContain("hash equals");
  });

  it("marks the lane in which two hashes differ, and says whose each is", async () => {
    const { store, box } = panel((props) => <Headline {...props} />);
    store.mismatch.value = { cutMs: 1, own: "11 22", received: "11 33", at: 1, healedAt: null };
    await settled();
    expect(box.find(".bad").map(({ text }) => text)).toContain("33");
    expect(box.find(".pair")[0]?.text).toBe("own 11 22 the gateway 11 33");
  });

  it("asks for a token where the gateway wants one", async () => {
    const { store, box } = panel((props) => <Headline {...props} />);
    const refusal = { code: 4401, reason: "the token has expired" };
    store.link.value = { ...store.link.value, state: "refused", refusal };
    await settled();
    expect(box.text).toContain("The gateway asks for a token");
    expect(box.text).toContain("the token has expired · open the page with #token=");
  });

  it("reports an outage with what was missed, then only below", async () => {
    const { store, box } = panel((props) => <Headline {...props} />);
    const at = store.now.value;
    store.noteOutage({ type: "kill", gateway: "gateway-1" });
    store.noteOutage({ type: "lost", lastUpdateAt: at - 200, tally: { missed: 0, repeated: 0 } });
    store.noteOutage({ type: "ready", gateway: "gateway-2", fresh: false });
    store.noteOutage({ type: "verified", at, tally: { missed: 2, repeated: 0 } });
    await settled();
    expect(box.find("h1")[0]?.text).toContain("gateway-1 killed → resumed on gateway-2 in 0.20 s");
    expect(box.find(".bad")[0]?.text).toBe("2 missed, 0 repeated");
    store.now.value = store.verifiedAt.value = at + 30_000;
    await settled();
    expect(box.find("h1")[0]?.text).toContain("5 taxis");
    expect(box.find(".l2")[0]?.text).toContain("gateway-1 killed");
  });

  it("says that the page itself was away, and never that a gateway was lost", async () => {
    const { store, box } = panel((props) => <Headline {...props} />);
    const at = store.now.value;
    const tally = { missed: 0, repeated: 0 };
    const away = { why: "asleep", forMs: 60_100 } as const;
    store.noteOutage({ type: "back", away, at: at - 300, lastUpdateAt: at - 60_400, tally, events: 88 });
    store.noteOutage({ type: "lost", lastUpdateAt: at - 200, tally });
    store.noteOutage({ type: "ready", gateway: "gateway-2", fresh: false });
    store.noteOutage({ type: "verified", at, tally, caughtUp: true, events: 1_500 });
    await settled();
    expect(box.find("h1")[0]?.text).toBe("This page was asleep for 60 s; 1,412 events since, none lost ");
    expect(box.find("h1")[0]?.text).not.toContain("gateway");
    store.noteOutage({ type: "back", away, at, lastUpdateAt: at, tally, events: 0 });
    store.noteOutage({ type: "verified", at, tally: { missed: 2, repeated: 0 }, caughtUp: true, events: 9 });
    await settled();
    expect(box.find(".bad")[0]?.text).toBe("2 missed, 0 repeated");
  });

  it("reports what stood still, if that is newer than an outage", async () => {
    const { store, box } = panel((props) => <Headline {...props} />);
    const axis = { offset: 1, grewAt: 0, stalledMs: 0 };
    const at = store.now.value;
    const report = { positionsMs: 0, decisionsMs: 4_400, missed: 0, repeated: 0, at };
    store.stalls.value = { loc: axis, ev: axis, before: { missed: 0, repeated: 0 }, report };
    await settled();
    expect(box.find("h1")[0]?.text).toContain("No decisions came for 4.4 s; 0 missed, 0 repeated");
  });

  it("offers to kill only where that is possible, and once at a time", async () => {
    const { store, box, done } = panel((props) => <Headline {...props} />);
    expect(box.find("button")).toEqual([]);
    store.canKill.value = true;
    await settled();
    expect(box.button("Kill my gateway").attributes.has("disabled")).toBe(false);
    box.button("Kill my gateway").click();
    expect(done).toEqual([["kill"]]);
    store.noteOutage({ type: "kill", gateway: "gateway-1" });
    await settled();
    expect(box.button("Killing gateway-1…").attributes.has("disabled")).toBe(true);
  });

  it("says why there is nothing to show yet", async () => {
    const { store, box } = panel((props) => <Headline {...props} />, new Store());
    expect(box.text).toContain("Asking a gateway for the city…");
    const problem = { kind: "unreachable", text: "nothing answers at example.test:9" } as const;
    store.link.value = { ...atRest(false), failures: 4, problem };
    store.retryAt.value = store.now.value + 1_500;
    await settled();
    expect(box.text).toContain("Nothing to show yet");
    expect(box.text).toContain("nothing answers at example.test:9 · try 5, next in 1.5 s");
  });
});

describe("the fleet", () => {
  it("counts drivers by status, and filters by a click", async () => {
    const { store, box, done } = panel((props) => <PulsePanel {...props} />);
    const rows = box.find(".fleet-row").map(({ text }) => text);
    expect(rows).toEqual([
      "Vacant3",
      "Offered a ride0",
      "To pickup0",
      "At pickup0",
      "On trip2",
      "No signal0",
    ]);
    box.find(".fleet-row")[4]?.click();
    expect(done).toEqual([["filter", DRIVER.onTrip]]);
    store.statusFilter.value = DRIVER.onTrip;
    await settled();
    expect(box.find(".dimmed")).toHaveLength(5);
    box.find(".fleet-row")[4]?.click();
    expect(done.at(-1)).toEqual(["filter", null]);
  });

  it("shows drivers off shift only if there are any, and says that it counts a view", async () => {
    const { store, box } = panel((props) => <PulsePanel {...props} />);
    store.held.value = { ...store.held.value!, byStatus: [4, 0, 0, 0, 0, 0, 0], drivers: 4 };
    store.view.value = [0, 0, 1, 1];
    await settled();
    expect(box.text).toContain("Off shift4");
    expect(box.text).toContain("4 in view");
  });
});

describe("the time lapse", () => {
  const lapsed = (speed: number) =>
    new CityTime([{ fromMs: CUT_MS - 60_000, cityMs: CUT_MS - 60_000, speed: 10 }, ...later(speed)]);
  const later = (speed: number) =>
    speed === 10 ? [] : [{ fromMs: CUT_MS - 1_000, cityMs: CUT_MS + 530_000, speed }];

  it.each([
    ["beside the map", PulsePanel],
    ["on the sheet", (props: PanelProps) => <Sheet {...props} attribution="" />],
  ])("is named, with the hour in the city, %s", async (_, Panel) => {
    const { store, box } = panel((props) => <Panel {...props} />);
    expect(box.find(".lapse")).toEqual([]);
    store.cityTime.value = lapsed(10);
    await settled();
    expect(box.find(".lapse")[0]?.text).toBe(`10 × real time${clock(CUT_MS + 540_000)} in the city`);
    store.cityTime.value = lapsed(1);
    await settled();
    expect(box.find(".lapse")[0]?.text).toBe(`Real time${clock(CUT_MS + 531_000)} in the city`);
  });
});

describe("the panel of a ride", () => {
  const riding = (changes: Partial<RideRecord>) => {
    const store = verified();
    const stop = { place: [0, 0], street: null } as const;
    const rest = {
      own: true,
      pickup: stop,
      dropoff: stop,
      why: null,
      fareCents: null,
      candidates: [],
      steps: [],
    };
    store.ask.value = { step: "riding", id: "r-1", row: row(changes), ...rest };
    return panel((props) => <RidePanel {...props} />, store);
  };

  it("is not there while no ride is asked for or found", () => {
    expect(panel((props) => <RidePanel {...props} />).box.text).toBe("");
  });

  it.each<[number, Partial<RideRecord>, string]>([
    [RIDE.requested, { driver: 0 }, "Looking for a taxi"],
    [RIDE.offered, {}, "Offered to t-0007"],
    [RIDE.assigned, { assigned: 6 }, "t-0007 is coming"],
    [RIDE.arrived, { assigned: 6, arrived: 7 }, "t-0007 is at your pickup"],
    [RIDE.onTrip, { assigned: 6, arrived: 7, started: 8 }, "On trip with t-0007"],
    [RIDE.completed, { assigned: 6, arrived: 7, started: 8, ended: 9 }, "Completed"],
    [RIDE.noShow, { assigned: 6, arrived: 7, ended: 9 }, "Cancelled: nobody at the pickup"],
  ])("says in words what state %i is", (state, times, words) => {
    const { box } = riding({ state, ...times });
    expect(box.find(".label")[0]?.text).toBe(words);
  });

  it("goes to the taxi of a ride that has not ended", () => {
    const { box, done } = riding({ state: RIDE.assigned, assigned: 6 });
    box.button("Show t-0007").click();
    expect(done).toEqual([["showTaxi", 7]]);
    expect(() => riding({ state: RIDE.completed, ended: 9 }).box.button("Show t-0007")).toThrow("no button");
  });

  it("requests a taxi once both places are chosen", async () => {
    const { store, box, done } = panel((props) => <RidePanel {...props} />);
    const stop = { place: [0, 0], street: "Broadway" } as const;
    store.ask.value = { step: "choosing", pickup: stop, dropoff: null, problem: null };
    await settled();
    expect(box.find("input")[0]?.attributes.get("value")).toBe("Broadway");
    expect(box.button("Request a taxi").attributes.has("disabled")).toBe(true);
    store.ask.value = { step: "choosing", pickup: stop, dropoff: stop, problem: "no gateway answered" };
    await settled();
    expect(box.text).toContain("no gateway answered");
    expect(box.button("Request a taxi").attributes.has("disabled")).toBe(false);
    box.button("Request a taxi").click();
    box.button("Close").click();
    expect(done).toEqual([["sendRide"], ["closePanel"]]);
  });
});

const low = (agoMs: number) => (CUT_MS - agoMs) % 2 ** 32;
const ROUTE = { start: 0, line: [], time_s: 134, length_m: 1_140, fare_cents: 720, speed: 1 } as const;

describe("the panel of a ride, in figures", () => {
  const stop = { place: [0, 0], street: "Broadway" } as const;
  const riding = (changes: Partial<RideRecord>, own = true) => {
    const store = verified();
    const rest = { own, pickup: stop, dropoff: stop, why: null, fareCents: null, candidates: [], steps: [] };
    store.ask.value = { step: "riding", id: "r-1", row: row(changes), ...rest };
    return store;
  };

  it("says how long a taxi still drives, and what the trip will cost, as estimates", async () => {
    const store = riding({ state: RIDE.assigned, assigned: 6 });
    store.way.value = { driver: 7, to: "pickup", route: ROUTE, at: store.now.value - 4_000 };
    store.quote.value = { pickup: [0, 0], dropoff: [1, 1], trip: ROUTE, nearest: null, problem: null };
    const { box } = panel((props) => <RidePanel {...props} />, store);
    expect(box.find(".huge")[0]?.text).toBe("2:10 to the pickup, estimated");
    expect(box.text).toContain("Fare about $7.20: 1.1 km, 2:14 ride");
    store.way.value = { ...store.way.value, driver: 8 };
    await settled();
    expect(box.find(".huge")).toEqual([]);
  });

  it("compares the time to the pickup with the one that was said, before and after", async () => {
    const times = { requested: low(200_000), assigned: low(170_000) };
    const store = riding({ state: RIDE.assigned, ...times });
    const now = store.ask.value;
    if (now.step !== "riding") throw new Error(now.step);
    const steps = [{ type: "RideAssigned", at_ms: CUT_MS - 170_000, driver: 7, eta_s: 300 }];
    store.ask.value = { ...now, steps };
    store.way.value = { driver: 7, to: "pickup", route: ROUTE, at: store.now.value };
    const { box } = panel((props) => <RidePanel {...props} />, store);
    expect(box.find(".eta")[0]?.text).toBe("To the pickup when accepted: 5:00 · now 5:04, 4 s late, 1 %");
    const arrived = { ...now.row!, state: RIDE.onTrip, arrived: low(5_000), started: low(1_000) };
    store.ask.value = { ...now, steps, row: arrived };
    await settled();
    expect(box.find(".eta")[0]?.text).toBe("To the pickup when accepted: 5:00 · took 2:45, 2:15 early, 45 %");
  });

  it("shares numbers and marks between the rows of candidates and the map", async () => {
    const store = riding({ state: RIDE.assigned, assigned: 6 }, false);
    const now = store.ask.value;
    if (now.step !== "riding") throw new Error(now.step);
    const candidates = [
      { driver: 8, eta_s: 50, cost: 60 },
      { driver: 7, eta_s: 95, cost: 90 },
    ];
    const why = {
      type: "RideOffered",
      ride: "r-1",
      batch: 1,
      at_ms: 1,
      driver: 7,
      attempt: 1,
      eta_s: 95,
    } as const;
    store.ask.value = {
      ...now,
      why: { ...why, candidates, runner_up: 8 },
      candidates: [{ driver: 8, place: [0, 0], ride: "r-2" }],
    };
    store.candidatesOnMap.value = 1;
    store.highlighted.value = 8;
    const { box, done } = panel((props) => <RidePanel {...props} />, store);
    expect(box.find("tr").map(({ text }) => text)).toEqual([
      "CandidateAwayCost",
      "1t-0007chosen1:3590 s",
      "2t-0008, runner-upgot r-2 in the same batch0:5060 s",
    ]);
    expect(box.find("tr").map(({ attributes }) => attributes.get("class"))).toEqual([
      undefined,
      "chosen",
      "on",
    ]);
    box.find(".candidate-row")[0]?.dispatch("focus");
    box.find("tr")[2]?.dispatch("pointerenter");
    box.find(".candidate-row")[1]?.click();
    box.button("Show on the map").click();
    expect(done).toEqual([["highlight", 7], ["highlight", 8], ["showTaxi", 8], ["fitCandidates"]]);
    store.candidatesOnMap.value = 0;
    await settled();
    expect(() => box.button("Show on the map")).toThrow("no button");
  });

  it.each<[number, boolean, boolean]>([
    [RIDE.requested, true, true],
    [RIDE.offered, true, true],
    [RIDE.assigned, true, true],
    [RIDE.arrived, true, true],
    [RIDE.onTrip, true, false],
    [RIDE.completed, true, false],
    [RIDE.assigned, false, false],
  ])("in state %i, own: %s, can be cancelled: %s", (state, own, can) => {
    const { box } = panel((props) => <RidePanel {...props} />, riding({ state }, own));
    expect(box.text.includes("Cancel ride")).toBe(can);
  });

  it("cancels once, and says why that failed", async () => {
    const { store, box, done } = panel((props) => <RidePanel {...props} />, riding({ state: RIDE.assigned }));
    box.button("Cancel ride").click();
    expect(done).toEqual([["cancelRide"]]);
    store.cancelling.value = { id: "r-1", problem: null };
    await settled();
    expect(box.button("Cancelling…").attributes.has("disabled")).toBe(true);
    store.cancelling.value = { id: "r-1", problem: "the ride has ended: COMPLETED" };
    await settled();
    expect(box.text).toContain("Not cancelled: the ride has ended");
    expect(box.button("Cancel ride").attributes.has("disabled")).toBe(false);
  });

  it.each([RIDE.expired, RIDE.cancelled, RIDE.noShow])(
    "says why no taxi came (%i), and asks again",
    (state) => {
      const { box, done } = panel((props) => <RidePanel {...props} />, riding({ state, ended: 9 }));
      expect(box.text).toContain("Nothing is charged");
      box.button("Ask again").click();
      expect(done).toEqual([["askAgain"]]);
    },
  );
});

describe("choosing places", () => {
  const choosing = () => {
    const store = verified();
    const stop = { place: [0, 0], street: "Broadway" } as const;
    store.ask.value = { step: "choosing", pickup: stop, dropoff: null, problem: null };
    store.gazetteer.value = new Gazetteer(
      {},
      {
        features: [
          { geometry: { coordinates: [1, 2] }, properties: { kind: "neighbourhood", name: "Chelsea" } },
        ],
      },
    );
    const set: unknown[][] = [];
    const actions = {
      setStop: (...given: unknown[]) => set.push(given),
      middle: () => ({ place: [5, 6], street: null }),
    } as unknown as Actions;
    const Panel = () => <RidePanel store={store} actions={actions} />;
    return { store, set, box: draw(<Panel />) };
  };
  const press = (node: FakeNode, key: string) => node.dispatch("keydown", { key });

  it("works by name with the keyboard alone", async () => {
    const { set, box } = choosing();
    const input = box.find("input")[1]!;
    Object.assign(input, { value: "chel", blur: () => {} });
    input.dispatch("input");
    await settled();
    expect(box.find(".option").map(({ text }) => text)).toEqual(["Chelsea", "The middle of the map"]);
    expect(input.attributes.get("aria-expanded")).toBe("true");
    press(input, "Enter");
    expect(set).toEqual([["dropoff", { place: [1, 2], street: "Chelsea" }]]);
    await settled();
    expect(box.find(".option")).toEqual([]);
    input.dispatch("input");
    await settled();
    press(input, "ArrowUp");
    await settled();
    press(input, "Enter");
    expect(set.at(-1)).toEqual(["dropoff", { place: [5, 6], street: null }]);
    input.dispatch("input");
    await settled();
    press(input, "Escape");
    await settled();
    expect(box.find(".option")).toEqual([]);
  });

  it("takes a place back", () => {
    const { set, box } = choosing();
    box.button("Clear the pickup").click();
    expect(set).toEqual([["pickup", null]]);
  });

  it("shows time, way and fare before one commits, and where there is no way", async () => {
    const { store, box } = choosing();
    const { ask } = store;
    if (ask.value.step === "choosing") ask.value = { ...ask.value, dropoff: ask.value.pickup };
    store.quote.value = { pickup: [0, 0], dropoff: [1, 1], trip: ROUTE, nearest: ROUTE, problem: null };
    await settled();
    expect(box.find(".quote")[0]?.text).toBe(
      "Nearest vacant taxi2:141.1 km awayFare, about$7.201.1 km, 2:14 ride",
    );
    store.quote.value = { ...store.quote.value, trip: null, problem: "too far from a street" };
    await settled();
    expect(box.text).toContain("No way: too far from a street");
  });
});

describe("the panel of a taxi", () => {
  it("says what its row says, opens its ride, and has the map follow it", async () => {
    const store = verified();
    const ride = row({ state: RIDE.onTrip, started: 8 });
    store.taxi.value = { driver: 7, status: DRIVER.onTrip, speedMps: 10, ride };
    store.way.value = { driver: 7, to: "dropoff", route: ROUTE, at: store.now.value };
    const { box, done } = panel((props) => <TaxiPanel {...props} />, store);
    expect(box.find("h2")[0]?.text).toBe("Taxi t-0007");
    expect(box.text).toContain("On trip");
    expect(box.text).toContain("36 km/h");
    expect(box.text).toContain("At the drop-off in2:14");
    box.find(".ride-line")[0]?.click();
    box.button("Follow").click();
    expect(done).toEqual([["showRide"], ["follow", true]]);
    store.taxi.value = { ...store.taxi.value, ride: null, status: DRIVER.idle };
    store.following.value = true;
    store.way.value = null;
    await settled();
    expect(box.text).toContain("None now");
    expect(box.button("Following").attributes.get("aria-pressed")).toBe("true");
  });

  it("says what the log says of its driver, and since when that was counted", async () => {
    const store = verified();
    store.taxi.value = { driver: 7, status: DRIVER.idle, speedMps: 0, ride: null };
    const from = CUT_MS - 600_000;
    const details = {
      driver: 7,
      on_shift: true,
      leaving: false,
      shift_since_ms: from + 60_000,
      trips: 3,
      earned_cents: 4_210,
      distance_m: 8_400,
      counted_since_ms: from,
    };
    const { box } = panel((props) => <TaxiPanel {...props} />, store);
    expect(box.find(".figures")).toEqual([]);
    store.taxiDetails.value = details;
    await settled();
    const hour = (ms: number) => clock(ms).slice(0, 5);
    expect(box.find(".figures")[0]?.text).toBe(
      `Shiftsince ${hour(from + 60_000)}Trips38.4 kmEarned$42.10` +
        `SourceTrips and fares since ${hour(from)}: what the answering gateway has read of the log.`,
    );
    store.taxiDetails.value = { ...details, shift_since_ms: null };
    await settled();
    expect(box.text).toContain(`Shiftsince ${hour(from)} or earlier`);
    store.taxiDetails.value = { ...details, driver: 8 };
    await settled();
    expect(box.find(".figures")).toEqual([]);
  });

  it("takes the place of the events", async () => {
    const { store, box } = panel((props) => <Page {...props} attribution="" cities={ONE_CITY} />);
    expect(box.find(".events")).toHaveLength(1);
    store.taxi.value = { driver: 7, status: DRIVER.idle, speedMps: 0, ride: null };
    await settled();
    expect([box.find(".events").length, box.find(".detail").length]).toEqual([0, 1]);
  });
});

describe("the panel of a neighbourhood", () => {
  const AREA: AreaFigures = {
    name: "Chelsea",
    waiting: [],
    vacant: 12,
    taxis: 140,
    medianMs: null,
    p90Ms: null,
    pickups: 1,
    expected: null,
    paceMs: 60_000,
  };

  it("says who waits there, how long, and what is expected, and on what that is based", async () => {
    const store = verified();
    store.areaName.value = "Chelsea";
    const { box, done } = panel((props) => <Page {...props} attribution="" cities={ONE_CITY} />, store);
    expect(box.find(".detail")[0]?.text).toContain("Counting…");
    store.area.value = AREA;
    await settled();
    expect(box.find(".figures")[0]?.text).toBe(
      "Riders waiting0nowVacant taxis12of 140 hereWait, median · p90–too few pickups seen yet" +
        "Requests, next 5 min–counting the pace",
    );
    const waiting = Array.from({ length: 7 }, (_, i) => row({ id: `r-${i}`, requested: low(90_000) }));
    store.area.value = {
      ...AREA,
      waiting,
      medianMs: 128_000,
      p90Ms: 291_000,
      pickups: 31,
      expected: 8.6,
      paceMs: 240_000,
    };
    await settled();
    expect(box.find(".figures")[0]?.text).toBe(
      "Riders waiting7nowVacant taxis12of 140 hereWait, median · p902:08 · 4:5131 pickups, last 15 min at most" +
        "Requests, next 5 min~9at the pace of the last 4 min",
    );
    expect(box.find(".ride-line")).toHaveLength(5);
    expect(box.find(".ride-line")[0]?.text).toBe("r-0 for 1:30");
    expect(box.text).toContain("and 2 more");
    box.find(".ride-line")[0]?.click();
    box.button("Go there").click();
    box.button("Close").click();
    expect(done).toEqual([["showRide"], ["showArea", "Chelsea"], ["closePanel"]]);
  });
});

describe("events", () => {
  const shown = lines([
    [1, CUT_MS, "RideRequested", { ride: "r-1" }],
    [2, CUT_MS, "TripCompleted", { ride: "r-2" }],
  ]);
  const feed: FeedRow[] = shown.map((line, i) => {
    const ride = i === 1 ? row({ id: "r-2", state: RIDE.completed }) : null;
    return { key: i + 1, line, more: i === 1 ? 1_203 : 0, where: null, fareCents: null, ride };
  });
  const withFeed = () => {
    return panel((props) => <Events {...props} />, verifiedWith(feed));
  };

  it("are shown in words, and by group if asked", async () => {
    const { box } = withFeed();
    expect(box.find(".words").map(({ text }) => text)).toEqual(["r-1 asks for a taxi", "r-2 completed"]);
    box.button("Filter").click();
    await settled();
    box.button("Ends").click();
    await settled();
    expect(box.find(".words").map(({ text }) => text)).toEqual(["r-2 completed"]);
  });

  it("say where, for how much, and how many others there were", async () => {
    const { store, box } = withFeed();
    store.feed.value = [{ ...feed[1]!, where: "Midtown → Chelsea", fareCents: 1_420 }];
    await settled();
    expect(box.find("small")[1]?.text).toBe("$14.20 · Midtown → Chelsea");
    expect(box.find("small")[0]?.text).toContain("+1,203");
  });

  it("open their ride, if it has one", () => {
    const { box } = withFeed();
    expect(box.find("button").filter(({ text }) => text.includes("r-1"))).toEqual([]);
    const opened: unknown[] = [];
    const store = verifiedWith(feed);
    const actions = { showRide: (ride: unknown) => opened.push(ride) } as never;
    draw(<Events store={store} actions={actions} />)
      .find("button")
      .find(({ text }) => text.includes("r-2"))
      ?.click();
    expect(opened).toEqual([feed[1]!.ride]);
  });

  it("can be paused, count what waits meanwhile, and be collapsed", async () => {
    const { store, box } = withFeed();
    box.button("Pause").click();
    store.feedWaiting.value = 1_412;
    await settled();
    expect(store.feedPaused.value).toBe(true);
    expect(box.find("h2")[0]?.text).toBe("Eventspaused, 1,412 more");
    box.button("Collapse").click();
    await settled();
    expect(box.find(".feed")).toEqual([]);
  });
});

function verifiedWith(feed: readonly FeedRow[]): Store {
  const store = verified();
  store.feed.value = feed;
  return store;
}

describe("the tools around the map", () => {
  it("ask for what they say", () => {
    const { box, done } = panel((props) => (
      <>
        <Tools {...props} />
        <Zoom {...props} />
      </>
    ));
    for (const name of ["Zoom in", "Zoom out", "Whole city", "Ask for a ride"]) box.button(name).click();
    expect(done).toEqual([["zoomBy", 1], ["zoomBy", -1], ["showWholeCity"], ["askForRide"]]);
  });

  it("find what was typed, and say what was not found", async () => {
    class Typed {
      get = () => "t-7";
    }
    vi.stubGlobal("FormData", Typed);
    const { store, box, done } = panel((props) => <Tools {...props} />);
    box.find("form")[0]?.dispatch("submit");
    expect(done).toEqual([["find", "t-7"]]);
    store.found.value = { what: "nothing", words: "No t-0007 in the city" };
    await settled();
    expect(box.text).toContain("No t-0007 in the city");
  });

  it("switch between layers of the map, and say what their colours mean", async () => {
    const { store, box, done } = panel((props) => <Zoom {...props} />);
    expect(box.find(".layers")).toEqual([]);
    box.button("Layers").click();
    await settled();
    box.button("Waits").click();
    box.button("No layer").click();
    expect(done).toEqual([
      ["showLayer", "waits"],
      ["showLayer", null],
    ]);
    store.layer.value = "waits";
    await settled();
    expect(box.button("Waits").attributes.get("aria-pressed")).toBe("true");
    expect(box.text).toContain("Too little was seen yet.");
    store.layerScale.value = ["0:45", "5:10"];
    await settled();
    expect(box.find(".note").at(-1)?.text).toBe("0:455:10");
    box.button("Layers").click();
    await settled();
    expect(box.find(".layers")).toEqual([]);
  });

  it("offer the whole city where a view is empty", async () => {
    const { store, box, done } = panel((props) => <EmptyView {...props} />);
    expect(box.text).toBe("");
    store.emptyView.value = true;
    await settled();
    expect(box.text).toContain("5 drive elsewhere in the city.");
    box.button("Show the whole city").click();
    expect(done).toEqual([["showWholeCity"]]);
  });

  it("say what is wrong with the map", async () => {
    const { store, box } = panel((props) => <MapTroubleLine store={props.store} />);
    store.mapTrouble.value = "gone";
    await settled();
    expect(box.text).toContain("reload the page");
    store.mapTrouble.value = "unloaded";
    await settled();
    expect(box.text).toBe("");
  });

  it("lead through the tour", () => {
    const store = verified();
    store.tourOver.value = false;
    store.canKill.value = true;
    const { box, done } = panel((props) => <Tour {...props} />, store);
    for (const step of ["1Watch", "2Kill a gateway", "3Ask for a ride"]) box.button(step).click();
    expect(done).toEqual([["watch"], ["kill"], ["askForRide"]]);
  });
});

describe("what is read aloud", () => {
  it("is each change of state", async () => {
    const { store, box } = panel((props) => <Announcer store={props.store} />);
    expect(box.text).toBe("The rows are verified");
    store.mismatch.value = { cutMs: 1, own: "a", received: "b", at: 1, healedAt: null };
    await settled();
    expect(box.text).toBe("The hash of this page's rows differs from the gateway's");
  });
});

describe("the page", () => {
  it("has panels around the map on wide screens, and one sheet on small ones", async () => {
    const { store, box } = panel((props) => <Page {...props} attribution="" cities={ONE_CITY} />);
    expect([box.find(".left").length, box.find(".zoom").length]).toEqual([1, 1]);
    store.mapTrouble.value = "missing";
    await settled();
    expect(box.find(".zoom")).toEqual([]);
    store.small.value = true;
    await settled();
    expect([box.find(".left").length, box.find(".sheet").length]).toEqual([0, 1]);
  });

  it("has a switch between cities, wide and small, only if there are several", async () => {
    expect(
      panel((props) => <Page {...props} attribution="" cities={ONE_CITY} />).box.find(".cities"),
    ).toEqual([]);
    const { store, box } = panel((props) => <Page {...props} attribution="" cities={TWO_CITIES} />);
    for (const small of [false, true]) {
      store.small.value = small;
      await settled();
      const [cities] = box.find(".cities");
      expect(cities?.text).toBe("ManhattanHelsinki");
    }
  });

  it("shows more on a small screen when its grip is pressed", async () => {
    const { box } = panel((props) => <Sheet {...props} attribution="" />);
    expect(box.find(".left")).toEqual([]);
    box.button("Show more").click();
    await settled();
    expect(box.find(".left")).toHaveLength(1);
  });

  it("puts an error of a panel in the place of all of them", async () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    const { store, box } = panel((props) => <Page {...props} attribution="" cities={ONE_CITY} />);
    store.held.value = { ...store.held.value!, byStatus: null as never };
    await settled();
    expect(box.text).toContain("This page stopped because of an error in it");
    expect(box.text).not.toContain("hash equals");
    expect(store.pageError.value).toContain("TypeError");
  });
});
