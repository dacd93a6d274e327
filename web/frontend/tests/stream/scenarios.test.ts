// SPDX-License-Identifier: Apache-2.0

import { describe, expect, it } from "vitest";
import { DecodeError } from "../../src/stream";
import { scenariosOf } from "../../src/stream/scenarios";

const RAIN = { name: "rain", title: "Rain", since_ms: 5_000, lasts_s: 60, area: null };

describe("scenarios", () => {
  it("are read with their area, and without", () => {
    const stadium = { ...RAIN, name: "stadium", area: [-73.99, 40.75, 300] };
    expect(scenariosOf({ under_way: [RAIN, stadium] })).toEqual([
      { name: "rain", title: "Rain", sinceMs: 5_000, lastsS: 60, area: null },
      { name: "stadium", title: "Rain", sinceMs: 5_000, lastsS: 60, area: [-73.99, 40.75, 300] },
    ]);
  });

  it.each([
    {},
    { under_way: "none" },
    { under_way: [null] },
    { under_way: [{ ...RAIN, name: 1 }] },
    { under_way: [{ ...RAIN, since_ms: "5" }] },
    { under_way: [{ ...RAIN, area: [1, 2] }] },
  ])("that are none are refused: %j", (message) => {
    expect(() => scenariosOf(message)).toThrow(DecodeError);
  });
});
