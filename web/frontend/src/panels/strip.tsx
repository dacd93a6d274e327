// SPDX-License-Identifier: Apache-2.0
/** The last checks as a strip: one bar each, torn where updates were missing, closed by the one that continued. */

import { CHECKS_KEPT, type Check } from "../city/checks";

const STEP = 6.5;
const WIDTH = CHECKS_KEPT * STEP;
/** A gateway's name needs so many bars. */
const NAMED_BARS = 12;

export function CheckStrip({ checks }: { checks: readonly Check[] }) {
  // The newest is at the right edge, also while there are few.
  const from = CHECKS_KEPT - checks.length;
  const x = (i: number) => (from + i) * STEP + STEP / 2;
  return (
    <svg class="strip" viewBox={`0 0 ${WIDTH} 66`} role="img" aria-label={stripWords(checks)}>
      {checks.map((check, i) => (
        <Bar key={check.key} check={check} x={x(i)} />
      ))}
      <FirstNote checks={checks} x={x} />
      {runs(checks).map(({ gateway, start, end, last }) => (
        <g key={start} class={last ? "run last" : "run"}>
          <path d={`M${x(start) - 2} 48H${x(end) + 2}`} />
          {end - start >= NAMED_BARS && (
            <text x={last ? x(end) + 2 : x(start) - 2} y="62" text-anchor={last ? "end" : "start"}>
              {gateway}
            </text>
          )}
        </g>
      ))}
    </svg>
  );
}

function Bar({ check, x }: { check: Check; x: number }) {
  switch (check.outcome) {
    case "equal":
      return check.first || check.image ? (
        <path class="bar joint" d={`M${x} 8v32`} />
      ) : (
        <path class="bar equal" d={`M${x} 16v24`} />
      );
    case "differs":
      // It hangs below the line.
      return <path class="bar differs" d={`M${x} 34v12`} />;
    case "gap":
      return (
        <g class="gap">
          <path class="frame" d={`M${x - 2.7} 16.5v23h5.4v-23z`} />
          <path class="cross" d={`m${x - 2.2} 25.8 4.4 4.4m0-4.4-4.4 4.4`} />
        </g>
      );
  }
}

/** What the last tall bar is. */
function FirstNote({ checks, x }: { checks: readonly Check[]; x: (i: number) => number }) {
  const i = checks.findLastIndex(({ first, image }) => first || image);
  const check = checks[i];
  if (check === undefined || check.outcome !== "equal") return null;
  const isLeft = x(i) < WIDTH / 2;
  const words = `${check.image ? "full state" : "one difference"}, hashes equal`;
  return (
    <text x={x(i) + (isLeft ? 6 : -6)} y="11" text-anchor={isLeft ? "start" : "end"} class="joint-note">
      {words}
    </text>
  );
}

interface Run {
  readonly gateway: string;
  readonly start: number;
  readonly end: number;
  readonly last: boolean;
}

/** Stretches of checks against the same gateway. */
function runs(checks: readonly Check[]): readonly Run[] {
  const found: { gateway: string; start: number; end: number }[] = [];
  checks.forEach(({ outcome, gateway }, i) => {
    if (outcome === "gap") return;
    const last = found.at(-1);
    if (last && last.gateway === gateway && checks[i - 1]?.outcome !== "gap") last.end = i;
    else found.push({ gateway, start: i, end: i });
  });
  return found.map((run, i) => ({ ...run, last: i === found.length - 1 }));
}

export function stripWords(checks: readonly Check[]): string {
  const n = (wanted: Check["outcome"]) => checks.filter(({ outcome }) => outcome === wanted).length;
  const [equal, differs, gaps] = [n("equal"), n("differs"), n("gap")];
  const words = [`${equal} of the last ${equal + differs} updates had the gateway’s hash`];
  if (differs > 0) words.push(`${differs} differed`);
  if (gaps > 0) words.push(`${gaps} ${gaps === 1 ? "gap" : "gaps"}`);
  return words.join("; ");
}
