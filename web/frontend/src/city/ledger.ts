// SPDX-License-Identifier: Apache-2.0
/** Keeps count of the feed: offsets grow, and each closed batch says how many events it had. */

import type { FeedEvent } from "../stream";

export interface Tally {
  /** Events that were announced by their batch and never came. */
  readonly missed: number;
  /** Events that came a second time. */
  readonly repeated: number;
}

export class Ledger {
  missed = 0;
  repeated = 0;
  /** Events that came, each counted once. */
  events = 0;
  private lastOffset = -1;
  private lastBatch: number | null = null;
  private inBatch = 0;

  take(feed: readonly FeedEvent[]): void {
    for (const [offset, , type, ids] of feed) {
      if (offset <= this.lastOffset) {
        this.repeated++;
        continue;
      }
      this.lastOffset = offset;
      this.inBatch++;
      this.events++;
      if (type === "BatchClosed") this.close(ids.batch ?? 0, ids.count ?? 0);
    }
  }

  /** An image brings no feed: counting starts again at the next batch. */
  restart(): void {
    this.lastBatch = null;
    this.inBatch = 0;
  }

  tally(): Tally {
    return { missed: this.missed, repeated: this.repeated };
  }

  private close(batch: number, events: number): void {
    if (this.lastBatch !== null) {
      this.missed += Math.max(0, events - this.inBatch);
      // Of a batch that left no trace at least its closing event is missing.
      this.missed += Math.max(0, batch - this.lastBatch - 1);
    }
    this.lastBatch = batch;
    this.inBatch = 0;
  }
}
