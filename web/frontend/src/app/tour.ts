// SPDX-License-Identifier: Apache-2.0
/** A first visit in three steps; a browser that ended it once does not show it again. */

import { keep, kept } from "./safely";

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
  return kept("local", KEY) === "over";
}

export function end(): void {
  keep("local", KEY, "over");
}
