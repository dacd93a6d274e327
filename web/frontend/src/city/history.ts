// SPDX-License-Identifier: Apache-2.0
/** Values over time for a sparkline: at most 15 minutes, one point every few seconds. */

import { WINDOW_MS } from "./pulse";

const STEP_MS = 5_000;

export interface Sample {
  readonly atMs: number;
  readonly values: readonly (number | null)[];
}

export class History {
  private samples: readonly Sample[] = [];

  /** Keep a sample if its time has come; the newest is always the value shown. */
  add(atMs: number, values: readonly (number | null)[]): readonly Sample[] {
    const settled = this.samples.filter((sample) => sample.atMs >= atMs - WINDOW_MS);
    const last = settled.at(-1);
    const before = settled.at(-2);
    const replaces = last !== undefined && before !== undefined && last.atMs - before.atMs < STEP_MS;
    this.samples = [...(replaces ? settled.slice(0, -1) : settled), { atMs, values }];
    return this.samples;
  }
}

/** Samples of the whole time that a page is open, so many at most: when they are too many, every other one goes. */
const KEPT_MAX = 720;

/** Values over the whole time that a page is open: at first a point every few seconds, later fewer. */
export class LongHistory {
  private samples: readonly Sample[] = [];
  private stepMs = STEP_MS;

  /** Keep a sample if its time has come. */
  add(atMs: number, values: readonly (number | null)[]): readonly Sample[] {
    const last = this.samples.at(-1);
    if (last !== undefined && atMs - last.atMs < this.stepMs && atMs >= last.atMs) return this.samples;
    // A log whose clock was set back has no earlier samples.
    this.samples = [...this.samples.filter((sample) => sample.atMs <= atMs), { atMs, values }];
    if (this.samples.length > KEPT_MAX) {
      this.samples = this.samples.filter((_, i) => i % 2 === 0);
      this.stepMs *= 2;
    }
    return this.samples;
  }
}
