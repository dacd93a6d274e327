// SPDX-License-Identifier: Apache-2.0
/** Why a driver was chosen, in words: from the last offer or order of a ride on the log (docs/messages.md). */

import type { RideRecord } from "../stream";
import { count, span, taxi } from "./format";

export interface Candidate {
  readonly driver: number;
  readonly eta_s: number;
  readonly cost: number;
}

/** A candidate as it was when the gateway read the decision. */
export interface SeenCandidate {
  readonly driver: number;
  /** Degrees; null if no position was near the decision in time. */
  readonly place: readonly [number, number] | null;
  /** The ride that the same batch gave to this driver. */
  readonly ride: string | null;
}

/** An offer or order of a ride, or what became of it. */
export interface RideStep {
  readonly type: string;
  readonly at_ms: number;
  readonly driver: number | null;
  /** To the pickup, in city time. */
  readonly eta_s: number | null;
}

/** A field at its default is left out. */
export interface Explanation {
  readonly type: "RideOffered" | "RideReassigned";
  readonly ride?: string;
  readonly batch: number;
  readonly at_ms: number;
  readonly driver: number;
  readonly attempt: number;
  readonly eta_s: number;
  readonly candidates?: readonly Candidate[];
  readonly runner_up?: number | null;
  readonly market_rides?: number;
  readonly market_drivers?: number;
  readonly from_driver?: number | null;
  readonly moves?: number;
  readonly saves_s?: number;
}

/** What `GET /api/rides/{id}` answers beyond the row. */
export interface RideDetails {
  readonly ride?: string;
  readonly driver?: number | null;
  readonly pickup?: readonly [number, number];
  readonly dropoff?: readonly [number, number];
  readonly reason?: string | null;
  readonly requested_ms?: number;
  readonly assigned_ms?: number;
  readonly arrived_ms?: number;
  readonly started_ms?: number;
  readonly ended_ms?: number;
  readonly attempt: number;
  readonly state: string;
  readonly why: Explanation | null;
  readonly fare_cents: number | null;
  readonly candidates?: readonly SeenCandidate[];
  readonly steps?: readonly RideStep[];
}

/** A candidate with its number, which the row of the table and the badge on the map share. */
export interface Numbered extends Candidate, SeenCandidate {
  readonly number: number;
  readonly role: "chosen" | "runner-up" | "";
}

/** The candidates of a decision: the chosen one first, the others by cost as on the log. */
export function numbered(why: Explanation, seen: readonly SeenCandidate[]): Numbered[] {
  const all = why.candidates ?? [];
  const chosen = all.filter(({ driver }) => driver === why.driver);
  return [...chosen, ...all.filter(({ driver }) => driver !== why.driver)].map((each, i) => {
    const { place = null, ride = null } = seen.find(({ driver }) => driver === each.driver) ?? {};
    const role = each.driver === why.driver ? "chosen" : each.driver === why.runner_up ? "runner-up" : "";
    return { ...each, number: i + 1, role, place, ride };
  });
}

/** What the last driver's time to the pickup was said to be, and since when; null if no step says it. */
export function promised(steps: readonly RideStep[]): RideStep | null {
  return steps.findLast(({ type, eta_s }) => PROMISES.has(type) && eta_s !== null) ?? null;
}

const PROMISES = new Set(["RideAssigned", "RideReassigned"]);

/** How far a time was from the one that was promised: "12 s late, 7 %". */
export function etaError(promisedMs: number, becameMs: number): string {
  const s = Math.round((becameMs - promisedMs) / 1000);
  if (s === 0) return "on time";
  const share = promisedMs >= 1000 ? `, ${Math.round((Math.abs(s) / promisedMs) * 1e5)} %` : "";
  return `${Math.abs(s) < 100 ? `${Math.abs(s)} s` : span(Math.abs(s) * 1000)} ${s > 0 ? "late" : "early"}${share}`;
}

/** A row has the low 16 bits of the attempt. */
export function sameAttempt(row: RideRecord, attempt: number): boolean {
  return row.attempt === (attempt & 0xffff);
}

/** The explanation of the driver in the row; null if another one was chosen since. */
export function explanationNow(row: RideRecord | null, why: Explanation | null): Explanation | null {
  return row && why && row.driver === why.driver && sameAttempt(row, why.attempt) ? why : null;
}

export function isOrder(why: Explanation): boolean {
  return why.type === "RideReassigned";
}

/** Short sentences, the most important first. */
export function reasons(why: Explanation): string[] {
  const away = `${span(why.eta_s * 1000)} away when chosen.`;
  return isOrder(why) ? [takeover(why), away] : [away, runnerUp(why)];
}

/** Which batch, and what it had to match. */
export function market(why: Explanation): string {
  const { market_rides: rides = 0, market_drivers: drivers = 0 } = why;
  const batch = `Batch ${count(why.batch)}`;
  if (rides === 0) return batch;
  return `${batch}: ${some(rides, "rider")} waiting, ${some(drivers, "taxi")} vacant`;
}

/** The cheapest driver that was not chosen, and how much nearer or further it was. */
function runnerUp(why: Explanation): string {
  const next = why.candidates?.find(({ driver }) => driver === why.runner_up);
  if (!next) return "No other taxi was considered.";
  const further = next.eta_s - why.eta_s;
  if (further < 0) return `${taxi(next.driver)} was ${-further} s nearer, but wanted elsewhere.`;
  return `The next choice, ${taxi(next.driver)}, was ${further === 0 ? "as far" : `${further} s further`}.`;
}

/** An order, which is not offered: another driver takes over, alone or in a chain of rides that change drivers together. */
function takeover({ driver, from_driver: before, moves = 1, saves_s: saves = 0 }: Explanation): string {
  if (before == null) return `${taxi(driver)} was on its way to another rider, who gets another taxi.`;
  const gain = saves > 0 ? `: saves ${saves} s${moves > 1 ? " in all" : ""}` : "";
  if (moves > 1) return `${moves} rides change taxis together${gain}. Before: ${taxi(before)}.`;
  return saves > 0 ? `Nearer than ${taxi(before)}${gain}.` : `Takes over from ${taxi(before)}.`;
}

function some(n: number, what: string): string {
  return `${count(n)} ${what}${n === 1 ? "" : "s"}`;
}
