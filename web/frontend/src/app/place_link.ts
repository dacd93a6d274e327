// SPDX-License-Identifier: Apache-2.0
/**
 * What an address names: a place, `#at=-73.9857,40.7580/15.5`, longitude first, then the zoom; a city, `#city=helsinki`;
 * or both, joined by `&`.
 */

import type { Place } from "./map_port";
import { decoded } from "./safely";

export interface NamedPlace {
  readonly center: Place;
  readonly zoom: number;
}

const NUMBER = "(-?\\d{1,3}(?:\\.\\d{1,9})?)";
const PLACE = new RegExp(`^${NUMBER},${NUMBER}/${NUMBER}$`);

/** A metre, and a hundredth of a zoom, is exact enough. */
export function formatPlace({ center: [lng, lat], zoom }: NamedPlace): string {
  return `${lng.toFixed(5)},${lat.toFixed(5)}/${zoom.toFixed(2)}`;
}

/** The place that a fragment names; null if it names none on Earth. */
export function namedPlace(fragment: string): NamedPlace | null {
  const found = PLACE.exec(part(fragment, "at") ?? "");
  if (!found) return null;
  const [lng, lat, zoom] = found.slice(1).map(Number) as [number, number, number];
  if (Math.abs(lng) > 180 || Math.abs(lat) > 85 || zoom < 0 || zoom > 22) return null;
  return { center: [lng, lat], zoom };
}

/** The city that a fragment names; null if it names none. */
export function namedCity(fragment: string): string | null {
  const name = part(fragment, "city");
  return name === null ? null : decoded(name);
}

/** The fragment that names a city. */
export function cityFragment(city: string): string {
  return `#city=${encodeURIComponent(city)}`;
}

/** The value of `key=…` among the parts of a fragment. */
function part(fragment: string, key: string): string | null {
  const parts = fragment.replace(/^#/, "").split("&");
  return parts.find((each) => each.startsWith(`${key}=`))?.slice(key.length + 1) ?? null;
}
