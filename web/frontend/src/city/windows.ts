// SPDX-License-Identifier: Apache-2.0
/**
 * Other windows of this browser that show the same city: their hashes, compared with this page's at the cuts that both
 * have had. A pure reduction.
 */

/** A verified update, as one window says it to the others. */
export interface Seen {
  /** Of the window. */
  readonly id: string;
  readonly gateway: string;
  /** Epoch and offsets. */
  readonly cursor: string;
  /** What the rows are of: two windows compare only the same rows. */
  readonly rows: string;
  readonly hash: string;
  readonly cutMs: number;
}

export interface OtherWindow {
  readonly id: string;
  readonly gateway: string;
  /** When it was heard last. */
  readonly at: number;
  readonly equal: number;
  readonly differed: number;
  /** The last common cut; null before the first. */
  readonly cutMs: number | null;
}

export interface WindowState {
  readonly own: readonly Seen[];
  readonly theirs: readonly Seen[];
  readonly others: readonly OtherWindow[];
}

export type WindowEvent =
  | { readonly type: "own"; readonly seen: Seen }
  | { readonly type: "other"; readonly seen: Seen; readonly at: number };

export const NO_WINDOWS: WindowState = { own: [], theirs: [], others: [] };

/** Two windows have the same cut within this many updates, or not at all. */
const CUTS_KEPT = 60;
const OTHERS_MAX = 8;
/** A window that was not heard for so long is closed, or hidden by its browser. */
const SILENT_MS = 5_000;

export function reduceWindows(state: WindowState, event: WindowEvent): WindowState {
  const { seen } = event;
  if (event.type === "own") {
    const own = added(state.own, seen, CUTS_KEPT);
    const common = state.theirs.filter((one) => isCommon(one, seen));
    return {
      ...state,
      own,
      others: common.reduce((others, one) => compared(others, one, seen), state.others),
    };
  }
  const theirs = added(state.theirs, seen, CUTS_KEPT * OTHERS_MAX);
  const others = heard(state.others, seen, event.at);
  const match = state.own.find((one) => isCommon(one, seen));
  return { ...state, theirs, others: match ? compared(others, seen, match) : others };
}

function added(list: readonly Seen[], seen: Seen, kept: number): readonly Seen[] {
  return [...list.slice(1 - kept), seen];
}

function isCommon(a: Seen, b: Seen): boolean {
  return a.cursor === b.cursor && a.rows === b.rows;
}

function heard(others: readonly OtherWindow[], { id, gateway }: Seen, at: number): readonly OtherWindow[] {
  const rest = others.filter((one) => one.id !== id && at - one.at < SILENT_MS);
  const known = others.find((one) => one.id === id) ?? { equal: 0, differed: 0, cutMs: null };
  return [...rest.slice(1 - OTHERS_MAX), { ...known, id, gateway, at }];
}

function compared(others: readonly OtherWindow[], theirs: Seen, own: Seen): readonly OtherWindow[] {
  const isEqual = theirs.hash === own.hash;
  return others.map((one) =>
    one.id === theirs.id
      ? {
          ...one,
          equal: one.equal + (isEqual ? 1 : 0),
          differed: one.differed + (isEqual ? 0 : 1),
          cutMs: own.cutMs,
        }
      : one,
  );
}

/** The windows that were heard lately. */
export function openWindows({ others }: WindowState, now: number): readonly OtherWindow[] {
  return others.filter(({ at }) => now - at < SILENT_MS);
}

/** What another window said; null if it is something else, such as that of another version. */
export function readSeen(data: unknown): Seen | null {
  if (typeof data !== "object" || data === null) return null;
  const { id, gateway, cursor, rows, hash, cutMs } = data as Partial<Seen>;
  const texts = [id, gateway, cursor, rows, hash];
  if (!texts.every((text) => typeof text === "string") || !Number.isFinite(cutMs)) return null;
  return { id, gateway, cursor, rows, hash, cutMs } as Seen;
}
