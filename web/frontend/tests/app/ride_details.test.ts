// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { RideDetailsFetcher } from "../../src/app/ride_details";
import type { Explanation, RideDetails } from "../../src/city/explanation";
import type { RideRecord } from "../../src/stream";

const row = (changes: Partial<RideRecord> = {}) =>
  ({ id: "r-1", driver: 7, attempt: 1, state: 2, ...changes }) as RideRecord;
const details = (
  attempt: number,
  why: object | null = {},
  fare_cents: number | null = null,
): RideDetails => ({
  attempt,
  state: "",
  why: why as Explanation | null,
  fare_cents,
});

/** A gateway that gives these answers, one after the other, and then nothing. */
function gateway(...answers: (RideDetails | null)[]) {
  const received: RideDetails[] = [];
  const seen = { asked: 0, received };
  const fetcher = new RideDetailsFetcher(
    async () => {
      seen.asked++;
      return answers.shift() ?? null;
    },
    (_, one) => received.push(one),
    async () => {},
  );
  return { fetcher, seen };
}

describe("what a ride's row leaves out", () => {
  it("is asked for once for each driver, and once at the end", async () => {
    const { fetcher, seen } = gateway(details(1), details(2), details(2, {}, 900));
    await fetcher.follow(row({ driver: 0, attempt: 0, state: 1 }));
    expect(seen.asked).toBe(0);
    for (const state of [2, 3, 4]) await fetcher.follow(row({ state }));
    expect(seen.asked).toBe(1);
    await fetcher.follow(row({ driver: 9, attempt: 2, state: 3 }));
    await fetcher.follow(row({ driver: 9, attempt: 2, state: 6 }));
    expect(seen.received.map(({ attempt, fare_cents }) => [attempt, fare_cents])).toEqual([
      [1, null],
      [2, null],
      [2, 900],
    ]);
  });

  it("is asked for again where a gateway is dead, behind, or knows nothing yet", async () => {
    const { fetcher, seen } = gateway(null, details(0), details(1, null), details(1));
    await fetcher.follow(row());
    expect(seen.asked).toBe(4);
    expect(seen.received.at(-1)?.why).toEqual({});
  });

  it("is given up after some tries", async () => {
    const { fetcher, seen } = gateway();
    await fetcher.follow(row());
    await fetcher.follow(row({ state: 3 }));
    expect(seen.asked).toBe(5);
  });

  it("is of no interest once another driver comes or the panel is closed", async () => {
    for (const next of [row({ driver: 9, attempt: 2 }), null]) {
      const { fetcher, seen } = gateway(details(1), details(2));
      const first = fetcher.follow(row());
      await Promise.all([first, fetcher.follow(next)]);
      expect(seen.received.map(({ attempt }) => attempt)).toEqual(next ? [2] : []);
    }
  });
});
