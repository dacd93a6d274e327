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
