// SPDX-License-Identifier: Apache-2.0
/** Waits and served share over what this page has seen, at most the last 15 minutes. */

import type { Picture } from "../stream";
import { gaveUp, isWaiting } from "./rides";

export const WINDOW_MS = 15 * 60_000;

export interface Figures {
  readonly waiting: number;
  readonly medianMs: number | null;
  readonly p90Ms: number | null;
  /** Share picked up of those picked up or given up, 0 … 1. */
  readonly served: number | null;
}

interface Ended {
  readonly atMs: number;
  /** Request → driver at the pickup; null: the rider gave up. */
  readonly waitMs: number | null;
}

export class Pulse {
  private readonly seen = new Map<string, Ended>();

  /** Look at the rides now held. A ride that leaves the picture stays counted until the window has passed it. */
  look(picture: Picture): Figures {
    let waiting = 0;
    for (const ride of picture.rides.values()) {
      if (isWaiting(ride)) waiting++;
      else if (ride.arrived !== 0) {
        const atMs = picture.fullMs(ride.arrived);
        this.seen.set(ride.id, { atMs, waitMs: atMs - picture.fullMs(ride.requested) });
      } else if (gaveUp(ride)) this.seen.set(ride.id, { atMs: picture.fullMs(ride.ended), waitMs: null });
    }
    this.forgetBefore(picture.cutMs - WINDOW_MS);
    return { waiting, ...this.figures() };
  }

  private figures(): Omit<Figures, "waiting"> {
    const waits = [...this.seen.values()].flatMap(({ waitMs }) => (waitMs === null ? [] : [waitMs]));
    waits.sort((a, b) => a - b);
    const served = this.seen.size === 0 ? null : waits.length / this.seen.size;
    return { medianMs: quantile(waits, 0.5), p90Ms: quantile(waits, 0.9), served };
  }

  private forgetBefore(ms: number): void {
    for (const [id, { atMs }] of this.seen) if (atMs < ms) this.seen.delete(id);
  }
}

/** The value below which a share of the sorted values lies. */
export function quantile(sorted: readonly number[], share: number): number | null {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? null;
}
