// SPDX-License-Identifier: Apache-2.0
/**
 * The address names what the page shows: `#ride=r-1`, `#taxi=17`, `#area=Chelsea`, `#at=-73.98,40.75/15.5`, `#city=helsinki`, or several
 * of them with & between.
 * What is opened gets an entry in the browser's history, so that its back button closes it again.
 */

import { formatPlace, type NamedPlace, namedCity, namedPlace } from "./place_link";
import { attempt, decoded } from "./safely";

export type Selection =
  | { readonly what: "ride"; readonly id: string }
  | { readonly what: "taxi"; readonly driver: number }
  | { readonly what: "area"; readonly name: string };

export interface Address {
  /** Null: the first of those that the gateway shows. */
  readonly city: string | null;
  readonly selection: Selection | null;
  readonly place: NamedPlace | null;
}

const RIDE = /^ride=([A-Za-z0-9_-]{1,40})$/;
const TAXI = /^taxi=(?:t-)?(\d{1,10})$/;

const AREA = /^area=([^<>]{1,60})$/;

export function readAddress(fragment: string): Address {
  let selection: Selection | null = null;
  for (const part of decoded(fragment.replace(/^#/, "")).split("&")) {
    const ride = RIDE.exec(part)?.[1];
    const driver = TAXI.exec(part)?.[1];
    if (ride !== undefined) selection = { what: "ride", id: ride };
    else if (driver !== undefined) selection = { what: "taxi", driver: Number(driver) };
    const name = AREA.exec(part)?.[1];
    if (name !== undefined) selection = { what: "area", name };
  }
  return { city: namedCity(fragment), selection, place: namedPlace(fragment) };
}

export function formatAddress({ city, selection, place }: Address): string {
  const parts: string[] = [];
  if (city !== null) parts.push(`city=${encodeURIComponent(city)}`);
  if (place) parts.push(`at=${formatPlace(place)}`);
  if (selection) parts.push(formatSelection(selection));
  return parts.length === 0 ? "" : `#${parts.join("&")}`;
}

function formatSelection(selection: Selection): string {
  switch (selection.what) {
    case "ride":
      return `ride=${selection.id}`;
    case "taxi":
      return `taxi=${selection.driver}`;
    case "area":
      return `area=${encodeURIComponent(selection.name)}`;
  }
}

export function sameSelection(a: Selection | null, b: Selection | null): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** Show a selection in the address, as a new entry of the history. A browser may refuse: then it stays as it is. */
export function noteSelection(selection: Selection | null): void {
  const now = readAddress(location.hash);
  if (sameSelection(now.selection, selection)) return;
  write("pushState", { ...now, selection });
}

/** Show where the map is, in place of what the address said before. */
export function notePlace(place: NamedPlace): void {
  write("replaceState", { ...readAddress(location.hash), place });
}

function write(how: "pushState" | "replaceState", address: Address): void {
  const url = location.pathname + location.search + formatAddress(address);
  attempt(() => history[how](history.state, "", url), undefined);
}
