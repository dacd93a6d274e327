// SPDX-License-Identifier: Apache-2.0
/** Finds street corners and neighbourhoods by name, from the map's own data: no server is asked. */

import type { Point } from "./route";

export interface NamedPoint {
  readonly name: string;
  readonly place: Point;
}

interface Feature {
  readonly geometry?: { readonly type?: string; readonly coordinates?: unknown };
  readonly properties?: {
    readonly kind?: string;
    readonly name?: string;
    readonly label?: string;
    readonly link?: unknown;
  };
}

export interface FeatureList {
  readonly features?: readonly Feature[];
}

interface Piece {
  readonly street: string;
  readonly a: Point;
  readonly b: Point;
}

/** A side of a square of the grid in which crossings are looked for, degrees. */
const SQUARE = 0.002;
const FOUND_MAX = 6;

export class Gazetteer {
  private readonly neighbourhoods: readonly NamedPoint[];
  private readonly corners: readonly NamedPoint[];

  /** `roads.geojson` and `places.geojson` of a city's basemap. */
  constructor(roads: FeatureList, places: FeatureList) {
    this.neighbourhoods = (places.features ?? []).flatMap(({ geometry, properties }) => {
      const place = geometry?.coordinates as Point | undefined;
      const { kind, name } = properties ?? {};
      return (kind === "neighbourhood" || kind === "park") && name && place ? [{ name, place }] : [];
    });
    this.corners = crossings(pieces(roads));
  }

  /** Names in which every typed word begins a word: "w 44 8" finds "W 44th St & 8th Ave". The shortest first. */
  search(text: string): NamedPoint[] {
    const words = split(text);
    if (words.length === 0) return [];
    const matches = ({ name }: NamedPoint) => covers(split(name), words);
    return [...this.neighbourhoods.filter(matches), ...this.corners.filter(matches).sort(shorter)].slice(
      0,
      FOUND_MAX,
    );
  }
}

/** Each typed word begins another word of the name. */
function covers(name: string[], words: readonly string[]): boolean {
  const left = [...name];
  return words.every((word) => {
    const exact = left.indexOf(word);
    const at = exact >= 0 ? exact : left.findIndex((one) => one.startsWith(word));
    if (at < 0) return false;
    left.splice(at, 1);
    return true;
  });
}

function shorter(a: NamedPoint, b: NamedPoint): number {
  return a.name.length - b.name.length || (a.name < b.name ? -1 : 1);
}

const SHORT: Record<string, string> = {
  street: "st",
  avenue: "ave",
  av: "ave",
  west: "w",
  east: "e",
  north: "n",
  south: "s",
  square: "sq",
  place: "pl",
  road: "rd",
  boulevard: "blvd",
};

function split(text: string): string[] {
  const words = text.toLowerCase().match(/[\p{L}\p{N}’']+/gu) ?? [];
  return words.filter((word) => word !== "and" && word !== "the").map((word) => SHORT[word] ?? word);
}

function pieces({ features = [] }: FeatureList): Piece[] {
  return features.flatMap(({ geometry, properties }) => {
    const street = properties?.label ?? properties?.name;
    if (!street || properties?.link || !geometry) return [];
    const lines = (
      geometry.type === "MultiLineString" ? geometry.coordinates : [geometry.coordinates]
    ) as Point[][];
    return lines.flatMap((line) => line.slice(1).map((b, i) => ({ street, a: line[i]!, b })));
  });
}

/** Where pieces of two streets meet; of places with the same name the first. */
function crossings(all: readonly Piece[]): NamedPoint[] {
  const squares = new Map<string, Piece[]>();
  const found = new Map<string, NamedPoint>();
  for (const piece of all) {
    for (const key of squaresOf(piece)) {
      const here = squares.get(key) ?? [];
      for (const other of here) {
        if (other.street === piece.street) continue;
        const [first, second] = [other.street, piece.street].sort(streetBeforeAvenue) as [string, string];
        const name = `${first} & ${second}`;
        if (found.has(name)) continue;
        const place = meeting(other, piece);
        if (place) found.set(name, { name, place });
      }
      here.push(piece);
      squares.set(key, here);
    }
  }
  return [...found.values()];
}

/** As people say it: the street first. */
function streetBeforeAvenue(a: string, b: string): number {
  const isStreet = (name: string) => (/ st$/i.test(name) ? 0 : 1);
  return isStreet(a) - isStreet(b) || (a < b ? -1 : 1);
}

function squaresOf({ a, b }: Piece): string[] {
  const range = (from: number, to: number) => {
    const [low, high] = [Math.floor(Math.min(from, to) / SQUARE), Math.floor(Math.max(from, to) / SQUARE)];
    return Array.from({ length: high - low + 1 }, (_, i) => low + i);
  };
  return range(a[0], b[0]).flatMap((x) => range(a[1], b[1]).map((y) => `${x} ${y}`));
}

/** Ends of lines in the data are rounded: pieces that miss each other by a metre or two still meet. */
const SLACK = 0.05;

function meeting(p: Piece, q: Piece): Point | null {
  const [rx, ry] = [p.b[0] - p.a[0], p.b[1] - p.a[1]];
  const [sx, sy] = [q.b[0] - q.a[0], q.b[1] - q.a[1]];
  const cross = rx * sy - ry * sx;
  if (cross === 0) return null;
  const [dx, dy] = [q.a[0] - p.a[0], q.a[1] - p.a[1]];
  const [t, u] = [(dx * sy - dy * sx) / cross, (dx * ry - dy * rx) / cross];
  if (Math.min(t, u) < -SLACK || Math.max(t, u) > 1 + SLACK) return null;
  return [p.a[0] + rx * t, p.a[1] + ry * t];
}
