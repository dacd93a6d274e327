// SPDX-License-Identifier: Apache-2.0
/** The first movement of the map: from the whole island to a district where taxis can be seen to drive. */

import { busiest, DISTRICT_E5 } from "../map/busiest";
import type { Replica } from "../stream";
import type { Place } from "./map_port";

export const OPENING_ZOOM = 14.3;
/** Closer to the ground than the whole of a small city. */
const CLOSER = 1.2;
const FLIGHT_MS = 1_500;

export interface OpeningMap {
  /** Whether everything that the map shows at first was drawn once. */
  readonly isReady: boolean;
  /** Whether somebody moved the map, or the page was asked to. */
  readonly isTouched: boolean;
  readonly isMoving: boolean;
  open(center: Place, zoom: number, flightMs: number): void;
}

export class Opening {
  /** Whether the map has set off, or stays where it is. */
  private hasBegun: boolean;

  /** `named`: the address names a place, so the map stays there. */
  constructor(
    private readonly map: OpeningMap,
    named: boolean,
    private readonly zoom = OPENING_ZOOM,
  ) {
    this.hasBegun = named;
  }

  get isOver(): boolean {
    return this.map.isTouched || (this.hasBegun && !this.map.isMoving);
  }

  /** Rows changed. The first ones in which taxis drive say where to go. */
  follow({ drivers }: Pick<Replica, "drivers">): void {
    if (this.hasBegun || this.map.isTouched || !this.map.isReady) return;
    const place = busiest(drivers, DISTRICT_E5);
    if (place === null) return;
    this.hasBegun = true;
    this.map.open(place, this.zoom, FLIGHT_MS);
  }
}

/** The zoom that the map flies to, in a city that fits the window at `whole`. */
export function openingZoom(whole = 0): number {
  return Math.max(OPENING_ZOOM, whole + CLOSER);
}
