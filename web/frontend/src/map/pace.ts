// SPDX-License-Identifier: Apache-2.0
/** Gives up ornament where frames drop: first the blur behind panels, then the glow. It never comes back by itself. */

export const LOOKS = ["full", "solid", "plain"] as const;
const WINDOW_MS = 2_000;
/** Below these frames a second a level is left. */
const LEAVE_AT = [24, 12, 0] as const;
/** A longer pause is a hidden page, not a slow one. */
const PAUSE_MS = 1_500;

export interface Look {
  readonly level: 0 | 1 | 2;
  /** Asked for by the reader (`?look=full`): stays whatever it costs. */
  readonly fixed: boolean;
  readonly frames: number;
  readonly sinceMs: number;
  readonly lastMs: number;
}

export const FULL_LOOK: Look = { level: 0, fixed: false, frames: 0, sinceMs: 0, lastMs: 0 };

/** A frame came at `nowMs`. */
export function pace(look: Look, nowMs: number): Look {
  if (look.sinceMs === 0 || nowMs - look.lastMs > PAUSE_MS)
    return { ...look, frames: 0, sinceMs: nowMs, lastMs: nowMs };
  const frames = look.frames + 1;
  const elapsed = nowMs - look.sinceMs;
  if (elapsed < WINDOW_MS) return { ...look, frames, lastMs: nowMs };
  const slow = !look.fixed && look.level < 2 && (frames * 1000) / elapsed < LEAVE_AT[look.level]!;
  const level = slow ? ((look.level + 1) as 1 | 2) : look.level;
  return { ...look, level, frames: 0, sinceMs: nowMs, lastMs: nowMs };
}
