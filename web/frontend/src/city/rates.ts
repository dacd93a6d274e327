// SPDX-License-Identifier: Apache-2.0
/** Lag, updates and bytes over the last seconds. */

import { quantile } from "./pulse";

const LAG_WINDOW_MS = 10_000;
const RATE_WINDOW_MS = 5_000;

export interface Rate {
  /** Append to the log → drawn, median of 10 s, by this machine's clock. */
  readonly lagMs: number | null;
  readonly updatesPerS: number;
  readonly kBPerS: number;
}

interface Arrival {
  readonly at: number;
  readonly lagMs: number | null;
  readonly bytes: number;
}

export class Rates {
  private arrivals: Arrival[] = [];
  private startedAt = 0;

  /** An update arrived at `at`. `lagMs` is null if it brought nothing new. */
  add(at: number, bytes: number, lagMs: number | null): void {
    if (this.startedAt === 0) this.startedAt = at;
    this.arrivals.push({ at, lagMs, bytes });
  }

  read(now: number): Rate {
    this.arrivals = this.arrivals.filter(({ at }) => at > now - LAG_WINDOW_MS);
    const recent = this.arrivals.filter(({ at }) => at > now - RATE_WINDOW_MS);
    const seconds = Math.max(1000, Math.min(RATE_WINDOW_MS, now - this.startedAt)) / 1000;
    const lags = this.arrivals.flatMap(({ lagMs }) => (lagMs === null ? [] : [lagMs])).sort((a, b) => a - b);
    const bytes = recent.reduce((sum, arrival) => sum + arrival.bytes, 0);
    return {
      lagMs: quantile(lags, 0.5),
      updatesPerS: recent.length / seconds,
      kBPerS: bytes / 1000 / seconds,
    };
  }
}
