// SPDX-License-Identifier: Apache-2.0
/** The ride of the ride panel: asked for here, or found. Keeps panel and map in step with its row. */

import { type Found, find } from "../city/find";
import { hasEnded } from "../city/rides";
import type { Replica, RideRecord } from "../stream";
import { requestRide, rideDetails } from "./api";
import { type AskEvent, ask } from "./ask";
import type { MapPort, Place } from "./map_port";
import { RideDetailsFetcher } from "./ride_details";
import { randomWords } from "./safely";
import type { Store } from "./store";

/** Close enough to tell one taxi from the next. */
const FOUND_ZOOM = 16;
const TAXI_ZOOM = 16.3;

/** The gateway's HTTP side, as far as rides need it. */
export interface RideApi {
  /** Null, or a problem in words. */
  requestRide: typeof requestRide;
  rideDetails: typeof rideDetails;
}

export class RideController {
  private readonly details: RideDetailsFetcher;

  constructor(
    private readonly store: Store,
    private readonly map: Omit<MapPort, "take"> | null,
    private readonly replica: () => Replica,
    private readonly api: RideApi = { requestRide, rideDetails },
  ) {
    this.details = new RideDetailsFetcher(api.rideDetails, (id, { why, fare_cents: fareCents }) =>
      this.handle({ type: "details", id, why, fareCents }),
    );
  }

  /** Choose places on the map; without a map there is nothing to click on. */
  begin(): void {
    if (this.map) this.handle({ type: "begin" });
  }

  close(): void {
    this.handle({ type: "cancel" });
  }

  /** A click on the map. */
  pick(place: Place): void {
    if (this.store.ask.value.step !== "choosing") return;
    this.handle({ type: "pick", stop: this.stop(place) });
  }

  /** Request the ride. Its row in the stream says what becomes of it. */
  async send(): Promise<void> {
    this.handle({ type: "send" });
    const now = this.store.ask.value;
    if (now.step !== "sending") return;
    const id = `web-${randomWords(2).reduce((text, n) => text + n.toString(36), "")}`;
    const problem = await this.api.requestRide(id, now.pickup.place, now.dropoff.place);
    this.handle(problem === null ? { type: "accepted", id } : { type: "failed", problem });
  }

  /** Rows changed: show the row of the ride in the panel. */
  follow(replica: Replica): void {
    const now = this.store.ask.value;
    if (now.step !== "riding") return;
    const row = replica.rides.get(now.id);
    if (!row || row === now.row) return;
    this.handle({ type: "row", row });
    this.show(row);
  }

  /** Go to a taxi or a ride; an empty text ends it. */
  find(text: string): void {
    const where = this.store.view.value === null ? "the city" : "this view";
    const found = text.trim() === "" ? null : find(text, this.replica(), where);
    this.store.found.value = found;
    if (found?.what !== "nothing") this.goTo(found);
  }

  /** A ride of the feed. Its row may be gone by now: then it is shown as it was. */
  showRide(ride: RideRecord): void {
    this.goTo({ what: "ride", ride: this.replica().rides.get(ride.id) ?? ride });
  }

  private goTo(found: Exclude<Found, { what: "nothing" }> | null): void {
    const driver = driverOf(found);
    this.map?.select(driver || null);
    const place = this.map?.place(driver) ?? (found?.what === "ride" ? degrees(found.ride.pickup) : null);
    if (place) this.map?.map.fly(place, FOUND_ZOOM);
    if (found?.what === "ride") this.open(found.ride);
  }

  showTaxi(driver: number): void {
    const place = this.map?.place(driver);
    if (place) this.map?.map.fly(place, TAXI_ZOOM);
  }

  /** Show a ride that was found, unless the panel holds one of this page's own. */
  private open(row: RideRecord): void {
    const [pickup, dropoff] = [this.stop(degrees(row.pickup)), this.stop(degrees(row.dropoff))];
    this.handle({ type: "found", row, pickup, dropoff });
    const now = this.store.ask.value;
    if (now.step === "riding" && now.id === row.id) this.show(row);
  }

  /** A ride on the map: its taxi, and where it still has to go. */
  private show(row: RideRecord): void {
    void this.details.follow(row);
    this.map?.select(row.driver !== 0 && !hasEnded(row) ? row.driver : null);
    if (row.started !== 0) this.map?.map.pin("pickup", null);
    if (hasEnded(row)) this.map?.map.pin("dropoff", null);
  }

  private handle(event: AskEvent): void {
    const now = ask(this.store.ask.value, event);
    this.store.ask.value = now;
    if (event.type === "row" || event.type === "details") return;
    if (now.step !== "riding") void this.details.follow(null);
    this.map?.map.setCrosshair(now.step === "choosing");
    this.map?.map.pin("pickup", now.step === "off" ? null : (now.pickup?.place ?? null));
    this.map?.map.pin("dropoff", now.step === "off" ? null : (now.dropoff?.place ?? null));
    if (now.step === "off" || now.step === "choosing") this.map?.select(null);
  }

  private stop(place: Place) {
    return { place, street: this.map?.map.streetAt(place) ?? null };
  }
}

function driverOf(found: Found | null): number {
  if (found?.what === "taxi") return found.driver;
  return found?.what === "ride" ? found.ride.driver : 0;
}

function degrees([lng, lat]: readonly [number, number]): Place {
  return [lng / 1e5, lat / 1e5];
}
