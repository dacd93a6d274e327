// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import {
  type Explanation,
  etaError,
  explanationNow,
  market,
  numbered,
  promised,
  type RideStep,
  reasons,
} from "../../src/city/explanation";
import { type Known, past } from "../../src/panels/timeline";
import { REAL_TIME, type RideRecord } from "../../src/stream";

const candidates = (...list: [driver: number, etaS: number, cost: number][]) =>
  list.map(([driver, eta_s, cost]) => ({ driver, eta_s, cost }));
const OFFER: Explanation = {
  type: "RideOffered",
  batch: 18043,
  at_ms: 5_000,
  driver: 7,
  attempt: 1,
  eta_s: 95,
  candidates: candidates([7, 95, 90], [8, 137, 125]),
  runner_up: 8,
  market_rides: 3,
  market_drivers: 1040,
};
const ORDER: Explanation = {
  type: "RideReassigned",
  batch: 18050,
  at_ms: 9_000,
  driver: 9,
  attempt: 2,
  eta_s: 60,
  from_driver: 7,
  saves_s: 35,
};

describe("why a taxi comes", () => {
  it("says how far it is and who the runner-up was", () => {
    expect(reasons(OFFER)).toEqual(["1:35 away when chosen.", "The next choice, t-0008, was 42 s further."]);
    const nearer = { ...OFFER, candidates: candidates([8, 50, 60], [7, 95, 90]) };
    expect(reasons(nearer)[1]).toBe("t-0008 was 45 s nearer, but wanted elsewhere.");
    const even = { ...OFFER, candidates: candidates([7, 95, 90], [8, 95, 90]) };
    expect(reasons(even)[1]).toBe("The next choice, t-0008, was as far.");
    expect(reasons({ ...OFFER, candidates: [], runner_up: null })[1]).toBe("No other taxi was considered.");
  });

  it("says in which batch, of how many riders and taxis", () => {
    expect(market(OFFER)).toBe("Batch 18,043: 3 riders waiting, 1,040 taxis vacant");
    expect(market({ ...OFFER, market_rides: 1, market_drivers: 1 })).toBe(
      "Batch 18,043: 1 rider waiting, 1 taxi vacant",
    );
    expect(market(ORDER)).toBe("Batch 18,050");
  });

  it("says what an order saves, and of a chain only what all of it saves", () => {
    expect(reasons(ORDER)[0]).toBe("Nearer than t-0007: saves 35 s.");
    expect(reasons({ ...ORDER, moves: 3 })[0]).toBe(
      "3 rides change taxis together: saves 35 s in all. Before: t-0007.",
    );
    expect(reasons({ ...ORDER, moves: 2, saves_s: -20 })[0]).toBe(
      "2 rides change taxis together. Before: t-0007.",
    );
    expect(reasons({ ...ORDER, saves_s: 0 })[0]).toBe("Takes over from t-0007.");
    expect(reasons({ ...ORDER, from_driver: null, moves: 2 })[0]).toBe(
      "t-0009 was on its way to another rider, who gets another taxi.",
    );
  });

  it("holds for the driver and attempt of the row alone", () => {
    const row = { driver: 7, attempt: 1 } as RideRecord;
    expect(explanationNow(row, OFFER)).toBe(OFFER);
    expect(explanationNow({ ...row, attempt: 2 }, OFFER)).toBeNull();
    expect(explanationNow({ ...row, driver: 0 }, OFFER)).toBeNull();
    expect(explanationNow(row, null)).toBeNull();
    expect(explanationNow({ ...row, attempt: 4 }, { ...OFFER, attempt: 65_540 })).not.toBeNull();
  });
});

const step = (type: string, at_ms: number, driver: number, eta_s: number | null = null): RideStep => ({
  type,
  at_ms,
  driver,
  eta_s,
});

describe("candidates", () => {
  it("are numbered with the chosen one first, and keep what was seen of each", () => {
    const why = { ...OFFER, candidates: candidates([8, 50, 60], [7, 95, 90], [9, 99, 120]) };
    const seen = [{ driver: 8, place: [-73.9, 40.7] as const, ride: "r-2" }];
    expect(numbered(why, seen)).toEqual([
      { number: 1, driver: 7, eta_s: 95, cost: 90, role: "chosen", place: null, ride: null },
      { number: 2, driver: 8, eta_s: 50, cost: 60, role: "runner-up", place: [-73.9, 40.7], ride: "r-2" },
      { number: 3, driver: 9, eta_s: 99, cost: 120, role: "", place: null, ride: null },
    ]);
    expect(numbered(ORDER, [])).toEqual([]);
  });
});

