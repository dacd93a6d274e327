// SPDX-License-Identifier: Apache-2.0
/** The ride that was asked for in this tab: kept, so that a reload does not lose it. */

import type { Stop } from "./ask";
import { attempt, keep, kept } from "./safely";

export interface OwnRide {
  readonly id: string;
  readonly pickup: Stop;
  readonly dropoff: Stop;
}

const KEY = "taxistream.ride";

/** `city`: each has its own. */
export function keepOwnRide(city: string, ride: OwnRide | null): void {
  keep("session", `${KEY}.${city}`, ride === null ? "" : JSON.stringify(ride));
}

/** Null where none was kept, and for what cannot be read. */
export function keptOwnRide(city: string): OwnRide | null {
  const ride = attempt(() => JSON.parse(kept("session", `${KEY}.${city}`) || "null") as OwnRide | null, null);
  const isWhole = typeof ride?.id === "string" && isStop(ride.pickup) && isStop(ride.dropoff);
  return isWhole ? ride : null;
}

function isStop(stop: unknown): stop is Stop {
  const place = (stop as Stop | null)?.place;
  return Array.isArray(place) && place.length === 2 && place.every((one) => Number.isFinite(one));
}
