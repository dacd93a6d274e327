// SPDX-License-Identifier: Apache-2.0
/** Neighbourhoods, from the map's own data: a place belongs to the one whose middle is nearest. */

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

/** How far what belongs to a neighbourhood at the edge of the city reaches, degrees. */
const BEYOND = 0.1;

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

  get names(): readonly string[] {
    return this.named.map(({ name }) => name);
  }

  /** The name that somebody means: in full, or the only one that begins so. */
  meant(text: string): string | null {
    const asked = text.trim().toLowerCase();
    const like = this.names.filter((name) => name.toLowerCase().startsWith(asked));
    const exact = like.find((name) => name.toLowerCase() === asked);
    return exact ?? (asked !== "" && like.length === 1 ? like[0]! : null);
  }

  /** The middle of a neighbourhood, degrees; null if there is none of this name. */
  middle(name: string): readonly [lng: number, lat: number] | null {
    const found = this.named.find((one) => one.name === name);
    return found ? [found.lng, found.lat] : null;
  }

  /** What belongs to a neighbourhood: the corners of the part of the city that is nearest to its middle, degrees. */
  cell(name: string): readonly (readonly [number, number])[] {
    const own = this.named.find((one) => one.name === name);
    if (!own) return [];
    const [lngs, lats] = [this.named.map(({ lng }) => lng), this.named.map(({ lat }) => lat)];
    const [west, east] = [Math.min(...lngs) - BEYOND, Math.max(...lngs) + BEYOND];
    const [south, north] = [Math.min(...lats) - BEYOND, Math.max(...lats) + BEYOND];
    let cell: readonly (readonly [number, number])[] = [
      [west, south],
      [east, south],
      [east, north],
      [west, north],
    ];
    for (const other of this.named) if (other !== own) cell = nearer(cell, own, other);
    const [first] = cell;
    return first ? [...cell, first] : [];
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

/** The part of a polygon that is nearer to one place than to another. */
function nearer(
  polygon: readonly (readonly [number, number])[],
  own: Named,
  other: Named,
): readonly (readonly [number, number])[] {
  const narrow = Math.cos((own.lat * Math.PI) / 180);
  const [dx, dy] = [(other.lng - own.lng) * narrow, other.lat - own.lat];
  const [x, y] = [(own.lng + other.lng) / 2, (own.lat + other.lat) / 2];
  /** Below 0 on the own side of the line in the middle between them. */
  const side = ([lng, lat]: readonly [number, number]) => (lng - x) * narrow * dx + (lat - y) * dy;
  return polygon.flatMap((to, i) => {
    const from = polygon[(i + polygon.length - 1) % polygon.length]!;
    const [a, b] = [side(from), side(to)];
    const crossing = a / (a - b);
    const between = [from[0] + (to[0] - from[0]) * crossing, from[1] + (to[1] - from[1]) * crossing] as const;
    const shown = b <= 0 ? [to] : [];
    return a <= 0 === b <= 0 ? shown : [between, ...shown];
  });
}
