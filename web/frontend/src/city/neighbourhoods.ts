// SPDX-License-Identifier: Apache-2.0
/** Names of neighbourhoods, from the map's own data: the nearest one names a place. */

import type { RideRecord } from "../stream";

interface Named {
  readonly name: string;
  readonly lng: number;
  readonly lat: number;
}

/** A feature of `basemap/places.geojson`, as far as this module reads it. */
interface Feature {
  readonly geometry?: { readonly coordinates?: readonly number[] };
  readonly properties?: { readonly kind?: string; readonly name?: string };
}

export class Neighbourhoods {
  private readonly named: readonly Named[];

  constructor(geojson: { readonly features?: readonly Feature[] }) {
    this.named = (geojson.features ?? []).flatMap(({ geometry, properties }) => {
      const [lng, lat] = geometry?.coordinates ?? [];
      const { kind, name } = properties ?? {};
      const isNamed = kind === "neighbourhood" && name !== undefined && lng !== undefined;
      return isNamed && lat !== undefined ? [{ name, lng, lat }] : [];
    });
  }

  /** The neighbourhood whose middle is nearest; null if none is known. Degrees times 1e5. */
  at([lngE5, latE5]: readonly [number, number]): string | null {
    const [lng, lat] = [lngE5 / 1e5, latE5 / 1e5];
    const narrow = Math.cos((lat * Math.PI) / 180);
    let best: Named | null = null;
    let bestD = Number.POSITIVE_INFINITY;
    for (const one of this.named) {
      const d = Math.hypot((one.lng - lng) * narrow, one.lat - lat);
      if (d < bestD) [best, bestD] = [one, d];
    }
    return best?.name ?? null;
  }

  /** From where to where a ride goes, in words. */
  way({ pickup, dropoff }: Pick<RideRecord, "pickup" | "dropoff">): string | null {
    const [from, to] = [this.at(pickup), this.at(dropoff)];
    if (from === null || to === null) return null;
    return from === to ? `within ${from}` : `${from} → ${to}`;
  }
}
