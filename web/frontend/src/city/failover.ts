// SPDX-License-Identifier: Apache-2.0
/** How the page came from a lost connection back to verified rows, step by step with times. A pure reduction. */

/** What happened at a step. */
export type StepKind =
  /** The last verified update before the loss. */
  | "last"
  /** The page found the connection closed, or silent for too long. */
  | "lost"
  /** The connection is open and silent, so the page tries another gateway beside it. */
  | "silent"
  /** A connection to a gateway is open. */
  | "opened"
  /** That connection failed before it served. */
  | "failed"
  /** A gateway continues from this page's cursor. */
  | "resumed"
  /** A gateway sends the full state. */
  | "fresh"
  /** The first update after which the hashes are equal. */
  | "equal";

export interface FailoverStep {
  readonly kind: StepKind;
  readonly at: number;
  /** Of `last`, `resumed`, `fresh` and `equal`; else empty. */
  readonly gateway: string;
  /** Of `last` and `equal`; else 0. */
  readonly cutMs: number;
  /** Of `equal`: the size of the update; else 0. */
  readonly bytes: number;
}

export interface FailoverState {
  /** The gateway that serves, or served last. */
  readonly gateway: string;
  /** Of the last verified update. */
  readonly lastGateway: string;
  readonly lastAt: number;
  readonly lastCutMs: number;
  /** Steps of the failover that goes on; empty while updates come. */
  readonly ongoing: readonly FailoverStep[];
  /** Attempts that failed, of the failover that goes on. */
  readonly failed: number;
  /** Of the last failover that is over; empty before the first. */
  readonly steps: readonly FailoverStep[];
}

export type FailoverEvent =
  | { readonly type: "lost" | "silent"; readonly at: number }
  | { readonly type: "opened"; readonly at: number }
  | { readonly type: "ready"; readonly at: number; readonly gateway: string; readonly fresh: boolean }
  | { readonly type: "verified"; readonly at: number; readonly cutMs: number; readonly bytes: number }
  /** The page itself did not run: what was lost meanwhile says nothing about gateways. */
  | { readonly type: "away" };

export const NO_FAILOVER: FailoverState = {
  gateway: "",
  lastGateway: "",
  lastAt: 0,
  lastCutMs: 0,
  ongoing: [],
  failed: 0,
  steps: [],
};

/** Failed attempts beyond these are counted, and not listed. */
const FAILED_LISTED = 2;

export function reduceFailover(state: FailoverState, event: FailoverEvent): FailoverState {
  const isOver = state.ongoing.length === 0;
  switch (event.type) {
    case "lost":
    case "silent":
      return isOver ? begun(state, event) : again(state, event);
    case "opened":
      return isOver ? state : added(state, step("opened", event.at));
    case "ready": {
      const { at, gateway, fresh } = event;
      const next = { ...state, gateway };
      return isOver ? next : added(next, step(fresh ? "fresh" : "resumed", at, gateway));
    }
    case "verified":
      return verified(state, event);
    case "away":
      return { ...state, ongoing: [], failed: 0 };
  }
}

function begun(state: FailoverState, { type, at }: { type: "lost" | "silent"; at: number }): FailoverState {
  if (state.lastAt === 0) return state;
  const last = step("last", state.lastAt, state.lastGateway, state.lastCutMs);
  return { ...state, ongoing: [last, step(type, at)], failed: 0 };
}

/** A connection that was only silent may be lost later; each later loss is an attempt that failed. */
function again(state: FailoverState, { type, at }: { type: "lost" | "silent"; at: number }): FailoverState {
  const { ongoing } = state;
  const before = ongoing.at(-1)!.kind;
  if (type === "silent" || before === "lost" || before === "failed") return state;
  if (!ongoing.some(({ kind }) => kind === "lost")) return added(state, step("lost", at));
  const failed = state.failed + 1;
  if (failed <= FAILED_LISTED) return added({ ...state, failed }, step("failed", at));
  const settled = ongoing.findLastIndex(({ kind }) => kind === "failed" || kind === "lost") + 1;
  return { ...state, failed, ongoing: ongoing.slice(0, settled) };
}

function verified(state: FailoverState, event: FailoverEvent & { type: "verified" }): FailoverState {
  const { at, cutMs, bytes } = event;
  const { ongoing, gateway } = state;
  const next = { ...state, lastGateway: gateway, lastAt: at, lastCutMs: cutMs, ongoing: [], failed: 0 };
  // A gateway that was silent and speaks again was not replaced.
  const isReplaced = ongoing.some(({ kind }) => kind === "resumed" || kind === "fresh");
  return isReplaced ? { ...next, steps: [...ongoing, step("equal", at, gateway, cutMs, bytes)] } : next;
}

function added(state: FailoverState, one: FailoverStep): FailoverState {
  return { ...state, ongoing: [...state.ongoing, one] };
}

function step(kind: StepKind, at: number, gateway = "", cutMs = 0, bytes = 0): FailoverStep {
  return { kind, at, gateway, cutMs, bytes };
}

/** A stretch of a failover, for a bar. */
export interface Stretch {
  readonly name: "notice" | "connect" | "resume" | "update";
  readonly ms: number;
}

/** Where the time of a failover went; stretches without a beginning are left out. */
export function stretches(steps: readonly FailoverStep[]): readonly Stretch[] {
  const at = (...kinds: StepKind[]) => steps.findLast(({ kind }) => kinds.includes(kind))?.at;
  const marks = [
    ["notice", at("lost", "silent")],
    ["connect", at("opened")],
    ["resume", at("resumed", "fresh")],
    ["update", at("equal")],
  ] as const;
  let from = steps[0]?.at ?? 0;
  return marks.flatMap(([name, to]) => {
    if (to === undefined) return [];
    const ms = to - from;
    from = to;
    return [{ name, ms }];
  });
}
