// SPDX-License-Identifier: Apache-2.0
/** The longest time that this page was without a newly verified cut, over the last minute. */

const WINDOW_MS = 60_000;

export class Pauses {
  private pauses: { readonly at: number; readonly ms: number }[] = [];
  private last: number | null = null;

  verified(at: number): void {
    if (this.last !== null) this.pauses.push({ at, ms: at - this.last });
    this.last = at;
    if (this.pauses.length > 0 && this.pauses[0]!.at < at - WINDOW_MS)
      this.pauses = this.pauses.filter((pause) => pause.at >= at - WINDOW_MS);
  }

  longest(): number {
    return this.pauses.reduce((longest, { ms }) => Math.max(longest, ms), 0);
  }
}
