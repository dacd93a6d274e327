// SPDX-License-Identifier: Apache-2.0
/**
 * Ways along the streets: of the ride that is being chosen (with its time and fare), and of the taxi that is shown. The
 * gateway is asked for them; between two answers the way is shortened by what the taxi has driven.
 */

import { DRIVER, hasEnded, RIDE } from "../city/rides";
import { ahead, clockMs, type Point, type Route } from "../city/route";
import type { Replica, RideRecord } from "../stream";
import type { route } from "./api";
import type { MapPort, Place } from "./map_port";
import type { Store } from "./store";

/** A driver's row, and the ride it has. */
export interface TaxiShown {
  readonly driver: number;
  readonly status: number;
  readonly speedMps: number;
  readonly ride: RideRecord | null;
}

/** What is known of a ride before it is asked for. */
export interface Quote {
  readonly pickup: Place;
  readonly dropoff: Place;
  /** Null while the answer is awaited. */
  readonly trip: Route | null;
  /** From the vacant taxi that is nearest by time; null if there is none. */
  readonly nearest: Route | null;
  readonly problem: string | null;
}

export interface Way {
  readonly driver: number;
  readonly to: "pickup" | "dropoff";
  readonly route: Route;
  /** When the answer came, monotonic milliseconds. */
  readonly at: number;
}

/** So many vacant taxis, the nearest ones by air, are compared by driving time. */
const COMPARED = 6;
/** The way of a taxi is asked for again so often: it may turn otherwise than the fastest way does. */
const AGAIN_MS = 5_000;
const DRAW_MS = 250;

/** When the taxi will be there, as an estimate: milliseconds from `now`. */
export function arrivesInMs({ route: way, at }: Way, now: number): number {
  return Math.max(0, clockMs(way) - (now - at));
}

export class Ways {
  private quoted = "";
  private asked = "";
  private askedAt = 0;
  private drawnAt = 0;

  constructor(
    private readonly store: Store,
    private readonly map: Omit<MapPort, "take"> | null,
    private readonly fetchRoute: typeof route,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** The places of a ride were chosen, or one was taken back (null). */
  async quote(
    pickup: Place | null,
    dropoff: Place | null,
    replica: Replica,
    withNearest: boolean,
  ): Promise<void> {
    const wanted = pickup && dropoff ? `${pickup} ${dropoff}` : "";
    if (wanted === this.quoted) return;
    this.quoted = wanted;
    this.store.quote.value = null;
    this.draw();
    if (!pickup || !dropoff) return;
    const starts = withNearest ? nearestVacant(replica, pickup) : [];
    const [trip, nearest] = await Promise.all([
      this.fetchRoute([pickup.join(",")], dropoff),
      starts.length > 0 ? this.fetchRoute(starts, pickup) : null,
    ]);
    if (this.quoted !== wanted) return;
    const problem = typeof trip === "string" ? trip : null;
    this.store.quote.value = {
      pickup,
      dropoff,
      trip: typeof trip === "string" ? null : trip,
      nearest: typeof nearest === "string" ? null : nearest,
      problem,
    };
    this.draw();
  }

  /** Rows changed: keep the way of a taxi in step with where it is and where it has to go. Null: none is shown. */
  follow(driver: number | null, ride: RideRecord | null, replica: Replica): void {
    const to = target(ride, driver);
    const now = this.now();
    if (driver === null || to === null) {
      if (this.asked !== "") {
        this.asked = "";
        this.store.way.value = null;
        this.draw();
      }
      return;
    }
    const wanted = `${driver} ${to.what} ${to.place}`;
    if (wanted !== this.asked) this.store.way.value = null;
    if (wanted !== this.asked || now - this.askedAt > AGAIN_MS) {
      this.asked = wanted;
      this.askedAt = now;
      void this.ask(wanted, driver, to, replica);
    }
    if (now - this.drawnAt > DRAW_MS) this.draw();
  }

  private async ask(wanted: string, driver: number, to: Target, replica: Replica): Promise<void> {
    const start = startOf(replica, driver);
    if (start === null) return;
    const found = await this.fetchRoute([start], to.place);
    if (this.asked !== wanted || typeof found === "string") return;
    this.store.way.value = { driver, to: to.what, route: found, at: this.now() };
    this.draw();
  }

  /** The lines on the map. */
  draw(): void {
    this.drawnAt = this.now();
    const { quote, way, ask } = this.store;
    const asked = ask.value;
    const isPlanned =
      asked.step === "riding" ? !asked.row?.started && !isOver(asked.row) : asked.step !== "off";
    const planned = isPlanned ? (quote.value?.trip?.line ?? null) : null;
    const now = way.value;
    this.map?.map.ways({ planned, ahead: now && left(now, this.map.place(now.driver)) });
  }
}

interface Target {
  readonly what: "pickup" | "dropoff";
  readonly place: Place;
}

function left(way: Way, place: Point | null): readonly Point[] {
  return place === null ? way.route.line : ahead(way.route.line, place);
}

/** Where the taxi of a ride has to go; null while it waits, and if it has no ride. */
function target(ride: RideRecord | null, driver: number | null): Target | null {
  if (ride === null || ride.driver !== driver || hasEnded(ride)) return null;
  if (ride.state === RIDE.assigned) return { what: "pickup", place: degrees(ride.pickup) };
  return ride.state === RIDE.onTrip ? { what: "dropoff", place: degrees(ride.dropoff) } : null;
}

/** A driver's place and heading, as the gateway's routes take them. */
function startOf({ drivers }: Replica, driver: number): string | null {
  const slot = drivers.slots.get(driver);
  if (slot === undefined) return null;
  const heading = Math.floor((drivers.heading[slot]! / 256) * 360) % 360;
  return `${drivers.lngE5[slot]! / 1e5},${drivers.latE5[slot]! / 1e5},${heading}`;
}

function nearestVacant(replica: Replica, [lng, lat]: Place): string[] {
  const { drivers } = replica;
  const narrow = Math.cos((lat * Math.PI) / 180);
  const vacant: { d: number; id: number }[] = [];
  for (let slot = 0; slot < drivers.n; slot++) {
    if (drivers.status[slot] !== DRIVER.idle) continue;
    const d = Math.hypot((drivers.lngE5[slot]! / 1e5 - lng) * narrow, drivers.latE5[slot]! / 1e5 - lat);
    vacant.push({ d, id: drivers.id[slot]! });
  }
  return vacant
    .sort((a, b) => a.d - b.d)
    .slice(0, COMPARED)
    .map(({ id }) => startOf(replica, id)!);
}

function isOver(row: RideRecord | null): boolean {
  return row !== null && hasEnded(row);
}

export function degrees([lng, lat]: readonly [number, number]): Place {
  return [lng / 1e5, lat / 1e5];
}
