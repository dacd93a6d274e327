// SPDX-License-Identifier: Apache-2.0
/** Which trouble of the map is reported, and that it ends. */

import { describe, expect, it } from "vitest";
import { GONE_MS, MapHealth } from "../../src/map/health";

describe("a map", () => {
  it.each(["ground", "taxis", "names"] as const)(
    "whose %s lost the context is paused until it is back",
    (canvas) => {
      const health = new MapHealth();
      health.lose(canvas, 100);
      expect(health.trouble(200)).toBe("lost");
      health.restore(canvas);
      expect(health.trouble(300)).toBeNull();
    },
  );

  it("is paused until the last of its canvases is back", () => {
    const health = new MapHealth();
    for (const canvas of ["ground", "taxis", "names"] as const) health.lose(canvas, 0);
    health.restore("ground");
    health.restore("names");
    expect(health.trouble(10)).toBe("lost");
    health.restore("taxis");
    expect(health.trouble(10)).toBeNull();
  });

  it("is gone where a context does not come back, counted from its first loss", () => {
    const health = new MapHealth();
    health.lose("ground", 0);
    health.lose("ground", GONE_MS - 1);
    expect(health.trouble(GONE_MS)).toBe("gone");
  });

  it("is misplaced only if that lasts", () => {
    const health = new MapHealth();
    health.noteAlignment(false);
    expect(health.trouble(0)).toBeNull();
    health.noteAlignment(false);
    expect(health.trouble(0)).toBe("misplaced");
    health.noteAlignment(true);
    expect(health.trouble(0)).toBeNull();
  });

  it("says what it could not load until it is there", () => {
    const health = new MapHealth();
    health.load("ground roads", false);
    health.load("names roads", true);
    expect(health.trouble(0)).toBe("unloaded");
    health.load("ground roads", true);
    expect(health.trouble(0)).toBeNull();
  });

  it("tells the gravest of several", () => {
    const health = new MapHealth();
    health.load("ground roads", false);
    health.lose("names", 0);
    expect(health.trouble(1)).toBe("lost");
    health.fail();
    expect(health.trouble(1)).toBe("failed");
  });
});
