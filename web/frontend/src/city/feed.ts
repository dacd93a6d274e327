// SPDX-License-Identifier: Apache-2.0
/**
 * The feed at a pace that can be read. A busy city has tens of events a second, so a row is for all events of one
 * kind since the last row of that kind: it names the newest, and counts the others. Every event is in exactly one row.
 * A pure reduction.
 */

import type { RideRecord } from "../stream";
import type { Line } from "./words";

/** A row comes at most so often: of six that are shown, each stays for seven seconds or longer. */
export const ROW_MS = 1_200;
export const ROWS_KEPT = 200;

/** What the page knows of the ride of an event. */
export interface About {
  readonly ride: RideRecord | null;
  /** From where to where; null if that is not known. */
  readonly where: string | null;
}

export interface FeedRow extends About {
  readonly key: number;
  /** The newest event of this row. */
  readonly line: Line;
  /** How many other events of this kind the row is for. */
  readonly more: number;
  readonly fareCents: number | null;
}

interface Waiting {
  readonly line: Line;
  readonly about: About;
  readonly n: number;
}

export interface FeedState {
  /** Newest first. */
  readonly rows: readonly FeedRow[];
  /** Events that no row shows yet, by kind; the kind that has waited longest is first. */
  readonly waiting: ReadonlyMap<string, Waiting>;
  readonly nextKey: number;
  /** When the last row came, monotonic milliseconds. */
  readonly rowAt: number;
}

export type FeedAction =
  | { readonly type: "events"; readonly lines: readonly Line[]; readonly about: (line: Line) => About }
  | { readonly type: "tick"; readonly now: number; readonly paused: boolean }
  | { readonly type: "fare"; readonly key: number; readonly fareCents: number };

export const NO_FEED: FeedState = {
  rows: [],
  waiting: new Map(),
  nextKey: 1,
  rowAt: Number.NEGATIVE_INFINITY,
};

export function reduceFeed(state: FeedState, action: FeedAction): FeedState {
  switch (action.type) {
    case "events":
      return action.lines.length === 0 ? state : { ...state, waiting: queued(state.waiting, action) };
    case "tick":
      return action.paused || action.now - state.rowAt < ROW_MS ? state : shown(state, action.now);
    case "fare":
      return {
        ...state,
        rows: state.rows.map((row) =>
          row.key === action.key ? { ...row, fareCents: action.fareCents } : row,
        ),
      };
  }
}

/** Events that no row shows yet. */
export function waitingEvents({ waiting }: FeedState): number {
  return [...waiting.values()].reduce((sum, { n }) => sum + n, 0);
}

function queued(
  waiting: ReadonlyMap<string, Waiting>,
  { lines, about }: FeedAction & { type: "events" },
): ReadonlyMap<string, Waiting> {
  const next = new Map(waiting);
  // A kind that waits already keeps its place in the order of the map.
  for (const line of lines)
    next.set(line.kind, { line, about: about(line), n: (next.get(line.kind)?.n ?? 0) + 1 });
  return next;
}

function shown(state: FeedState, now: number): FeedState {
  const [first] = state.waiting;
  if (!first) return state;
  const [kind, { line, about, n }] = first;
  const waiting = new Map(state.waiting);
  waiting.delete(kind);
  const row = { key: state.nextKey, line, ...about, more: n - 1, fareCents: null };
  const rows = [row, ...state.rows].slice(0, ROWS_KEPT);
  return { rows, waiting, nextKey: state.nextKey + 1, rowAt: now };
}
