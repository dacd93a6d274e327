// SPDX-License-Identifier: Apache-2.0
/** The charts of the city's pulse: what each shows, of which value of a sample, and how that is written. */

import { count, span } from "./format";
import type { Sample } from "./history";

/** The values of a sample of the pulse, by place. */
export const PULSE = {
  waiting: 0,
  medianMs: 1,
  p90Ms: 2,
  served: 3,
  utilisation: 4,
  requests: 5,
  lagMs: 6,
} as const;

export interface Line {
  /** Its place among the values of a sample. */
  readonly value: number;
  readonly label: string;
  /** The name of a colour token. */
  readonly colour: string;
  readonly isDashed?: boolean;
}

export interface Chart {
  readonly title: string;
  /** What is measured, in a sentence. */
  readonly about: string;
  readonly lines: readonly Line[];
  /** The highest value that the axis has at least; null: that of the data. */
  readonly top: number | null;
  /** The lowest; null: that of the data. */
  readonly bottom: number | null;
  /** What the marks of the axis may be apart, if not tens. */
  readonly steps?: readonly number[];
  write(value: number): string;
}

const share = (value: number) => `${(value * 100).toFixed(1)} %`;

export const CHARTS: readonly Chart[] = [
  {
    title: "Riders waiting",
    about: "Rides without a taxi at this moment.",
    lines: [{ value: PULSE.waiting, label: "waiting", colour: "text" }],
    top: 1,
    bottom: 0,
    write: (value) => count(Math.round(value)),
  },
  {
    title: "Wait until pickup",
    about: "From the request to the taxi at the pickup, of the pickups of 15 minutes.",
    lines: [
      { value: PULSE.medianMs, label: "median", colour: "pickup" },
      { value: PULSE.p90Ms, label: "p90", colour: "pickup", isDashed: true },
    ],
    top: 60_000,
    bottom: 0,
    steps: [15_000, 30_000, 60_000, 120_000, 300_000, 600_000, 1_800_000, 3_600_000],
    write: span,
  },
  {
    title: "Requests served",
    about: "Picked up, of those picked up or given up in 15 minutes.",
    lines: [{ value: PULSE.served, label: "served", colour: "vacant" }],
    top: 1,
    bottom: null,
    write: share,
  },
  {
    title: "Utilisation",
    about: "Taxis with a rider or on the way to one, of those on shift with a signal.",
    lines: [{ value: PULSE.utilisation, label: "busy", colour: "trip" }],
    top: 1,
    bottom: 0,
    write: share,
  },
  {
    title: "Requests",
    about: "Rides requested in the last minute of the city.",
    lines: [{ value: PULSE.requests, label: "a minute", colour: "text" }],
    top: 1,
    bottom: 0,
    write: (value) => count(Math.round(value)),
  },
  {
    title: "Lag",
    about: "From the log to this page, median of 10 s by this machine's clock.",
    lines: [{ value: PULSE.lagMs, label: "lag", colour: "text-2" }],
    top: 100,
    bottom: 0,
    write: (value) => `${count(Math.round(value))} ms`,
  },
];

/** The index of the sample nearest to a time; null without samples. */
export function nearestSample(samples: readonly Sample[], atMs: number): number | null {
  let best: number | null = null;
  samples.forEach((sample, i) => {
    if (best === null || Math.abs(sample.atMs - atMs) <= Math.abs(samples[best]!.atMs - atMs)) best = i;
  });
  return best;
}

/** Each line of a chart at a sample, in words: "median 2:08 · p90 4:51". */
export function reading(chart: Chart, sample: Sample | undefined): string {
  return chart.lines
    .map(({ value, label }) => {
      const found = sample?.values[value];
      return `${label} ${found == null ? "–" : chart.write(found)}`;
    })
    .join(" · ");
}

/** A chart in words, for those who do not see it. */
export function summary(chart: Chart, samples: readonly Sample[]): string {
  const lines = chart.lines.map(({ value, label }) => {
    const all = samples.flatMap(({ values }) => values[value] ?? []);
    const last = samples.at(-1)?.values[value];
    if (all.length === 0) return `${label}: no value yet`;
    const [low, high] = [Math.min(...all), Math.max(...all)];
    return `${label} now ${last == null ? "unknown" : chart.write(last)}, between ${chart.write(low)} and ${chart.write(high)}`;
  });
  return `${chart.title}: ${lines.join("; ")}`;
}
