// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { CHARTS, nearestSample, PULSE, reading, summary } from "../../src/city/charts";
import { LongHistory, type Sample } from "../../src/city/history";

const WAIT = CHARTS.find(({ title }) => title === "Wait until pickup")!;
const sample = (atMs: number, changes: Partial<Record<keyof typeof PULSE, number | null>>): Sample => {
  const values = Object.keys(PULSE).map((name) => changes[name as keyof typeof PULSE] ?? null);
  return { atMs, values };
};
const SAMPLES = [
  sample(1_000, { medianMs: 100_000, p90Ms: 300_000 }),
  sample(2_000, { medianMs: 128_000, p90Ms: 291_000 }),
  sample(9_000, { medianMs: 90_000 }),
];

describe("a chart", () => {
  it("says each of its values at a time, and a dash for one that is not known", () => {
    expect(reading(WAIT, SAMPLES[1])).toBe("median 2:08 · p90 4:51");
    expect(reading(WAIT, SAMPLES[2])).toBe("median 1:30 · p90 –");
    expect(reading(WAIT, undefined)).toBe("median – · p90 –");
    const all = sample(1, { waiting: 1_204, served: 0.999, utilisation: 0.5, requests: 84, lagMs: 96.4 });
    expect(CHARTS.map((chart) => reading(chart, all))).toEqual([
      "waiting 1,204",
      "median – · p90 –",
      "served 99.9 %",
      "busy 50.0 %",
      "a minute 84",
      "lag 96 ms",
    ]);
  });

  it("is a sentence for those who do not see it", () => {
    expect(summary(WAIT, SAMPLES)).toBe(
      "Wait until pickup: median now 1:30, between 1:30 and 2:08; p90 now unknown, between 4:51 and 5:00",
    );
    expect(summary(CHARTS[0]!, [])).toBe("Riders waiting: waiting: no value yet");
  });

  it("has the sample that is nearest in time", () => {
    expect([0, 1_400, 1_600, 99_000].map((ms) => nearestSample(SAMPLES, ms))).toEqual([0, 0, 1, 2]);
    expect(nearestSample([], 5)).toBeNull();
  });
});

describe("the history of a whole run", () => {
  it("keeps a point every few seconds, and fewer the longer it is, never more than so many", () => {
    const history = new LongHistory();
    let samples: readonly Sample[] = [];
    for (let ms = 1_000; ms <= 3_600_000; ms += 100) samples = history.add(ms, [ms]);
    expect([samples.length, samples[0]?.atMs, samples.at(-1)?.atMs]).toEqual([720, 1_000, 3_596_000]);
    for (let ms = 3_600_000; ms <= 5 * 3_600_000; ms += 1_000) samples = history.add(ms, [ms]);
    expect(samples.length).toBeGreaterThan(360);
    expect(samples.length).toBeLessThanOrEqual(720);
    expect(samples[0]?.atMs).toBe(1_000);
    expect(samples.at(-1)!.atMs).toBeGreaterThan(5 * 3_600_000 - 41_000);
  });

  it("begins at an earlier time again if the log does", () => {
    const history = new LongHistory();
    for (const ms of [10_000, 20_000, 30_000]) history.add(ms, [ms]);
    expect(history.add(15_000, [1]).map(({ atMs }) => atMs)).toEqual([10_000, 15_000]);
  });
});