describe("a promised time", () => {
  it("is that of the last assignment or order", () => {
    const steps = [step("RideOffered", 1, 7, 90), step("RideAssigned", 2, 7, 88), step("RideReleased", 3, 7)];
    expect(promised(steps)?.eta_s).toBe(88);
    expect(promised([...steps, step("RideReassigned", 4, 9, 60)])).toMatchObject({ driver: 9, eta_s: 60 });
    expect(promised(steps.slice(0, 1))).toBeNull();
  });

  it.each([
    [170_000, 182_300, "12 s late, 7 %"],
    [170_000, 167_000, "3 s early, 2 %"],
    [170_000, 170_300, "on time"],
    [170_000, 400_000, "3:50 late, 135 %"],
    [0, 5_000, "5 s late"],
  ])("of %i ms that became %i ms was %s", (said, became, words) => {
    expect(etaError(said, became)).toBe(words);
  });
});

describe("the steps of a ride", () => {
  const row = {
    driver: 7,
    attempt: 1,
    state: 3,
    requested: 1,
    assigned: 6,
    arrived: 0,
    started: 0,
    ended: 0,
  };
  const stepsOf = (changes: object, why: Explanation | null, fareCents: number | null = null) =>
    pastOf(changes, { why, fareCents, steps: [] });
  const pastOf = (changes: object, known: Omit<Known, "own">) =>
    past({ ...row, ...changes } as RideRecord, { own: true, ...known }, (low) => low * 1000, REAL_TIME).map(
      ({ text, atMs }) => [text, atMs],
    );

  it("call accepted only what was offered", () => {
    expect(stepsOf({}, OFFER)[1]).toEqual(["Accepted, on its way", 6_000]);
    expect(stepsOf({}, null)[1]).toEqual(["On its way", 6_000]);
    expect(stepsOf({ state: 2, assigned: 0 }, OFFER)[1]).toEqual(["Offered to t-0007", 5_000]);
    expect(stepsOf({ state: 2, assigned: 0 }, null)[1]).toEqual(["Offered to t-0007", null]);
  });

  it("tell of the taxi that took over", () => {
    expect(stepsOf({}, ORDER).slice(1)).toEqual([
      ["On its way", 6_000],
      ["t-0009 takes over", 9_000],
    ]);
    expect(stepsOf({}, { ...ORDER, from_driver: null })).toHaveLength(2);
  });

  it("are the offers and orders that a gateway has read, whatever became of them", () => {
    const steps = [
      step("RideOffered", 1_500, 8, 120),
      step("OfferDeclined", 4_900, 8),
      step("RideOffered", 5_000, 5, 130),
      step("OfferExpired", 5_500, 5),
      step("RideOffered", 5_600, 7, 95),
      step("RideAssigned", 6_000, 7, 93),
    ];
    expect(pastOf({}, { why: OFFER, fareCents: null, steps })).toEqual([
      ["Requested", 1_000],
      ["Offered to t-0008", 1_500],
      ["Declined by t-0008 after 3.4 s", 4_900],
      ["Offered to t-0005", 5_000],
      ["No answer from t-0005", 5_500],
      ["Offered to t-0007", 5_600],
      ["Accepted by t-0007 after 0.40 s", 6_000],
    ]);
    const behind = pastOf({}, { why: OFFER, fareCents: null, steps: steps.slice(0, 5) });
    expect(behind.at(-1)).toEqual(["Accepted, on its way", 6_000]);
  });

  it("end with the fare, where it is known", () => {
    const ended = { state: 6, arrived: 7, started: 8, ended: 9 };
    expect(stepsOf(ended, OFFER, 1240).at(-1)).toEqual(["Completed · $12.40", 9_000]);
    expect(stepsOf(ended, OFFER).at(-1)).toEqual(["Completed", 9_000]);
  });
});
