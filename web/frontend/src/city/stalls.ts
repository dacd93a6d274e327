// SPDX-License-Identifier: Apache-2.0
/**
 * Whether positions and decisions reach the log, from the offsets of the cuts alone: this is how a page sees that the
 * simulator, the dispatcher or the broker was away. A pure reduction.
 */

import type { Tally } from "./ledger";

/** Nothing new for so long is a stall; in an ordinary city both come several times a second. */
export const STALL_MS = 3_000;

/** A stall that is over, for people. */
export interface StallReport {
  /** How long no position came; 0 if they came all the time. */
  readonly positionsMs: number;
  /** How long no decision came; 0 if they came all the time. */
  readonly decisionsMs: number;
  readonly missed: number;
  readonly repeated: number;
  readonly at: number;
}

interface Axis {
  readonly offset: number;
  /** When it last grew. */
  readonly grewAt: number;
  /** How long it stood still in the stall that goes on. */
  readonly stalledMs: number;
}

export interface StallState {
  readonly loc: Axis;
  readonly ev: Axis;
  readonly before: Tally;
  /** Of the last stall that is over. */
  readonly report: StallReport | null;
}

/** A verified update, or a restart of the count: after an outage it is not known what did not move. */
export interface StallEvent {
  readonly loc: number;
  readonly ev: number;
  readonly at: number;
  readonly tally: Tally;
  readonly restart: boolean;
}

export function reduceStalls(state: StallState | null, event: StallEvent): StallState {
  const { loc, ev, at, tally } = event;
  if (state === null || event.restart) {
    const begun = (offset: number): Axis => ({ offset, grewAt: at, stalledMs: 0 });
    return { loc: begun(loc), ev: begun(ev), before: tally, report: state?.report ?? null };
  }
  const next = { ...state, loc: moved(state.loc, loc, at), ev: moved(state.ev, ev, at) };
  const goesOn = [next.loc, next.ev].some(({ grewAt }) => at - grewAt > STALL_MS);
  const [positionsMs, decisionsMs] = [next.loc.stalledMs, next.ev.stalledMs];
  if (goesOn) return next;
  if (positionsMs + decisionsMs === 0) return { ...next, before: tally };
  const report = {
    positionsMs,
    decisionsMs,
    missed: tally.missed - state.before.missed,
    repeated: tally.repeated - state.before.repeated,
    at,
  };
  const over = (axis: Axis): Axis => ({ ...axis, stalledMs: 0 });
  return { loc: over(next.loc), ev: over(next.ev), before: tally, report };
}

function moved(axis: Axis, offset: number, at: number): Axis {
  if (offset <= axis.offset) return axis;
  const gap = at - axis.grewAt;
  return { offset, grewAt: at, stalledMs: gap > STALL_MS ? axis.stalledMs + gap : axis.stalledMs };
}
