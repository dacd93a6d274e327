// SPDX-License-Identifier: Apache-2.0
/** A sparkline over what this page has seen, at most 15 minutes; the end dot is the figure shown. */

import type { Sample } from "../city/history";

interface Props {
  readonly samples: readonly Sample[];
  readonly value: number;
  /** A second, dashed line. */
  readonly second?: number;
  readonly width: number;
  readonly height: number;
  readonly colour: string;
  /** Filled ones start at 0. */
  readonly filled?: boolean;
}

type Point = readonly [x: number, y: number];

export function Spark({ samples, value, second, width, height, colour, filled }: Props) {
  const lines = (second === undefined ? [value] : [value, second]).map((index) => series(samples, index));
  const all = lines.flat().map(([, y]) => y);
  const scale = scaleFor(all, samples, width, height, filled ?? false);
  const main = lines[0]!.map(scale);
  const end = main.at(-1);
  return (
    <svg class={`spark c-${colour}`} viewBox={`0 0 ${width} ${height}`} aria-hidden="true">
      {filled && main.length > 1 && <path d={`${path(main)}V${height}H${main[0]![0]}z`} class="area" />}
      {lines[1] && <path d={path(lines[1].map(scale))} class="line second" />}
      <path d={path(main)} class="line" />
      {end && height > 20 && <circle cx={end[0]} cy={end[1]} r="2.5" fill="currentColor" />}
    </svg>
  );
}

function series(samples: readonly Sample[], index: number): Point[] {
  return samples.flatMap(({ atMs, values }): Point[] => {
    const y = values[index];
    return y === null || y === undefined ? [] : [[atMs, y]];
  });
}

function scaleFor(
  all: number[],
  samples: readonly Sample[],
  width: number,
  height: number,
  fromZero: boolean,
) {
  const first = samples[0]?.atMs ?? 0;
  const last = samples.at(-1)?.atMs ?? 1;
  const low = fromZero ? 0 : Math.min(...all);
  const high = Math.max(...all);
  const room = Math.max(high - low, fromZero ? 1 : high * 0.02, 1e-9);
  // A line that never moved runs through the middle.
  const lift = fromZero || high > low ? 0 : (height - 4) / 2;
  return ([x, y]: Point): Point => [
    round(last === first ? width : ((x - first) / (last - first)) * width),
    round(height - 2 - lift - ((y - low) / room) * (height - 4)),
  ];
}

function path(points: readonly Point[]): string {
  return points.map(([x, y], i) => `${i === 0 ? "M" : "L"}${x} ${y}`).join("");
}

function round(x: number): number {
  return Math.round(x * 10) / 10;
}
