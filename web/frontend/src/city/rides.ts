// SPDX-License-Identifier: Apache-2.0
/** States of rides and drivers: their numbers in updates (docs/protocol.md), and their names for people. */

import type { RideRecord } from "../stream";

export const RIDE = {
  requested: 1,
  offered: 2,
  assigned: 3,
  arrived: 4,
  onTrip: 5,
  completed: 6,
  cancelled: 7,
  noShow: 8,
  expired: 9,
} as const;

export const DRIVER = {
  offline: 0,
  idle: 1,
  offered: 2,
  toPickup: 3,
  atPickup: 4,
  onTrip: 5,
  lost: 6,
} as const;

/** Drawn forms; `glyphs.tsx` and the taxi layer know them by these names and by status number. */
export type Glyph =
  | "off"
  | "vacant"
  | "offered"
  | "toPickup"
  | "atPickup"
  | "onTrip"
  | "lost"
  | "rider"
  | "struck"
  | "tick"
  | "batch"
  | "expected";

export interface StatusName {
  readonly status: number;
  readonly name: string;
  readonly short: string;
  readonly glyph: Glyph;
  readonly colour: string;
}

/** In the order of the legend. */
export const STATUS_NAMES: readonly StatusName[] = [
  { status: DRIVER.idle, name: "Vacant", short: "Vacant", glyph: "vacant", colour: "vacant" },
  { status: DRIVER.offered, name: "Offered a ride", short: "Offered", glyph: "offered", colour: "vacant" },
  { status: DRIVER.toPickup, name: "To pickup", short: "To pickup", glyph: "toPickup", colour: "pickup" },
  { status: DRIVER.atPickup, name: "At pickup", short: "At pickup", glyph: "atPickup", colour: "pickup" },
  { status: DRIVER.onTrip, name: "On trip", short: "On trip", glyph: "onTrip", colour: "trip" },
  { status: DRIVER.lost, name: "No signal", short: "No signal", glyph: "lost", colour: "lost" },
  { status: DRIVER.offline, name: "Off shift", short: "Off shift", glyph: "off", colour: "off" },
];

export function isWaiting(ride: RideRecord): boolean {
  return ride.state === RIDE.requested || ride.state === RIDE.offered;
}

export function hasEnded(ride: RideRecord): boolean {
  return ride.state >= RIDE.completed;
}

export function gaveUp(ride: RideRecord): boolean {
  return ride.state > RIDE.completed;
}
