// SPDX-License-Identifier: Apache-2.0
/** What the page asks of a map. `map/scene.ts` is one; tests bring their own, and some browsers have none. */

import type { BBox, Replica, Update } from "../stream";

export type Place = readonly [lng: number, lat: number];

export interface MapPort {
  /** Draw what an update changed. Never throws. */
  take(update: Update, replica: Replica, now: number): void;
  /** Mark a driver; null: none. */
  select(driver: number | null): void;
  /** Draw only drivers of these statuses; null: all. */
  filter(statuses: readonly number[] | null): void;
  /** Where a driver is drawn now; null if it is not. */
  place(driver: number): Place | null;
  readonly map: {
    view(): { readonly bounds: BBox };
    fly(center: Place, zoom: number): void;
    /** Whether everything that the map shows at first was drawn once. */
    readonly isReady: boolean;
    /** Whether somebody moved the map, or the page was asked to. */
    readonly isTouched: boolean;
    readonly isMoving: boolean;
    /** The page's own first movement. */
    open(center: Place, zoom: number, flightMs: number): void;
    zoomBy(steps: number): void;
    wholeCity(): void;
    setCrosshair(on: boolean): void;
    /** Put a pin somewhere, move it, or remove it (null). */
    pin(id: "pickup" | "dropoff", place: Place | null): void;
    /** The name of the street next to a place, if it is on screen. */
    streetAt(place: Place): string | null;
  };
}
