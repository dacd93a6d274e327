// SPDX-License-Identifier: Apache-2.0
/** What is open beside the map: a ride that is asked for, a ride, a taxi, or a neighbourhood. Keeps panel, map and address in step with the rows. */

import { explanationNow } from "../city/explanation";
import { type Found, find } from "../city/find";
import { hasEnded, RIDE } from "../city/rides";
import type { Replica, RideRecord } from "../stream";
import { type Address, noteSelection, type Selection } from "./address";
import { cancelRide, driverDetails, requestRide, rideDetails, route } from "./api";
import { type AskEvent, ask, type Stop } from "./ask";
import { CandidateWays } from "./candidate_ways";
import type { Hit, MapPort, Place } from "./map_port";
import { keepOwnRide, keptOwnRide } from "./own_ride";
import { RideDetailsFetcher } from "./ride_details";
import { rideOfDetails } from "./ride_of_details";
import { randomWords } from "./safely";
import type { Store } from "./store";
import { degrees, type TaxiShown, Ways } from "./ways";

/** Close enough to tell one taxi from the next. */
const FOUND_ZOOM = 16;
const TAXI_ZOOM = 16.3;
/** All of a neighbourhood is on the screen. */
const AREA_ZOOM = 14.2;
/** What the log says of the shown taxi is requested so often, and whenever its ride changes. */
const DETAILS_MS = 30_000;
const HALF_METRES = 2;
/** A ride that no row shows for so long is over, or was lost with its log. */
const UNSEEN_MS = 120_000;

/** The gateway's HTTP side, as far as rides need it. */
export interface RideApi {
  /** Null, or a problem in words. */
  requestRide: typeof requestRide;
  cancelRide: typeof cancelRide;
  rideDetails: typeof rideDetails;
  driverDetails: typeof driverDetails;
  route: typeof route;
}

export const GATEWAY: RideApi = { requestRide, cancelRide, rideDetails, driverDetails, route };

export class RideController {
  private readonly details: RideDetailsFetcher;
  private readonly ways: Ways;
  private readonly candidates: CandidateWays;
  /** What the address names, until the rows say what it is. */
  private wanted: Selection | null = null;

  constructor(
    private readonly store: Store,
    private readonly map: Omit<MapPort, "take"> | null,
    private readonly replica: () => Replica,
    private readonly api: RideApi = GATEWAY,
    private readonly note: (selection: Selection | null) => void = noteSelection,
    private readonly city = "",
    private readonly now = () => performance.now(),
  ) {
    this.details = new RideDetailsFetcher(api.rideDetails, (id, details) => {
      const { why, fare_cents: fareCents, candidates = [], steps = [] } = details;
      this.handle({ type: "details", id, why, fareCents, candidates, steps });
      this.showCandidates();
    });
    this.ways = new Ways(store, map, api.route);
    this.candidates = new CandidateWays(store, map, api.route);
    store.ownRide.value = keptOwnRide(city);
    this.ownSince = this.now();
  }

  // --- a ride of one's own

  /** Choose places; or, while a ride of this page is under way, show that one. */
  begin(): void {
    const own = this.store.ownRide.value;
    if (own) this.openOwn();
    else this.choose({ type: "begin" });
  }

  /** Choose again, with the places of the ride that is shown. */
  again(): void {
    this.choose({ type: "again" });
  }

  private choose(event: AskEvent): void {
    this.closeTaxi();
    this.closeArea();
    this.handle(event);
    this.note(null);
  }

  /** Close what is open. A ride of one's own goes on, and can be opened again. */
  close(): void {
    this.end();
    this.dropEndedRide();
    this.note(null);
  }

  /** Close what is open without a word to the address, which names something else already. */
  end(): void {
    this.closeTaxi();
    this.closeArea();
    this.handle({ type: "cancel" });
  }

  /** A click on the map: a place while places are chosen, else what is there. */
  pick(place: Place, hit: Hit | null = null): void {
    if (this.store.ask.value.step === "choosing") this.handle({ type: "pick", stop: this.stop(place) });
    else if (hit?.what === "land") this.pickLand(place);
    else if (hit) this.open(hit);
  }

  private pickLand([lng, lat]: Place): void {
    const name = this.store.neighbourhoods.value?.at([lng * 1e5, lat * 1e5]);
    if (name) this.openArea(name);
  }

