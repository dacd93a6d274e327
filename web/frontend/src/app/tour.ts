// SPDX-License-Identifier: Apache-2.0
/** A first visit in three steps; whoever was shown round once is not shown round again. */

export type Step = "watch" | "kill" | "ask";

export interface Seen {
  readonly openForMs: number;
  readonly canKill: boolean;
  readonly killed: boolean;
  readonly asking: boolean;
}

const WATCHED_MS = 12_000;
const KEY = "taxistream.tour";

/** The step that comes next. */
export function tourStep({ openForMs, canKill, killed, asking }: Seen): Step {
  if (asking || killed) return "ask";
  if (openForMs < WATCHED_MS) return "watch";
  return canKill ? "kill" : "ask";
}

export function isOver(): boolean {
  try {
    return localStorage.getItem(KEY) === "over";
  } catch {
    return false;
  }
}

export function end(): void {
  try {
    localStorage.setItem(KEY, "over");
  } catch {
    // A browser that keeps nothing shows it again.
  }
}
