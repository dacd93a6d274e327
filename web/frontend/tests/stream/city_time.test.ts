// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { CityTime, cityTimeOf, REAL_TIME } from "../../src/stream/city_time";
import { DecodeError } from "../../src/stream/decode";

const FROM_MS = 1_790_000_000_000;
const lapse = cityTimeOf({
  periods: [
    [FROM_MS, FROM_MS, 10],
    [FROM_MS + 60_000, FROM_MS + 600_000, 1],
  ],
});

describe("city time", () => {
  it("is log time as long as people live in real time", () => {
    expect(REAL_TIME).toMatchObject({ isReal: true, speed: 1 });
    expect(REAL_TIME.at(FROM_MS)).toBe(FROM_MS);
  });

  it("goes on where it is when the speed changes, and stays ahead", () => {
    expect(lapse.speed).toBe(1);
    expect(lapse.isReal).toBe(false);
    expect(lapse.at(FROM_MS - 7)).toBe(FROM_MS - 7);
    expect(lapse.at(FROM_MS + 1_000)).toBe(FROM_MS + 10_000);
    expect(lapse.at(FROM_MS + 60_000)).toBe(FROM_MS + 600_000);
    expect(lapse.at(FROM_MS + 61_000)).toBe(FROM_MS + 601_000);
  });

  it("counts what was lived through across a change", () => {
    expect(lapse.between(FROM_MS - 5_000, FROM_MS + 62_000)).toBe(5_000 + 600_000 + 2_000);
  });

  it("is ahead before the oldest period, too, if those before it are forgotten", () => {
    const later = new CityTime([{ fromMs: FROM_MS, cityMs: FROM_MS + 90_000, speed: 3 }]);
    expect(later.at(FROM_MS - 1_000)).toBe(FROM_MS + 89_000);
  });

  it.each([{}, { periods: "none" }, { periods: [[1, 2]] }, { periods: [[1, 2, "3"]] }])(
    "is refused as %j",
    (message) => {
      expect(() => cityTimeOf(message)).toThrow(DecodeError);
    },
  );
});