  /** A place by its name; null takes it back. */
  setStop(what: "pickup" | "dropoff", stop: Stop | null): void {
    this.handle(stop ? { type: "set", what, stop } : { type: "clear", what });
    const now = this.store.ask.value;
    if (!stop || now.step !== "choosing") return;
    if (now.pickup && now.dropoff) this.map?.map.fit([now.pickup.place, now.dropoff.place]);
    else this.map?.map.fly(stop.place, FOUND_ZOOM);
  }

  /** The place in the middle of the map. */
  middle(): Stop | null {
    const center = this.map?.map.view().center;
    return center ? this.stop(center) : null;
  }

  /** Request the ride. Its row in the stream says what becomes of it. */
  async send(): Promise<void> {
    this.handle({ type: "send" });
    const now = this.store.ask.value;
    if (now.step !== "sending") return;
    const id = `web-${randomWords(2).reduce((text, n) => text + n.toString(36), "")}`;
    const problem = await this.api.requestRide(id, now.pickup.place, now.dropoff.place);
    if (problem !== null) {
      this.handle({ type: "failed", problem });
      return;
    }
    const { pickup, dropoff } = now;
    this.store.ownRide.value = { id, pickup, dropoff };
    this.ownSince = this.now();
    keepOwnRide(this.city, this.store.ownRide.value);
    this.handle({ type: "accepted", id });
    if (this.store.ask.value.step === "riding") this.note({ what: "ride", id });
  }

  /** Cancel the ride in the panel. */
  async cancel(): Promise<void> {
    const now = this.store.ask.value;
    if (now.step !== "riding") return;
    this.store.cancelling.value = { id: now.id, problem: null };
    const problem = await this.api.cancelRide(now.id);
    if (problem !== null) this.store.cancelling.value = { id: now.id, problem };
  }

  private openOwn(): void {
    const own = this.store.ownRide.value;
    if (!own) return;
    this.closeTaxi();
    this.closeArea();
    this.handle({ type: "resumed", ...own });
    const row = this.replica().rides.get(own.id);
    if (row) this.update(row);
    else void this.openUnheld(own.id);
    this.note({ what: "ride", id: own.id });
  }

  /** A ride of one's own that has ended is over for good once its panel is closed. */
  private dropEndedRide(): void {
    const { ownRide, ask: now } = this.store;
    const id = ownRide.value?.id;
    if (id === undefined || (now.value.step === "riding" && now.value.id === id)) return;
    const row = this.replica().rides.get(id);
    if (row && !hasEnded(row)) return;
    if (!row && this.wasSeen !== id && this.now() - this.ownSince < UNSEEN_MS) return;
    ownRide.value = null;
    keepOwnRide(this.city, null);
  }

  /** The own ride whose row was held once: without a row it is over. */
  private wasSeen = "";
  /** When it was requested, or kept from before a reload. */
  private ownSince: number;

  // --- opening

  /** Show what an address names: at the start, and when the browser goes back or forward. */
  visit({ selection }: Pick<Address, "selection">): void {
    this.wanted = selection;
    if (selection === null) {
      if (this.store.ask.value.step === "riding") this.handle({ type: "cancel" });
      this.closeTaxi();
      this.closeArea();
    } else if (this.replica().cursor !== null) this.openWanted();
  }

  private openWanted(): void {
    const { wanted } = this;
    // Neighbourhoods come with the map's data.
    if (wanted?.what === "area" && this.store.neighbourhoods.value === null) return;
    this.wanted = null;
    if (wanted) this.open(wanted);
  }

  private open(selection: Selection): void {
    if (selection.what === "taxi") {
      this.showTaxi(selection.driver);
      return;
    }
    if (selection.what === "area") {
      this.showArea(selection.name);
      return;
    }
    if (selection.id === this.store.ownRide.value?.id) {
      this.openOwn();
      return;
    }
    const row = this.replica().rides.get(selection.id);
    if (row) this.showRide(row);
    else void this.openUnheld(selection.id);
  }

  /** A ride that ended some minutes ago, or is outside of the view: a gateway may know it. */
  private async openUnheld(id: string): Promise<void> {
    const details = await this.api.rideDetails(id);
    const row = details && rideOfDetails(id, details);
    const now = this.store.ask.value;
    if (this.replica().rides.has(id)) return;
    if (!row) {
      if (now.step === "riding" && now.id === id && now.own && this.wasSeen !== id) return;
      this.store.found.value = { what: "nothing", words: `No ride ${id} now` };
      if (now.step === "riding" && now.id === id) this.close();
      return;
    }
    if (now.step === "riding" && now.id === id) this.update(row);
    else this.openRide(row);
  }

