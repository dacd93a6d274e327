// SPDX-License-Identifier: Apache-2.0
/** Waits (in city time) and served share over what this page has seen, at most the last 15 minutes by the clock. */

import type { CityTime, Replica, RideRecord } from "../stream";
import { gaveUp, isWaiting } from "./rides";

export const WINDOW_MS = 15 * 60_000;

export interface Figures {
  readonly waiting: number;
  /** Null, like the next two, while too few ordinary rides are known. */
  readonly medianMs: number | null;
  readonly p90Ms: number | null;
  /** Share picked up of those picked up or given up, 0 … 1. */
  readonly served: number | null;
}

/**
 * City time. In a new city the first riders have a taxi beside them (docs/simulator.md), so rides that were requested in the
 * first minute after the earliest request known here tell nothing.
 */
const OPENING_MS = 60_000;
/** If no ride changed for so long, the city stood still: riders who waited through that waited for no taxi. */
const STANDSTILL_MS = 60_000;
/** Before so much city time, only the short waits have ended. */
const WARM_MS = 3 * 60_000;
const ENOUGH = 10;
/** Quantiles are computed so often; of fewer waits than that at once. */
const FIGURES_MS = 1_000;
const FEW = 200;

const NOT_ENOUGH = { medianMs: null, p90Ms: null, served: null };

/** A place of a row, degrees times 1e5. */
type PlaceE5 = readonly [number, number];

export interface Requested {
  readonly requestedMs: number;
  readonly pickup: PlaceE5;
}

/** A ride whose wait is over. */
export interface Ended extends Requested {
  readonly atMs: number;
  /** Request → driver at the pickup, in city time; null: the rider gave up. */
  readonly waitMs: number | null;
}

export class Pulse {
  private readonly seen = new Map<string, Ended>();
  private readonly requested = new Map<string, Requested>();
  /** The ordinary rides of the last figures. */
  private counted: readonly Ended[] = [];
  /** The first cut: rides that ended long before it are not known. */
  private sinceMs = 0;
  /** Rows that were counted; a ride that changes is another row. */
  private readonly known = new WeakSet<RideRecord>();
  private firstRequestMs = Number.POSITIVE_INFINITY;
  private newestMs = 0;
  /** When the city last went on after a standstill. */
  private wentOnMs = 0;
  private figuresMs = 0;
  private lastFigures: Omit<Figures, "waiting"> = NOT_ENOUGH;

  /** Count the rides held now. A ride whose row is removed stays counted until it is older than the window. */
  count(replica: Replica): Figures {
    let waiting = 0;
    const times: number[] = [];
    for (const ride of replica.rides.values()) {
      if (isWaiting(ride)) waiting++;
      if (this.known.has(ride)) continue;
      this.known.add(ride);
      this.add(ride, replica, times);
    }
    this.noteTimes(times);
    const { cutMs } = replica;
    this.sinceMs ||= cutMs;
    // Waits of 15 minutes are sorted once a second, not with each update.
    if (Math.abs(cutMs - this.figuresMs) >= FIGURES_MS || this.seen.size < FEW) {
      this.figuresMs = cutMs;
      this.forgetBefore(cutMs - WINDOW_MS);
      this.lastFigures = this.figures(cutMs, replica.cityTime);
    }
    return { waiting, ...this.lastFigures };
  }

  private add(ride: RideRecord, replica: Replica, times: number[]): void {
    const fullMs = (low: number) => replica.fullMs(low);
    const { requested, assigned, arrived, started, ended } = ride;
    for (const low of [requested, assigned, arrived, started, ended]) if (low !== 0) times.push(fullMs(low));
    const requestedMs = fullMs(requested);
    const { pickup } = ride;
    this.requested.set(ride.id, { requestedMs, pickup });
    this.firstRequestMs = Math.min(this.firstRequestMs, requestedMs);
    if (arrived !== 0) {
      const atMs = fullMs(arrived);
      this.seen.set(ride.id, {
        requestedMs,
        pickup,
        atMs,
        waitMs: replica.cityTime.between(requestedMs, atMs),
      });
    } else if (gaveUp(ride))
      this.seen.set(ride.id, { requestedMs, pickup, atMs: fullMs(ended), waitMs: null });
  }

  /** Times at which rides changed: a gap in them is a standstill, as after a restart of everything. */
  private noteTimes(times: number[]): void {
    for (const ms of times.sort((a, b) => a - b)) {
      if (this.newestMs > 0 && ms - this.newestMs > STANDSTILL_MS) this.wentOnMs = ms;
      this.newestMs = Math.max(this.newestMs, ms);
    }
  }

  private figures(cutMs: number, time: CityTime): Omit<Figures, "waiting"> {
    const fromMs = Math.max(time.at(this.firstRequestMs) + OPENING_MS, time.at(this.wentOnMs));
    const counted = [...this.seen.values()].filter(({ requestedMs }) => time.at(requestedMs) >= fromMs);
    this.counted = [];
    if (counted.length < ENOUGH || time.at(cutMs) - fromMs < WARM_MS) return NOT_ENOUGH;
    this.counted = counted;
    const waits = counted.flatMap(({ waitMs }) => (waitMs === null ? [] : [waitMs]));
    waits.sort((a, b) => a - b);
    const served = waits.length / counted.length;
    return { medianMs: quantile(waits, 0.5), p90Ms: quantile(waits, 0.9), served };
  }

  private forgetBefore(ms: number): void {
    for (const [id, { atMs }] of this.seen) if (atMs < ms) this.seen.delete(id);
    for (const [id, { requestedMs }] of this.requested) if (requestedMs < ms) this.requested.delete(id);
  }

  /** The rides that the last figures are of, with their waits; none while there are too few for figures. */
  get waits(): readonly Ended[] {
    return this.counted;
  }

  /** How many rides were requested in the last minute of the city; null while this page has not seen a whole one. */
  requestsInMinute({ cutMs, cityTime }: Replica): number | null {
    const fromMs = cutMs - 60_000 / cityTime.speed;
    if (this.sinceMs === 0 || this.sinceMs > fromMs) return null;
    let n = 0;
    for (const { requestedMs } of this.requested.values()) if (requestedMs > fromMs) n++;
    return n;
  }

  /** What was requested since this page is open, at most 15 minutes. */
  requests(cutMs: number): { readonly fromMs: number; readonly rides: readonly Requested[] } {
    const fromMs = Math.max(this.sinceMs, cutMs - WINDOW_MS);
    return { fromMs, rides: [...this.requested.values()].filter(({ requestedMs }) => requestedMs >= fromMs) };
  }
}

/** The value below which a share of the sorted values lies. */
export function quantile(sorted: readonly number[], share: number): number | null {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? null;
}
