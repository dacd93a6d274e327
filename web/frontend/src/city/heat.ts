// SPDX-License-Identifier: Apache-2.0
/** What a layer of the map shows: densities as weighted points, and values of blocks and streets. Pure functions. */

import type { DriverRows, RideRecord } from "../stream";
import type { FeatureList } from "./gazetteer";
import type { Neighbourhoods } from "./neighbourhoods";
import { type Ended, quantile } from "./pulse";
import { DRIVER, isWaiting } from "./rides";
import type { Point } from "./route";

export type LayerId = "vacant" | "waiting" | "waits" | "speeds";

/** In the order of the switch. */
export const LAYERS: readonly { readonly id: LayerId; readonly name: string; readonly about: string }[] = [
  { id: "vacant", name: "Vacant taxis", about: "Where taxis are vacant now" },
  { id: "waiting", name: "Waiting riders", about: "Where riders wait for a taxi now" },
  { id: "waits", name: "Waits", about: "Median wait until pickup by neighbourhood, last 15 min" },
  { id: "speeds", name: "Speeds", about: "Mean speed of taxis by street, last 2 min" },
];

/** A place and how much there is, degrees. */
export type Weighted = readonly [lng: number, lat: number, weight: number];

export type Heat =
  | { readonly what: "density"; readonly of: "vacant" | "waiting"; readonly points: readonly Weighted[] }
  /** Values 0 (good) … 1 (bad) of features of `blocks` or `roads`, by their place in the file; others have none. */
  | {
      readonly what: "features";
      readonly of: "blocks" | "roads";
      readonly values: ReadonlyMap<number, number>;
    };

/** What the ends of the scale of colours are, in words; null while nothing is known. */
export type Scale = readonly [good: string, bad: string] | null;

/** Points nearer than this are one, 1e-5 degrees: about 150 m. */
const CELL_E5 = 150;

function cells(places: Iterable<readonly [number, number]>): Weighted[] {
  const found = new Map<string, [number, number, number]>();
  for (const [lng, lat] of places) {
    const key = `${Math.floor(lng / CELL_E5)} ${Math.floor(lat / CELL_E5)}`;
    const cell = found.get(key) ?? [0, 0, 0];
    found.set(key, [cell[0] + lng, cell[1] + lat, cell[2] + 1]);
  }
  return [...found.values()].map(([lng, lat, n]) => [lng / n / 1e5, lat / n / 1e5, n]);
}

export function vacantDensity(rows: Pick<DriverRows, "n" | "status" | "lngE5" | "latE5">): Weighted[] {
  const places: [number, number][] = [];
  for (let slot = 0; slot < rows.n; slot++)
    if (rows.status[slot] === DRIVER.idle) places.push([rows.lngE5[slot]!, rows.latE5[slot]!]);
  return cells(places);
}

export function waitingDensity(rides: Iterable<RideRecord>): Weighted[] {
  return cells([...rides].filter(isWaiting).map(({ pickup }) => pickup));
}

/** Waits of fewer pickups are chance. */
const PICKUPS_MIN = 5;

/** Median wait by neighbourhood, where enough pickups were seen. */
export function waitsByName(waits: readonly Ended[], places: Neighbourhoods): Map<string, number> {
  const all = new Map<string, number[]>();
  for (const { pickup, waitMs } of waits) {
    const name = waitMs === null ? null : places.at(pickup);
    if (name === null || waitMs === null) continue;
    all.set(name, [...(all.get(name) ?? []), waitMs]);
  }
  const medians = new Map<string, number>();
  for (const [name, one] of all) {
    one.sort((a, b) => a - b);
    if (one.length >= PICKUPS_MIN) medians.set(name, quantile(one, 0.5)!);
  }
  return medians;
}

/** The neighbourhood of each feature of a layer, by its first point. */
export function namesOf({ features = [] }: FeatureList, places: Neighbourhoods): (string | null)[] {
  return features.map(({ geometry }) => {
    let first = geometry?.coordinates as unknown;
    while (Array.isArray(first) && Array.isArray(first[0])) first = first[0];
    const [lng, lat] = (first ?? []) as number[];
    return lng === undefined || lat === undefined ? null : places.at([lng * 1e5, lat * 1e5]);
  });
}

