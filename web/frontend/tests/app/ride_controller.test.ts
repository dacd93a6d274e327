// SPDX-License-Identifier: Apache-2.0
/** Asking for a ride and finding one: what the panel holds, and what the map is asked to show. */

import { beforeEach, describe, expect, it } from "vitest";
import type { DriverDetails } from "../../src/app/api";
import { keepOwnRide } from "../../src/app/own_ride";
import { type RideApi, RideController } from "../../src/app/ride_controller";
import type { RideDetails } from "../../src/city/explanation";
import { Neighbourhoods } from "../../src/city/neighbourhoods";
import { RIDE } from "../../src/city/rides";
import { FakePage } from "./page";

const HERE = [-73.98, 40.75] as const;
const THERE = [-73.94, 40.77] as const;
const ROW = { id: "r-1", state: RIDE.assigned, driver: 1, requested: 5 };

beforeEach(() => keepOwnRide("", null));

function controller(api: Partial<RideApi> = {}, withMap = true) {
  const page = new FakePage();
  page.ready("gateway-1");
  page.image(undefined, [ROW]);
  const requests: unknown[][] = [];
  const noted: unknown[] = [];
  const gateway: RideApi = {
    requestRide: async (...request) => {
      requests.push(request);
      return null;
    },
    rideDetails: async () => null,
    cancelRide: async () => null,
    driverDetails: async () => null,
    route: async () => "no way",
    ...api,
  };
  const map = withMap ? page.map : null;
  const note = (selection: unknown) => noted.push(selection);
  const rides = new RideController(page.store, map, () => page.replica, gateway, note);
  return { page, rides, requests, noted, step: () => page.store.ask.value.step };
}

describe("asking for a ride", () => {
  it("takes two clicks and a button, and follows the row from then on", async () => {
    const { page, rides, requests, step } = controller();
    rides.begin();
    expect(page.map.asked()).toContainEqual(["crosshair", true]);
    rides.pick(HERE);
    rides.pick(THERE);
    expect(page.store.ask.value).toMatchObject({
      pickup: { place: HERE, street: "Broadway" },
      dropoff: { place: THERE, street: null },
    });
    await rides.send();
    expect(requests).toEqual([[expect.stringMatching(/^web-\w+$/), HERE, THERE]]);
    const now = page.store.ask.value;
    if (now.step !== "riding") throw new Error(now.step);
    page.map.asked();
    page.image(undefined, [{ ...ROW, id: now.id, state: RIDE.onTrip, started: 9 }]);
    rides.follow(page.replica);
    expect(page.store.ask.value).toMatchObject({ row: { id: now.id, state: RIDE.onTrip } });
    expect(page.map.asked()).toEqual([
      ["select", 1],
      ["pin", "pickup", null],
    ]);
    page.image(undefined, [{ ...ROW, id: now.id, state: RIDE.completed, started: 9, ended: 12 }]);
    rides.follow(page.replica);
    expect(page.map.asked()).toContainEqual(["pin", "dropoff", null]);
    expect(step()).toBe("riding");
  });

  it("says why a request failed, and keeps the places", async () => {
    const { page, rides, step } = controller({ requestRide: async () => "no street near by" });
    rides.begin();
    rides.pick(HERE);
    rides.pick(THERE);
    await rides.send();
    expect(step()).toBe("choosing");
    expect(page.store.ask.value).toMatchObject({ problem: "no street near by", pickup: { place: HERE } });
  });

  it("requests nothing before both places are chosen", async () => {
    const { rides, requests } = controller();
    rides.begin();
    rides.pick(HERE);
    await rides.send();
    expect(requests).toEqual([]);
  });

  it("works by name without a map, and clicks mean nothing unless it was begun", async () => {
    const { rides, requests, step } = controller({}, false);
    rides.pick(HERE);
    expect(step()).toBe("off");
    rides.begin();
    rides.setStop("dropoff", { place: THERE, street: "Chelsea" });
    rides.setStop("pickup", { place: HERE, street: "W 44th St & 8th Ave" });
    rides.setStop("pickup", null);
    await rides.send();
    expect([requests, step(), rides.middle()]).toEqual([[], "choosing", null]);
    rides.setStop("pickup", { place: HERE, street: "W 44th St & 8th Ave" });
    await rides.send();
    expect(requests[0]?.slice(1)).toEqual([HERE, THERE]);
  });

  it("leaves nothing on the map when it is closed", () => {
    const { page, rides } = controller();
    rides.begin();
    rides.pick(HERE);
    page.map.asked();
    rides.close();
    expect(page.map.asked()).toEqual([
      ["follow", null],
      ["crosshair", false],
      ["pin", "pickup", null],
      ["pin", "dropoff", null],
      ["select", null],
    ]);
  });
});

