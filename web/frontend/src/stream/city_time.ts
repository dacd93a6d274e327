// SPDX-License-Identifier: Apache-2.0
/**
 * City time: the time that people live by, which runs `speed` times as fast as log time. It goes on from where it is
 * when the speed changes (docs/decisions/city-time.md).
 */

import { DecodeError } from "./decode.ts";

/** A stretch of log time with one speed; it ends where the next one begins. */
export interface Period {
  /** Log time, like all times of rows and updates. */
  readonly fromMs: number;
  /** City time there. */
  readonly cityMs: number;
  readonly speed: number;
}

export class CityTime {
  /** Ascending. Before the first one, and without any, the speed is 1. */
  readonly periods: readonly Period[];

  constructor(periods: readonly Period[] = []) {
    this.periods = periods;
  }

  /** How many times as fast as the clock people live now. */
  get speed(): number {
    return this.periods.at(-1)?.speed ?? 1;
  }

  /** Whether city time is log time, and always was. */
  get isReal(): boolean {
    return this.periods.length === 0;
  }

  /** City time at a log time. */
  at(logMs: number): number {
    const first = this.periods[0];
    if (first === undefined) return logMs;
    const period = this.periods.findLast(({ fromMs }) => fromMs <= logMs);
    if (period === undefined) return logMs + first.cityMs - first.fromMs;
    return period.cityMs + (logMs - period.fromMs) * period.speed;
  }

  /** How much city time passed between two log times. */
  between(fromMs: number, toMs: number): number {
    return this.at(toMs) - this.at(fromMs);
  }
}

export const REAL_TIME = new CityTime();

/** The periods of a message `city_time`. Throws DecodeError. */
export function cityTimeOf({ periods }: { readonly periods?: unknown }): CityTime {
  if (!Array.isArray(periods) || !periods.every(isPeriod)) throw new DecodeError("no periods");
  return new CityTime(periods.map(([fromMs, cityMs, speed]) => ({ fromMs, cityMs, speed })));
}

function isPeriod(period: unknown): period is [number, number, number] {
  return Array.isArray(period) && period.length >= 3 && period.slice(0, 3).every(Number.isInteger);
}
