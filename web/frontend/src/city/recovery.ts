// SPDX-License-Identifier: Apache-2.0
/**
 * How long a part that was killed or frozen from this page took until all was well again. A pure reduction.
 *
 * Recovered means three things, in this order: the supervisor says that the part is ready (after a kill with another
 * process); this page has a verified update since; and what the part writes moves on: positions, decisions, or both.
 */

import type { PartKind } from "./score";

export type Deed = "kill" | "freeze";

/** A part of the demo, as `GET /api/parts` gives it. */
export interface PartNow {
  readonly name: string;
  readonly pid: number;
  readonly state: string;
  readonly restarts: number;
}

/** A measurement that goes on. */
export interface Recovering {
  readonly part: string;
  readonly deed: Deed;
  /** Which process it was. */
  readonly pid: number;
  readonly startedAt: number;
  /** It served this page. */
  readonly isOwn: boolean;
  /** It was seen frozen, or woken from here. */
  readonly wasFrozen: boolean;
  /** When the supervisor said that it is ready, and where the log was then. */
  readonly readyAt: number | null;
  readonly readyLoc: number;
  readonly readyEv: number;
}

export interface Recovered {
  readonly part: string;
  readonly deed: Deed;
  readonly isOwn: boolean;
  readonly tookMs: number;
}

export interface RecoveryState {
  readonly going: readonly Recovering[];
  /** The last one of each part and deed, by `keyOf`; in ms. */
  readonly last: Readonly<Record<string, number>>;
  /** What the last event has ended. */
  readonly done: readonly Recovered[];
}

export type RecoveryEvent =
  | {
      readonly type: "begun";
      readonly part: string;
      readonly deed: Deed;
      readonly pid: number;
      readonly at: number;
      readonly isOwn: boolean;
    }
  /** It was not killed or frozen after all. */
  | { readonly type: "refused"; readonly part: string; readonly deed: Deed }
  /** The gateway said which process it was. */
  | { readonly type: "answered"; readonly part: string; readonly pid: number }
  | { readonly type: "woken"; readonly part: string }
  | {
      readonly type: "parts";
      readonly parts: readonly PartNow[];
      readonly at: number;
      readonly loc: number;
      readonly ev: number;
    }
  | { readonly type: "verified"; readonly at: number; readonly loc: number; readonly ev: number };

export const NO_RECOVERY: RecoveryState = { going: [], last: {}, done: [] };

/** A measurement is given up after this long. */
const GIVE_UP_MS = 180_000;

export function keyOf(part: string, deed: Deed): string {
  return `${deed} ${part}`;
}

export function kindOf(name: string): PartKind {
  const [kind] = name.split("-");
  return kind === "gateway" || kind === "dispatcher" || kind === "simulator" ? kind : "kafka";
}

export function reduceRecovery(state: RecoveryState, event: RecoveryEvent): RecoveryState {
  switch (event.type) {
    case "begun":
      return { ...state, done: [], going: [...others(state, event.part), begun(event)] };
    case "refused":
      return { ...state, done: [], going: others(state, event.part) };
    case "answered":
      return changed(state, event.part, (one) => ({ ...one, pid: event.pid }));
    case "woken":
      return changed(state, event.part, seen);
    case "parts":
      return { ...state, done: [], going: state.going.flatMap((one) => looked(one, event)) };
    case "verified":
      return verified(state, event);
  }
}

/** A part has one measurement: a kill while it is frozen begins another. */
function others({ going }: RecoveryState, part: string): readonly Recovering[] {
  return going.filter((one) => one.part !== part);
}

function changed(state: RecoveryState, part: string, change: (one: Recovering) => Recovering): RecoveryState {
  return { ...state, done: [], going: state.going.map((one) => (one.part === part ? change(one) : one)) };
}

function begun({ part, deed, pid, at, isOwn }: RecoveryEvent & { type: "begun" }): Recovering {
  return { part, deed, pid, startedAt: at, isOwn, wasFrozen: false, readyAt: null, readyLoc: 0, readyEv: 0 };
}

function seen(one: Recovering): Recovering {
  return { ...one, wasFrozen: true };
}

function looked(one: Recovering, event: RecoveryEvent & { type: "parts" }): readonly Recovering[] {
  if (event.at - one.startedAt > GIVE_UP_MS) return [];
  const now = event.parts.find(({ name }) => name === one.part);
  if (now === undefined) return [one];
  const isReplaced = now.pid !== one.pid;
  const next = now.state === "frozen" ? seen(one) : one;
  if (now.state !== "ready") return [{ ...next, readyAt: null }];
  // A process that was stopped a moment ago is still called ready until the supervisor has looked.
  if (next.readyAt !== null || !(isReplaced || (next.deed === "freeze" && next.wasFrozen))) return [next];
  return [{ ...next, readyAt: event.at, readyLoc: event.loc, readyEv: event.ev }];
}

function verified(state: RecoveryState, event: RecoveryEvent & { type: "verified" }): RecoveryState {
  const over = state.going.filter((one) => isOver(one, event));
  if (over.length === 0) return state.done.length === 0 ? state : { ...state, done: [] };
  const done = over.map(({ part, deed, isOwn, startedAt }) => {
    return { part, deed, isOwn, tookMs: event.at - startedAt };
  });
  const last = Object.fromEntries(done.map(({ part, deed, tookMs }) => [keyOf(part, deed), tookMs]));
  return { going: state.going.filter((one) => !over.includes(one)), last: { ...state.last, ...last }, done };
}

function isOver(one: Recovering, { at, loc, ev }: { at: number; loc: number; ev: number }): boolean {
  if (one.readyAt === null || at <= one.readyAt) return false;
  const kind = kindOf(one.part);
  const positionsMove = kind === "gateway" || kind === "dispatcher" || loc > one.readyLoc;
  const decisionsMove = kind === "gateway" || kind === "simulator" || ev > one.readyEv;
  return positionsMove && decisionsMove;
}