const TRIP = { start: 0, line: [HERE, THERE], time_s: 600, length_m: 1_100, fare_cents: 720, speed: 1 };
const tick = () => new Promise((done) => setTimeout(done, 0));

describe("a ride of one's own", () => {
  const asked = async (api: Partial<RideApi> = {}) => {
    const made = controller({ route: async () => TRIP, ...api });
    made.rides.begin();
    made.rides.pick(HERE);
    made.rides.pick(THERE);
    await tick();
    const quote = made.page.store.quote.value;
    const planned = made.page.map.lines.planned;
    await made.rides.send();
    const now = made.page.store.ask.value;
    return { ...made, quote, planned, id: now.step === "riding" ? now.id : "" };
  };

  it("has a way, a time and a fare before it is requested", async () => {
    const starts: unknown[] = [];
    const route: RideApi["route"] = async (from) => {
      starts.push(from);
      return TRIP;
    };
    const { quote, planned } = await asked({ route });
    expect(quote).toMatchObject({ trip: { fare_cents: 720 }, nearest: { time_s: 600 }, problem: null });
    expect(starts).toEqual([["-73.98,40.75"], ["-73.98,40.75,0"]]);
    expect(planned).toEqual([HERE, THERE]);
  });

  it("shows the way that its taxi has before it, along the streets", async () => {
    const { page, rides, id } = await asked();
    page.image(undefined, [{ ...ROW, id }]);
    rides.follow(page.replica);
    await tick();
    expect(page.store.way.value).toMatchObject({ driver: 1, to: "pickup", route: TRIP });
    expect(page.map.lines.ahead?.at(-1)).toEqual(THERE);
    page.image(undefined, [{ ...ROW, id, started: 8, ended: 9, state: RIDE.completed }]);
    rides.follow(page.replica);
    expect([page.store.way.value, page.map.lines.ahead]).toEqual([null, null]);
  });

  it("outlives its panel and a reload", async () => {
    const { page, rides, id, noted, step } = await asked();
    page.image(undefined, [{ ...ROW, id }]);
    rides.follow(page.replica);
    rides.close();
    expect([step(), noted.at(-1)]).toEqual(["off", null]);
    rides.begin();
    expect(page.store.ask.value).toMatchObject({ step: "riding", id, own: true, row: { id } });
    const again = controller();
    expect(again.page.store.ownRide.value).toMatchObject({ id, pickup: { place: HERE } });
    again.page.image(undefined, [{ ...ROW, id }]);
    again.rides.visit({ selection: { what: "ride", id } });
    expect(again.page.store.ask.value).toMatchObject({ step: "riding", id, own: true });
  });

  it("is over once it has ended and its panel is closed", async () => {
    const { page, rides, id } = await asked();
    page.image(undefined, [{ ...ROW, id, state: RIDE.expired, ended: 9 }]);
    rides.follow(page.replica);
    expect(page.store.ownRide.value).not.toBeNull();
    rides.again();
    expect(page.store.ask.value).toMatchObject({ step: "choosing", pickup: { place: HERE } });
    rides.close();
    expect(page.store.ownRide.value).toBeNull();
    expect(controller().page.store.ownRide.value).toBeNull();
  });

  it("is forgotten where no row shows it for two minutes, as long after its end", async () => {
    const { id } = await asked();
    let now = 0;
    const { page } = controller();
    const gateway = { rideDetails: async () => null } as unknown as RideApi;
    const rides = new RideController(
      page.store,
      null,
      () => page.replica,
      gateway,
      () => {},
      "",
      () => now,
    );
    rides.follow(page.replica);
    expect(page.store.ownRide.value).toMatchObject({ id });
    now = 120_001;
    rides.follow(page.replica);
    expect(page.store.ownRide.value).toBeNull();
  });

  it("can be cancelled, and says why not", async () => {
    const cancelled: string[] = [];
    const { page, rides, id } = await asked({
      cancelRide: async (ride) => {
        cancelled.push(ride);
        return cancelled.length === 1 ? null : "the ride has ended: COMPLETED";
      },
    });
    await rides.cancel();
    expect([cancelled, page.store.cancelling.value]).toEqual([[id], { id, problem: null }]);
    await rides.cancel();
    expect(page.store.cancelling.value?.problem).toContain("ended");
    page.image(undefined, [{ ...ROW, id, state: RIDE.cancelled, ended: 9 }]);
    rides.follow(page.replica);
    expect(page.store.cancelling.value).toBeNull();
  });
});

