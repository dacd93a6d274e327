// SPDX-License-Identifier: Apache-2.0
/** What was broken from this browser so far, and what came of it: the records to beat. A pure reduction. */

import type { OutageReport } from "./outage";

/** A kind of part of a demo. */
export type PartKind = "gateway" | "dispatcher" | "simulator" | "kafka";

export interface Score {
  /** Gateways that served this page and were killed from it, until it was verified again. */
  readonly gateways: number;
  /** Other parts that were killed or frozen from this page, until they were ready again. */
  readonly others: number;
  /** From the last update before a kill to the first verified one after it. */
  readonly longestGapMs: number;
  readonly shortestGapMs: number | null;
  readonly missed: number;
  readonly repeated: number;
  /** Kills after which the rows came as a full state, so that events in between were not shown. */
  readonly fresh: number;
  /** The shortest recovery by kind of part and what was done to it: "kill gateway". */
  readonly best: Readonly<Record<string, number>>;
}

export const NO_SCORE: Score = {
  gateways: 0,
  others: 0,
  longestGapMs: 0,
  shortestGapMs: null,
  missed: 0,
  repeated: 0,
  fresh: 0,
  best: {},
};

/** The gateway that served this page was killed from it, and the page is verified again. */
export function addKill(score: Score, { tookMs, missed, repeated, fresh }: OutageReport): Score {
  return {
    ...score,
    gateways: score.gateways + 1,
    longestGapMs: Math.max(score.longestGapMs, tookMs),
    shortestGapMs: Math.min(score.shortestGapMs ?? tookMs, tookMs),
    missed: score.missed + missed,
    repeated: score.repeated + repeated,
    fresh: score.fresh + (fresh ? 1 : 0),
  };
}

/** A part is ready again, and the page verified. `isOwn`: it was the gateway that served, which `addKill` counts. */
export function addRecovery(score: Score, what: string, tookMs: number, isOwn: boolean): Score {
  const best = { ...score.best, [what]: Math.min(score.best[what] ?? tookMs, tookMs) };
  return { ...score, best, others: score.others + (isOwn ? 0 : 1) };
}

/** A score as it was kept; one that cannot be read counts as none. */
export function readScore(text: string | null): Score {
  if (text === null) return NO_SCORE;
  try {
    const { best, ...counts } = JSON.parse(text) as Partial<Score>;
    const known = Object.fromEntries(
      Object.entries(NO_SCORE).map(([name, none]) => {
        const kept = counts[name as keyof typeof counts];
        return [name, isCount(kept) ? kept : none];
      }),
    );
    const times = Object.entries(best ?? {}).filter(([, ms]) => isCount(ms));
    return { ...(known as unknown as Score), best: Object.fromEntries(times) };
  } catch {
    return NO_SCORE;
  }
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value) && value >= 0;
}
