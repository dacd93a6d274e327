// SPDX-License-Identifier: Apache-2.0
/**
 * How long this page has been without a newly verified update, counted in its own ticks: a page that was itself too
 * busy to look is not without news.
 */

const KEPT = 600;

export class Pauses {
  /** Ticks without an update before each verified one, and when it came. */
  private readonly ended: { readonly at: number; readonly ticks: number }[] = [];
  private ticks = 0;

  constructor(private readonly tickMs: number) {}

  tick(): void {
    this.ticks++;
  }

  verified(at: number): void {
    if (this.ticks > 1) this.ended.push({ at, ticks: this.ticks });
    if (this.ended.length > KEPT) this.ended.shift();
    this.ticks = 0;
  }

  /** The longest one that ended after a time, or that goes on. */
  longestMs(since: number): number {
    const ticks = this.ended.filter(({ at }) => at >= since).map((pause) => pause.ticks);
    return Math.max(this.ticks, ...ticks) * this.tickMs;
  }
}