const PLACES = new Neighbourhoods({
  features: [
    { geometry: { coordinates: [-73.98, 40.75] }, properties: { kind: "neighbourhood", name: "Chelsea" } },
    { geometry: { coordinates: [-73.94, 40.77] }, properties: { kind: "neighbourhood", name: "Harlem" } },
  ],
});

describe("a neighbourhood", () => {
  it("opens by its name, or by the land that belongs to it, and takes the place of a taxi", () => {
    const { page, rides, noted } = controller();
    page.store.neighbourhoods.value = PLACES;
    rides.showTaxi(2);
    rides.pick(HERE, { what: "land" });
    expect([page.store.areaName.value, page.store.taxi.value]).toEqual(["Chelsea", null]);
    expect(page.map.outlined?.length).toBeGreaterThan(3);
    rides.pick(HERE, { what: "area", name: "Harlem" });
    expect(page.store.areaName.value).toBe("Harlem");
    expect(noted.at(-1)).toEqual({ what: "area", name: "Harlem" });
    rides.close();
    expect([page.store.areaName.value, page.map.outlined, noted.at(-1)]).toEqual([null, null, null]);
  });

  it("makes room for a taxi, a ride, and a ride that is asked for", () => {
    const { page, rides } = controller();
    page.store.neighbourhoods.value = PLACES;
    const opens = [
      () => rides.showTaxi(2),
      () => rides.pick(HERE, { what: "ride", id: "r-1" }),
      () => rides.begin(),
    ];
    for (const open of opens) {
      rides.close();
      rides.showArea("Harlem");
      expect(page.store.areaName.value).toBe("Harlem");
      open();
      expect(page.store.areaName.value).toBeNull();
    }
    rides.pick(HERE, { what: "area", name: "Harlem" });
    expect(page.store.ask.value).toMatchObject({ step: "choosing", pickup: { place: HERE } });
  });

  it("is found by its name, and opened by an address once the names are there", () => {
    const { page, rides } = controller();
    rides.visit({ selection: { what: "area", name: "Harlem" } });
    expect(page.store.areaName.value).toBeNull();
    page.store.neighbourhoods.value = PLACES;
    rides.follow(page.replica);
    expect(page.store.areaName.value).toBe("Harlem");
    rides.find("chel");
    expect(page.store.areaName.value).toBe("Chelsea");
    expect(page.map.asked().at(-1)).toEqual(["fly", -73.98, 40.75, 14.2]);
    rides.visit({ selection: { what: "area", name: "Atlantis" } });
    expect(page.store.found.value).toEqual({ what: "nothing", words: "No neighbourhood Atlantis here" });
    rides.visit({ selection: null });
    expect(page.store.areaName.value).toBeNull();
  });
});

describe("what the log says of a taxi", () => {
  const DETAILS = { driver: 1, on_shift: true, leaving: false, shift_since_ms: 5, trips: 3 };

  it("is requested when its panel opens, when its ride changes, and else every half minute", async () => {
    const asked: number[] = [];
    let now = 100_000;
    const page = new FakePage();
    page.image(undefined, [ROW]);
    const driverDetails = async (driver: number) => {
      asked.push(driver);
      return { ...DETAILS, driver } as DriverDetails;
    };
    const api = { driverDetails, route: async () => "no way" } as unknown as RideApi;
    const rides = new RideController(
      page.store,
      page.map,
      () => page.replica,
      api,
      () => {},
      "",
      () => now,
    );
    rides.showTaxi(1);
    rides.follow(page.replica);
    await tick();
    expect([asked, page.store.taxiDetails.value?.trips]).toEqual([[1], 3]);
    page.image(undefined, [{ ...ROW, state: RIDE.onTrip, started: 9 }]);
    rides.follow(page.replica);
    now += 30_000;
    rides.follow(page.replica);
    expect(asked).toEqual([1, 1, 1]);
    rides.showTaxi(2);
    expect(page.store.taxiDetails.value).toBeNull();
    rides.close();
    await tick();
    expect(page.store.taxiDetails.value).toBeNull();
  });
});

