// SPDX-License-Identifier: Apache-2.0
/** Asking for a ride and finding one: what the panel holds, and what the map is asked to show. */

import { describe, expect, it } from "vitest";
import { type RideApi, RideController } from "../../src/app/ride_controller";
import type { RideDetails } from "../../src/city/explanation";
import { RIDE } from "../../src/city/rides";
import { FakePage } from "./page";

const HERE = [-73.98, 40.75] as const;
const THERE = [-73.94, 40.77] as const;
const ROW = { id: "r-1", state: RIDE.assigned, driver: 1, requested: 5 };

function controller(api: Partial<RideApi> = {}, withMap = true) {
  const page = new FakePage();
  page.ready("gateway-1");
  page.image(undefined, [ROW]);
  const requests: unknown[][] = [];
  const rides = new RideController(page.store, withMap ? page.map : null, () => page.replica, {
    requestRide: async (...request) => {
      requests.push(request);
      return null;
    },
    rideDetails: async () => null,
    ...api,
  });
  return { page, rides, requests, step: () => page.store.ask.value.step };
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

  it("is not begun without a map, and clicks mean nothing unless it was begun", () => {
    const { rides, step } = controller({}, false);
    rides.begin();
    rides.pick(HERE);
    expect(step()).toBe("off");
  });

  it("leaves nothing on the map when it is closed", () => {
    const { page, rides } = controller();
    rides.begin();
    rides.pick(HERE);
    page.map.asked();
    rides.close();
    expect(page.map.asked()).toEqual([
      ["crosshair", false],
      ["pin", "pickup", null],
      ["pin", "dropoff", null],
      ["select", null],
    ]);
  });
});

describe("finding", () => {
  it("flies to a taxi and marks it", () => {
    const { page, rides } = controller();
    rides.find("t-1");
    expect(page.map.asked()).toEqual([
      ["select", 1],
      ["fly", -73.98, 40.75, 16],
    ]);
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
    expect(page.map.asked()).toEqual([["select", null]]);
  });

  it("works without a map", () => {
    const { page, rides } = controller({}, false);
    rides.find("r-1");
    rides.showTaxi(1);
    expect(page.store.ask.value.step).toBe("riding");
  });

  it("does not take the place of a ride that was asked for here", async () => {
    const { page, rides } = controller();
    rides.begin();
    rides.pick(HERE);
    rides.pick(THERE);
    await rides.send();
    rides.find("r-1");
    expect(page.store.ask.value).toMatchObject({ own: true });
  });
});
