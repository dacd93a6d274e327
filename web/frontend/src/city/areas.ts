// SPDX-License-Identifier: Apache-2.0
/** A neighbourhood in figures: who waits there and how long, and how many requests are to be expected. */

import type { Replica, RideRecord } from "../stream";
import type { Neighbourhoods } from "./neighbourhoods";
import { type Pulse, quantile } from "./pulse";
import { DRIVER, isWaiting } from "./rides";

export interface AreaFigures {
  readonly name: string;
  /** Rides that wait for a taxi there now, the longest first. */
  readonly waiting: readonly RideRecord[];
  readonly vacant: number;
  /** All taxis there. */
  readonly taxis: number;
  /** Of the pickups of the last 15 minutes that this page has seen; null while there are too few. */
  readonly medianMs: number | null;
  readonly p90Ms: number | null;
  /** How many pickups these are of. */
  readonly pickups: number;
  /** Requests of the next five minutes if they come as fast as since `paceMs`; null while that is too short. */
  readonly expected: number | null;
  /** How long requests were counted, in city time. */
  readonly paceMs: number;
}

/** What is expected of so much city time. */
export const AHEAD_MS = 5 * 60_000;
/** Before, a pace is chance. */
const PACE_MIN_MS = 2 * 60_000;
const PICKUPS_MIN = 5;

/** The figures of one neighbourhood; the place with the nearest middle counts. */
export function areaFigures(
  name: string,
  places: Neighbourhoods,
  { drivers, rides, cutMs, cityTime }: Replica,
  pulse: Pick<Pulse, "waits" | "requests">,
): AreaFigures {
  const isHere = (place: readonly [number, number]) => places.at(place) === name;
  let [vacant, taxis] = [0, 0];
  for (let slot = 0; slot < drivers.n; slot++) {
    if (!isHere([drivers.lngE5[slot]!, drivers.latE5[slot]!])) continue;
    taxis++;
    if (drivers.status[slot] === DRIVER.idle) vacant++;
  }
  const waiting = [...rides.values()].filter((ride) => isWaiting(ride) && isHere(ride.pickup));
  waiting.sort((a, b) => (a.requested - b.requested) | 0);
  const { fromMs, rides: requested } = pulse.requests(cutMs);
  const paceMs = cityTime.between(fromMs, cutMs);
  const came = requested.filter(({ pickup }) => isHere(pickup)).length;
  return {
    name,
    waiting,
    vacant,
    taxis,
    ...waitsOf(
      pulse.waits.flatMap(({ pickup, waitMs }) => (waitMs !== null && isHere(pickup) ? [waitMs] : [])),
    ),
    expected: paceMs < PACE_MIN_MS ? null : (came * AHEAD_MS) / paceMs,
    paceMs,
  };
}

function waitsOf(waits: number[]): Pick<AreaFigures, "medianMs" | "p90Ms" | "pickups"> {
  const sorted = waits.sort((a, b) => a - b);
  const pickups = sorted.length;
  if (pickups < PICKUPS_MIN) return { medianMs: null, p90Ms: null, pickups };
  return { medianMs: quantile(sorted, 0.5), p90Ms: quantile(sorted, 0.9), pickups };
}