describe("what is on the map", () => {
  it("opens a taxi by a click, and the map follows it until the panel closes", () => {
    const { page, rides, noted } = controller();
    rides.pick(HERE, { what: "taxi", driver: 2 });
    expect(page.store.taxi.value).toMatchObject({ driver: 2, ride: null });
    expect(noted).toEqual([{ what: "taxi", driver: 2 }]);
    rides.setFollowing(true);
    expect([page.store.following.value, page.map.asked().at(-1)]).toEqual([true, ["follow", 2]]);
    rides.close();
    expect([page.store.taxi.value, page.store.following.value]).toEqual([null, false]);
    expect(page.map.asked()).toContainEqual(["follow", null]);
  });

  it("opens a waiting rider's ride by a click, and its taxi's panel follows its row", () => {
    const { page, rides } = controller();
    rides.pick(HERE, { what: "ride", id: "r-1" });
    expect(page.store.ask.value).toMatchObject({ step: "riding", id: "r-1", own: false });
    rides.showTaxi(1);
    expect(page.store.ask.value.step).toBe("off");
    page.image([{ id: 1, x: -7_398_000, y: 4_075_000, at: 5, status: 5 }]);
    rides.follow(page.replica);
    expect(page.store.taxi.value).toMatchObject({ status: 5, ride: null });
  });

  it("opens what an address names once the rows are there, and closes it on the way back", () => {
    const { page, rides, step } = controller();
    rides.visit({ selection: { what: "taxi", driver: 2 } });
    expect(page.store.taxi.value).toMatchObject({ driver: 2 });
    rides.visit({ selection: { what: "ride", id: "r-1" } });
    expect([step(), page.store.taxi.value]).toEqual(["riding", null]);
    rides.visit({ selection: null });
    expect([step(), page.store.taxi.value]).toEqual(["off", null]);
  });

  it("asks a gateway for a ride that is no longer held, and says so if none knows it", async () => {
    const answer = { attempt: 1, state: "COMPLETED", why: null, fare_cents: 900, driver: 7 };
    const known = { ...answer, pickup: [-73.98, 40.75], dropoff: [-73.9, 40.8], ended_ms: 5 } as RideDetails;
    const { page, rides } = controller({ rideDetails: async (id) => (id === "r-9" ? known : null) });
    rides.visit({ selection: { what: "ride", id: "r-9" } });
    await tick();
    expect(page.store.ask.value).toMatchObject({ step: "riding", id: "r-9", row: { state: 6, driver: 7 } });
    rides.visit({ selection: { what: "ride", id: "r-8" } });
    await tick();
    expect(page.store.found.value).toEqual({ what: "nothing", words: "No ride r-8 now" });
  });
});

describe("finding", () => {
  it("flies to a taxi and marks it", () => {
    const { page, rides } = controller();
    rides.find("t-1");
    expect(page.map.asked()).toEqual([
      ["follow", null],
      ["select", 1],
      ["fly", -73.98, 40.75, 16.3],
    ]);
    expect(page.store.taxi.value).toMatchObject({ driver: 1, ride: { id: "r-1" } });
  });

  it("opens a ride, flies to its taxi, and shows its details", async () => {
    const why = { type: "RideOffered", batch: 1, at_ms: 1, driver: 1, attempt: 1, eta_s: 60 } as const;
    const details: RideDetails = { attempt: 1, state: "assigned", why, fare_cents: null };
    const { page, rides } = controller({ rideDetails: async () => details });
    rides.find("r-1");
    expect(page.store.ask.value).toMatchObject({ step: "riding", id: "r-1", own: false });
    expect(page.map.asked()).toContainEqual(["fly", -73.98, 40.75, 16]);
    await new Promise((done) => setTimeout(done, 0));
    expect(page.store.ask.value).toMatchObject({ why: { eta_s: 60 } });
  });

  it("flies to the pickup of a ride whose taxi is not drawn", () => {
    const { page, rides } = controller();
    page.map.places.clear();
    rides.find("r-1");
    expect(page.map.asked()).toContainEqual(["fly", -73.98, 40.75, 16]);
  });

  it("says what was not found, of the city or of the view", () => {
    const { page, rides } = controller();
    rides.find("t-99");
    expect(page.store.found.value).toMatchObject({ words: "No t-0099 in the city" });
    page.store.view.value = [0, 0, 1, 1];
    rides.find("t-99");
    expect(page.store.found.value).toMatchObject({ words: "No t-0099 in this view" });
    expect(page.map.asked()).toEqual([]);
  });

  it("ends with an empty text", () => {
    const { page, rides } = controller();
    rides.find("t-1");
    page.map.asked();
    rides.find(" ");
    expect(page.store.found.value).toBeNull();
    expect([page.store.taxi.value, page.map.asked().at(-1)]).toEqual([null, ["select", null]]);
  });

  it("works without a map", () => {
    const { page, rides } = controller({}, false);
    rides.find("r-1");
    expect(page.store.ask.value.step).toBe("riding");
    rides.showTaxi(1);
    expect(page.store.taxi.value).toMatchObject({ driver: 1 });
  });

  it("does not take the place of places that are chosen", () => {
    const { page, rides } = controller();
    rides.begin();
    rides.pick(HERE);
    rides.find("r-1");
    rides.find("t-1");
    expect(page.store.ask.value).toMatchObject({ step: "choosing", pickup: { place: HERE } });
  });
});