  /** Rows changed: show those of what is open. */
  follow(replica: Replica): void {
    if (this.wanted !== null) this.openWanted();
    const own = this.store.ownRide.value;
    if (own && replica.rides.has(own.id)) this.wasSeen = own.id;
    this.dropEndedRide();
    const now = this.store.ask.value;
    if (now.step === "riding") {
      const row = replica.rides.get(now.id);
      if (row && row !== now.row) this.update(row);
    }
    this.followTaxi(replica);
  }

  private update(row: RideRecord): void {
    this.handle({ type: "row", row });
    this.show(row);
    this.showCandidates();
  }

  /** Those of the driver that the ride has now, on the map. */
  private showCandidates(): void {
    const now = this.store.ask.value;
    const why = now.step === "riding" ? explanationNow(now.row, now.why) : null;
    if (now.step === "riding" && why) void this.candidates.show(why, now.candidates, now.pickup.place);
    else this.candidates.hide();
  }

  /** Go to where all candidates can be seen. */
  fitCandidates(): void {
    this.candidates.fit();
  }

  /** Mark a candidate in the table and on the map; null: none. */
  highlight(driver: number | null): void {
    this.candidates.highlight(driver);
  }

  private followTaxi(replica: Replica): void {
    const { taxi, ask: now, following } = this.store;
    const shown = taxi.value;
    if (shown) {
      const next = taxiNow(shown.driver, replica);
      if (next && !sameTaxi(next, shown)) taxi.value = next;
      void this.askDetails(taxi.value ?? shown);
    }
    const ride = now.value.step === "riding" ? now.value.row : (taxi.value?.ride ?? null);
    const driver = ride && !hasEnded(ride) && ride.driver !== 0 ? ride.driver : (shown?.driver ?? null);
    this.ways.follow(driver, ride, replica);
    if (following.value && driver === null) this.setFollowing(false);
  }

  /** Go to a taxi or a ride; an empty text ends it. */
  find(text: string): void {
    const where = this.store.view.value === null ? "the city" : "this view";
    const area = this.store.neighbourhoods.value?.meant(text) ?? null;
    if (area !== null) {
      this.store.found.value = null;
      this.showArea(area);
      return;
    }
    const found: Found | null = text.trim() === "" ? null : find(text, this.replica(), where);
    this.store.found.value = found;
    if (found === null) this.close();
    else if (found.what === "taxi") this.showTaxi(found.driver);
    else if (found.what === "ride") this.showRide(found.ride);
  }

  /** A ride of the feed. Its row may be gone by now: then it is shown as it was. */
  showRide(ride: RideRecord): void {
    const row = this.replica().rides.get(ride.id) ?? ride;
    this.openRide(row);
    const place = (row.driver !== 0 && this.map?.place(row.driver)) || degrees(row.pickup);
    this.map?.map.fly(place, FOUND_ZOOM);
  }

  /** Open the panel of a taxi, and go there. */
  showTaxi(driver: number): void {
    const { ask: now } = this.store;
    const taxi = taxiNow(driver, this.replica());
    if (!taxi) {
      this.store.found.value = find(String(driver), this.replica(), "the city");
      return;
    }
    if (now.value.step === "choosing" || now.value.step === "sending") return;
    if (now.value.step === "riding") this.handle({ type: "cancel" });
    this.setFollowing(false);
    this.closeArea();
    if (this.store.taxi.value?.driver !== driver) this.store.taxiDetails.value = null;
    this.store.taxi.value = taxi;
    this.map?.select(driver);
    const place = this.map?.place(driver);
    if (place) this.map?.map.fly(place, TAXI_ZOOM);
    this.followTaxi(this.replica());
    this.note({ what: "taxi", driver });
  }

  /** Keep the shown taxi in the middle of the map, or no longer. */
  setFollowing(on: boolean): void {
    const { ask: now, taxi, following } = this.store;
    const driver = (now.value.step === "riding" && now.value.row?.driver) || taxi.value?.driver || null;
    following.value = on && driver !== null;
    this.map?.follow(following.value ? driver : null);
  }

  private closeTaxi(): void {
    this.setFollowing(false);
    if (this.store.taxi.value === null) return;
    this.store.taxi.value = null;
    this.map?.select(null);
    this.ways.follow(null, null, this.replica());
  }

