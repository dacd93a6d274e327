// SPDX-License-Identifier: Apache-2.0
/** What can take place in the city out of the ordinary, and how many times the usual demand there is. */

import type { CityTime, Scenario } from "../stream";

/** A scenario that can be started, as `GET /api/scenarios` gives it. */
export interface ScenarioPlan {
  readonly name: string;
  readonly title: string;
  readonly about: string;
  /** City time. */
  readonly lasts_s: number;
  /** Where it takes place; empty: everywhere. */
  readonly place: string;
}

/** Scenarios of these names change demand alone, to so many times its usual height. */
export const DEMAND_STEPS = [
  { name: "demand-half", factor: 0.5 },
  { name: null, factor: 1 },
  { name: "demand-double", factor: 2 },
  { name: "demand-triple", factor: 3 },
] as const;

const DEMAND_NAMES: readonly (string | null)[] = DEMAND_STEPS.map(({ name }) => name);

/** Those that are not steps of demand. */
export function otherPlans(plans: readonly ScenarioPlan[]): readonly ScenarioPlan[] {
  return plans.filter(({ name }) => !DEMAND_NAMES.includes(name));
}

/** The step of demand that is under way; null is the usual demand. */
export function demandStep(underWay: readonly Scenario[]): string | null {
  return underWay.findLast(({ name }) => DEMAND_NAMES.includes(name))?.name ?? null;
}

/** The requests that lead to a step of demand: what to stop first, then what to start. */
export function demandChange(
  underWay: readonly Scenario[],
  wanted: string | null,
): readonly { readonly name: string; readonly action: "start" | "stop" }[] {
  const stops = underWay.filter(({ name }) => DEMAND_NAMES.includes(name) && name !== wanted);
  const isThere = underWay.some(({ name }) => name === wanted);
  return [
    ...stops.map(({ name }) => ({ name, action: "stop" }) as const),
    ...(wanted !== null && !isThere ? [{ name: wanted, action: "start" } as const] : []),
  ];
}

/** How much of a scenario is still to come, in city time; never below 0. */
export function leftMs({ sinceMs, lastsS }: Scenario, cutMs: number, time: CityTime): number {
  return Math.max(0, lastsS * 1000 - time.between(sinceMs, cutMs));
}
