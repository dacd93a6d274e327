// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { tourStep } from "../../src/app/tour";

const first = { openForMs: 0, canKill: true, killed: false, asking: false };

describe("the tour", () => {
  it("lets one watch first, then kill, then ask", () => {
    expect(tourStep(first)).toBe("watch");
    expect(tourStep({ ...first, openForMs: 20_000 })).toBe("kill");
    expect(tourStep({ ...first, openForMs: 20_000, killed: true })).toBe("ask");
  });

  it("has no step for a kill where nothing can be killed", () => {
    expect(tourStep({ ...first, openForMs: 20_000, canKill: false })).toBe("ask");
  });

  it("goes with the page that is ahead of it", () => {
    expect(tourStep({ ...first, asking: true })).toBe("ask");
  });
});