  private detailsOf = "";
  private detailsAt = 0;

  private async askDetails({ driver, ride }: TaxiShown): Promise<void> {
    const wanted = `${driver} ${ride?.id} ${ride?.state}`;
    const now = this.now();
    if (wanted === this.detailsOf && now - this.detailsAt < DETAILS_MS) return;
    this.detailsOf = wanted;
    this.detailsAt = now;
    const details = await this.api.driverDetails(driver);
    if (details && this.store.taxi.value?.driver === driver) this.store.taxiDetails.value = details;
  }

  /** Go to a neighbourhood and open its panel. */
  showArea(name: string): void {
    const middle = this.store.neighbourhoods.value?.middle(name);
    if (!middle) this.store.found.value = { what: "nothing", words: `No neighbourhood ${name} here` };
    else if (this.openArea(name)) this.map?.map.fly(middle, AREA_ZOOM);
  }

  private openArea(name: string): boolean {
    const { ask: now, neighbourhoods } = this.store;
    if (now.value.step === "choosing" || now.value.step === "sending") return false;
    if (now.value.step === "riding") this.handle({ type: "cancel" });
    this.closeTaxi();
    this.store.areaName.value = name;
    this.map?.map.outline(neighbourhoods.value?.cell(name) ?? null);
    this.note({ what: "area", name });
    return true;
  }

  private closeArea(): void {
    if (this.store.areaName.value === null) return;
    this.store.areaName.value = null;
    this.store.area.value = null;
    this.map?.map.outline(null);
  }

  private openRide(row: RideRecord): void {
    const own = this.store.ownRide.value;
    if (own?.id === row.id) {
      this.openOwn();
      return;
    }
    const before = this.store.ask.value;
    if (before.step === "choosing" || before.step === "sending") return;
    this.closeTaxi();
    this.closeArea();
    const [pickup, dropoff] = [this.stop(degrees(row.pickup)), this.stop(degrees(row.dropoff))];
    this.handle({ type: "found", row, pickup, dropoff });
    this.show(row);
    this.note({ what: "ride", id: row.id });
  }

  /** A ride on the map: its taxi, and where it still has to go. */
  private show(row: RideRecord): void {
    void this.details.follow(row);
    this.map?.select(row.driver !== 0 && !hasEnded(row) ? row.driver : null);
    if (row.started !== 0) this.map?.map.pin("pickup", null);
    if (hasEnded(row)) this.map?.map.pin("dropoff", null);
    if (this.store.cancelling.value?.id !== row.id || hasEnded(row)) this.store.cancelling.value = null;
  }

  private handle(event: AskEvent): void {
    const before = this.store.ask.value;
    const now = ask(before, event);
    this.store.ask.value = now;
    if (event.type === "row" || event.type === "details") return;
    if (now.step !== "riding") void this.details.follow(null);
    this.showCandidates();
    this.map?.map.setCrosshair(now.step === "choosing");
    this.map?.map.pin("pickup", now.step === "off" ? null : (now.pickup?.place ?? null));
    this.map?.map.pin("dropoff", now.step === "off" ? null : (now.dropoff?.place ?? null));
    if (now.step === "off" || now.step === "choosing") this.map?.select(null);
    const [pickup, dropoff] = now.step === "off" ? [null, null] : [now.pickup, now.dropoff];
    void this.ways.quote(
      pickup?.place ?? null,
      dropoff?.place ?? null,
      this.replica(),
      now.step !== "riding",
    );
    if (now.step !== "riding" && before.step === "riding") this.ways.follow(null, null, this.replica());
  }

  private stop(place: Place): Stop {
    return { place, street: this.map?.map.streetAt(place) ?? null };
  }
}

/** What the rows say of a driver; null if it is not among them. */
export function taxiNow(driver: number, { drivers, rides }: Replica): TaxiShown | null {
  const slot = drivers.slots.get(driver);
  if (slot === undefined) return null;
  let ride: RideRecord | null = null;
  for (const one of rides.values())
    if (one.driver === driver && one.state >= RIDE.offered && !hasEnded(one)) ride = one;
  return { driver, status: drivers.status[slot]!, speedMps: drivers.speed[slot]! / HALF_METRES, ride };
}

function sameTaxi(a: TaxiShown, b: TaxiShown): boolean {
  return a.status === b.status && a.speedMps === b.speedMps && a.ride === b.ride;
}
