// SPDX-License-Identifier: Apache-2.0
/** Scenarios: what happens in the city out of the ordinary, such as rain or a strike. */

import { DecodeError } from "./decode.ts";

export interface Scenario {
  readonly name: string;
  /** For people. */
  readonly title: string;
  /** Log time. */
  readonly sinceMs: number;
  /** City time; it may be stopped earlier. */
  readonly lastsS: number;
  /** Longitude and latitude of the centre in degrees, and the radius in metres; null: everywhere. */
  readonly area: readonly [lng: number, lat: number, radiusM: number] | null;
}

export const NO_SCENARIOS: readonly Scenario[] = [];

/** The scenarios of a message `scenarios`, the oldest first. Throws DecodeError. */
export function scenariosOf({ under_way }: { readonly under_way?: unknown }): readonly Scenario[] {
  if (!Array.isArray(under_way) || !under_way.every(isScenario)) throw new DecodeError("no scenarios");
  return under_way.map(({ name, title, since_ms, lasts_s, area }) => {
    return { name, title, sinceMs: since_ms, lastsS: lasts_s, area: area ?? null };
  });
}

interface Sent {
  readonly name: string;
  readonly title: string;
  readonly since_ms: number;
  readonly lasts_s: number;
  readonly area?: readonly [number, number, number] | null;
}

function isScenario(one: unknown): one is Sent {
  if (typeof one !== "object" || one === null) return false;
  const { name, title, since_ms, lasts_s, area } = one as { readonly [field in keyof Sent]?: unknown };
  const isNamed = typeof name === "string" && typeof title === "string";
  return isNamed && Number.isInteger(since_ms) && Number.isInteger(lasts_s) && isArea(area ?? null);
}

function isArea(area: unknown): boolean {
  return area === null || (Array.isArray(area) && area.length === 3 && area.every(Number.isFinite));
}
