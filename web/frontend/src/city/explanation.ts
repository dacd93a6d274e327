// SPDX-License-Identifier: Apache-2.0
/** Why a driver was chosen, in words: from the last offer or order of a ride on the log (docs/messages.md). */

import type { RideRecord } from "../stream";
import { count, span, taxi } from "./format";

export interface Candidate {
  readonly driver: number;
  readonly eta_s: number;
  readonly cost: number;
}

/** A field at its default is left out. */
export interface Explanation {
  readonly type: "RideOffered" | "RideReassigned";
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