/** How far a value lies between the ends of a scale, 0 … 1. */
export function between(value: number, from: number, to: number): number {
  return to === from ? 0.5 : Math.max(0, Math.min(1, (value - from) / (to - from)));
}

/** A side of a square of the grid of pieces of streets, degrees. */
const SQUARE = 0.001;
/** Farther from the middle of a street a taxi is on another one, degrees of latitude: about 20 m. */
const ASIDE_MAX = 0.0002;
/** Speeds older than this do not count. */
const SPEEDS_MS = 120_000;
/** Of fewer sightings a street has no speed. */
const SIGHTINGS_MIN = 3;

interface Piece {
  readonly road: number;
  readonly a: Point;
  readonly b: Point;
}

interface Sighting {
  readonly road: number;
  readonly atMs: number;
  readonly mps: number;
}

/** Speeds of taxis with a rider or on the way to one, by the street that they are on. */
export class StreetSpeeds {
  private readonly squares = new Map<string, Piece[]>();
  private readonly narrow: number;
  private sightings: Sighting[] = [];

  /** `roads.geojson` of a city's basemap. */
  constructor({ features = [] }: FeatureList) {
    const [first] = features;
    const start = (first?.geometry?.coordinates as Point[] | undefined)?.[0];
    this.narrow = Math.cos(((start?.[1] ?? 0) * Math.PI) / 180);
    features.forEach(({ geometry }, road) => {
      const line = geometry?.type === "LineString" ? (geometry.coordinates as Point[]) : [];
      for (let i = 1; i < line.length; i++) this.index({ road, a: line[i - 1]!, b: line[i]! });
    });
  }

  private index(piece: Piece): void {
    const { a, b } = piece;
    const range = (from: number, to: number) => {
      const low = Math.floor((Math.min(from, to) - ASIDE_MAX) / SQUARE);
      const high = Math.floor((Math.max(from, to) + ASIDE_MAX) / SQUARE);
      return Array.from({ length: high - low + 1 }, (_, i) => low + i);
    };
    for (const x of range(a[0], b[0])) {
      for (const y of range(a[1], b[1])) {
        const here = this.squares.get(`${x} ${y}`) ?? [];
        here.push(piece);
        this.squares.set(`${x} ${y}`, here);
      }
    }
  }

  /** The street that a place is on; null if none is near. */
  roadAt([lng, lat]: Point): number | null {
    let best: { d: number; road: number | null } = { d: ASIDE_MAX, road: null };
    const here = this.squares.get(`${Math.floor(lng / SQUARE)} ${Math.floor(lat / SQUARE)}`) ?? [];
    for (const { road, a, b } of here) {
      const [x, y] = [(b[0] - a[0]) * this.narrow, b[1] - a[1]];
      const [px, py] = [(lng - a[0]) * this.narrow, lat - a[1]];
      const along = Math.max(0, Math.min(1, (px * x + py * y) / Math.max(x * x + y * y, 1e-18)));
      const d = Math.hypot(px - x * along, py - y * along);
      if (d < best.d) best = { d, road };
    }
    return best.road;
  }

  /** Note where taxis drive now and how fast. Those that wait at a pickup or for a ride say nothing of the street. */
  see(rows: Pick<DriverRows, "n" | "status" | "lngE5" | "latE5" | "speed">, atMs: number): void {
    this.sightings = this.sightings.filter((one) => atMs - one.atMs <= SPEEDS_MS && one.atMs <= atMs);
    for (let slot = 0; slot < rows.n; slot++) {
      const status = rows.status[slot]!;
      if (status !== DRIVER.onTrip && status !== DRIVER.toPickup) continue;
      const road = this.roadAt([rows.lngE5[slot]! / 1e5, rows.latE5[slot]! / 1e5]);
      if (road !== null) this.sightings.push({ road, atMs, mps: rows.speed[slot]! / 2 });
    }
  }

  /** Mean speed by street, metres a second, where there were enough sightings. */
  means(): Map<number, number> {
    const sums = new Map<number, { n: number; mps: number }>();
    for (const { road, mps } of this.sightings) {
      const sum = sums.get(road) ?? { n: 0, mps: 0 };
      sums.set(road, { n: sum.n + 1, mps: sum.mps + mps });
    }
    const means = new Map<number, number>();
    for (const [road, { n, mps }] of sums) if (n >= SIGHTINGS_MIN) means.set(road, mps / n);
    return means;
  }
}
