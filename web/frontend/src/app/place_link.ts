// SPDX-License-Identifier: Apache-2.0
/** An address that names a place: `#at=-73.9857,40.7580/15.5`, longitude first, then the zoom. */

import type { Place } from "./map_port";

export interface NamedPlace {
  readonly center: Place;
  readonly zoom: number;
}

const NUMBER = "(-?\\d{1,3}(?:\\.\\d{1,9})?)";
const FRAGMENT = new RegExp(`^#at=${NUMBER},${NUMBER}/${NUMBER}$`);

/** The place that a fragment names; null if it names none on Earth. */
export function namedPlace(fragment: string): NamedPlace | null {
  const found = FRAGMENT.exec(fragment);
  if (!found) return null;
  const [lng, lat, zoom] = found.slice(1).map(Number) as [number, number, number];
  if (Math.abs(lng) > 180 || Math.abs(lat) > 85 || zoom < 0 || zoom > 22) return null;
  return { center: [lng, lat], zoom };
}
