// SPDX-License-Identifier: Apache-2.0
/** Log time, estimated from updates as they arrive; it runs evenly even if they do not. */

/** The clock is at most this much faster or slower than time while it corrects itself. */
const SLEW = 0.05;
/** Farther off than this it is set, not slewed. */
const SET_MS = 2_000;
/** How fast an old, lucky arrival is forgotten. */
const FORGET_MS = 30_000;

export class LogClock {
  private best: number | null = null;
  private offset = 0;
  private newestCutMs = 0;
  private readAt = 0;
  private heardAt = 0;

  /** An update arrived. The least delayed ones set the clock; one that repeats an old time does not count. */
  heard(cutMs: number, now: number): void {
    if (cutMs <= this.newestCutMs) return;
    this.newestCutMs = cutMs;
    const offset = cutMs - now;
    const faded =
      this.best === null
        ? offset
        : this.best - (this.best - offset) * Math.min(1, (now - this.heardAt) / FORGET_MS);
    this.heardAt = now;
    this.best = Math.max(offset, faded);
    if (this.readAt === 0 || Math.abs(this.best - this.offset) > SET_MS) {
      this.offset = this.best;
      this.readAt = now;
    }
  }

  /** Log time at `now` (a monotonic reading). */
  at(now: number): number {
    const elapsed = Math.max(0, now - this.readAt);
    this.readAt = now;
    const wanted = (this.best ?? 0) - this.offset;
    this.offset += Math.max(-SLEW * elapsed, Math.min(SLEW * elapsed, wanted));
    return now + this.offset;
  }
}
