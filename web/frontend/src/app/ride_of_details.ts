// SPDX-License-Identifier: Apache-2.0
/** The row of a ride that the stream does not hold, from what a gateway answers about it. */

import type { RideDetails } from "../city/explanation";
import { RIDE } from "../city/rides";
import type { RideRecord } from "../stream";

const STATES: Record<string, number> = {
  REQUESTED: RIDE.requested,
  OFFERED: RIDE.offered,
  ASSIGNED: RIDE.assigned,
  ARRIVED: RIDE.arrived,
  ON_TRIP: RIDE.onTrip,
  COMPLETED: RIDE.completed,
  CANCELLED: RIDE.cancelled,
  NO_SHOW: RIDE.noShow,
  EXPIRED: RIDE.expired,
};

/** Null if the answer lacks what a row has. */
export function rideOfDetails(id: string, details: RideDetails): RideRecord | null {
  const { pickup, dropoff, attempt, driver } = details;
  const state = STATES[details.state];
  if (!pickup || !dropoff || state === undefined) return null;
  const low = (ms: number | undefined) => (ms ?? 0) % 2 ** 32;
  const e5 = ([lng, lat]: readonly [number, number]) =>
    [Math.round(lng * 1e5), Math.round(lat * 1e5)] as const;
  return {
    id,
    state,
    attempt: attempt & 0xffff,
    driver: driver ?? 0,
    pickup: e5(pickup),
    dropoff: e5(dropoff),
    requested: low(details.requested_ms),
    assigned: low(details.assigned_ms),
    arrived: low(details.arrived_ms),
    started: low(details.started_ms),
    ended: low(details.ended_ms),
    words: new Uint32Array(0),
  };
}
