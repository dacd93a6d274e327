// SPDX-License-Identifier: Apache-2.0
/** Why a driver was chosen, in words: the last offer or order of a ride, as it stands on the log (docs/messages.md). */

import type { RideRecord } from "../stream";
import { count, span, taxi } from "./format";

export interface Candidate {
  readonly driver: number;
  readonly eta_s: number;
  readonly cost: number;
}

/** A field at its default is left out. */
export interface Why {
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

/** What `GET /api/rides/{id}` says beyond the row. */
export interface RideStory {
  readonly attempt: number;
  readonly state: string;
  readonly why: Why | null;
  readonly fare_cents: number | null;
}

/** A row has the low 16 bits of the attempt. */
export function sameAttempt(row: RideRecord, attempt: number): boolean {
  return row.attempt === (attempt & 0xffff);
}

/** The reason for the driver whom the row names; none where another one was chosen since. */
export function whyNow(row: RideRecord | null, why: Why | null): Why | null {
  return row && why && row.driver === why.driver && sameAttempt(row, why.attempt) ? why : null;
}

export function isOrder(why: Why): boolean {
  return why.type === "RideReassigned";
}

/** Short sentences, the most telling first. */
export function reasons(why: Why): string[] {
  const away = `${span(why.eta_s * 1000)} away when chosen.`;
  return isOrder(why) ? [takeover(why), away] : [away, runnerUp(why)];
}

/** Which batch, and what it had to match. */
export function market(why: Why): string {
  const { market_rides: rides = 0, market_drivers: drivers = 0 } = why;
  const batch = `Batch ${count(why.batch)}`;
  if (rides === 0) return batch;
  return `${batch}: ${some(rides, "rider")} waiting, ${some(drivers, "taxi")} vacant`;
}

/** The cheapest who was not chosen: how much nearer or further that one was. */
function runnerUp(why: Why): string {
  const next = why.candidates?.find(({ driver }) => driver === why.runner_up);
  if (!next) return "No other taxi was considered.";
  const further = next.eta_s - why.eta_s;
  if (further < 0) return `${taxi(next.driver)} was ${-further} s nearer, but wanted elsewhere.`;
  return `The next choice, ${taxi(next.driver)}, was ${further === 0 ? "as far" : `${further} s further`}.`;
}

/** Nobody was asked: another driver takes over, alone or in a chain of rides that change drivers together. */
function takeover({ driver, from_driver: before, moves = 1, saves_s: saves = 0 }: Why): string {
  if (before == null) return `${taxi(driver)} was on its way to another rider, who gets another taxi.`;
  const gain = saves > 0 ? `: saves ${saves} s${moves > 1 ? " in all" : ""}` : "";
  if (moves > 1) return `${moves} rides change taxis together${gain}. Before: ${taxi(before)}.`;
  return saves > 0 ? `Nearer than ${taxi(before)}${gain}.` : `Takes over from ${taxi(before)}.`;
}

function some(n: number, what: string): string {
  return `${count(n)} ${what}${n === 1 ? "" : "s"}`;
}
