// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { Teller } from "../../src/app/teller";
import type { RideStory, Why } from "../../src/city/why";
import type { RideRecord } from "../../src/stream";

const row = (changes: Partial<RideRecord> = {}) =>
  ({ id: "r-1", driver: 7, attempt: 1, state: 2, ...changes }) as RideRecord;
const story = (attempt: number, why: object | null = {}, fare_cents: number | null = null): RideStory => ({
  attempt,
  state: "",
  why: why as Why | null,
  fare_cents,
});

/** A gateway that gives these answers, one after the other, and then nothing. */
function gateway(...answers: (RideStory | null)[]) {
  const told: RideStory[] = [];
  const seen = { asked: 0, told };
  const teller = new Teller(
    async () => {
      seen.asked++;
      return answers.shift() ?? null;
    },
    (_, one) => told.push(one),
    async () => {},
  );
  return { teller, seen };
}

describe("what a ride's row leaves out", () => {
  it("is asked for once for each driver, and once at the end", async () => {
    const { teller, seen } = gateway(story(1), story(2), story(2, {}, 900));
    await teller.follow(row({ driver: 0, attempt: 0, state: 1 }));
    expect(seen.asked).toBe(0);
    for (const state of [2, 3, 4]) await teller.follow(row({ state }));
    expect(seen.asked).toBe(1);
    await teller.follow(row({ driver: 9, attempt: 2, state: 3 }));
    await teller.follow(row({ driver: 9, attempt: 2, state: 6 }));
    expect(seen.told.map(({ attempt, fare_cents }) => [attempt, fare_cents])).toEqual([
      [1, null],
      [2, null],
      [2, 900],
    ]);
  });

  it("is asked for again where a gateway is dead, behind, or knows nothing yet", async () => {
    const { teller, seen } = gateway(null, story(0), story(1, null), story(1));
    await teller.follow(row());
    expect(seen.asked).toBe(4);
    expect(seen.told.at(-1)?.why).toEqual({});
  });

  it("is given up after some tries", async () => {
    const { teller, seen } = gateway();
    await teller.follow(row());
    await teller.follow(row({ state: 3 }));
    expect(seen.asked).toBe(5);
  });

  it("is of no interest once another driver comes or the panel is closed", async () => {
    for (const next of [row({ driver: 9, attempt: 2 }), null]) {
      const { teller, seen } = gateway(story(1), story(2));
      const first = teller.follow(row());
      await Promise.all([first, teller.follow(next)]);
      expect(seen.told.map(({ attempt }) => attempt)).toEqual(next ? [2] : []);
    }
  });
});
