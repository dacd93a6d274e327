// SPDX-License-Identifier: Apache-2.0
/** What the page asks of a map. `map/scene.ts` is one; tests bring their own, and some browsers have none. */

import type { Heat } from "../city/heat";
import type { BBox, Replica, Update } from "../stream";

export type Place = readonly [lng: number, lat: number];

/** What was clicked. */
export type Hit =
  | { readonly what: "taxi"; readonly driver: number }
  | { readonly what: "ride"; readonly id: string }
  | { readonly what: "area"; readonly name: string }
  /** The city's land, at a zoom at which neighbourhoods are named. */
  | { readonly what: "land" };

export interface WayLines {
  /** Of a ride that is only planned: dotted. */
  readonly planned: readonly Place[] | null;
  /** What the shown taxi has before it. */
  readonly ahead: readonly Place[] | null;
}

/** A candidate of a decision: its number and words where it was, and the way that it would have driven. */
export interface Badge {
  readonly driver: number;
  readonly number: number;
  readonly place: Place;
  readonly words: string;
  readonly isChosen: boolean;
  readonly line: readonly Place[] | null;
}

export interface MapPort {
  /** Draw what an update changed. Never throws. */
  take(update: Update, replica: Replica, now: number): void;
  /** Mark a driver; null: none. */
  select(driver: number | null): void;
  /** Draw only drivers of these statuses; null: all. */
  filter(statuses: readonly number[] | null): void;
  /** Where a driver is drawn now; null if it is not. */
  place(driver: number): Place | null;
  /** What is drawn at a point of the map, in CSS pixels: a name, or else the nearest taxi or waiting rider. */
  hit(at: { readonly x: number; readonly y: number }): Hit | null;
  /** Keep a driver in the middle of the map, until somebody moves it; null: no more. */
  follow(driver: number | null): void;
  readonly map: {
    view(): { readonly center: Place; readonly zoom: number; readonly bounds: BBox };
    /** Draw ways along the streets; null: none. */
    ways(lines: WayLines): void;
    fly(center: Place, zoom: number): void;
    /** Show a layer beneath the taxis; null: none. */
    heat(heat: Heat | null): void;
    /** Draw the edge of a part of the city; null: none. */
    outline(polygon: readonly Place[] | null): void;
    /** Show the candidates of a decision. `onPointed`: the pointer is on one of them, or leaves it (null). */
    candidates(
      badges: readonly Badge[],
      highlighted: number | null,
      onPointed: (driver: number | null) => void,
    ): void;
    /** Go to where all places can be seen. */
    fit(places: readonly Place[]): void;
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
