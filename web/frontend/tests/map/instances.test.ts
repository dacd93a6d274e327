// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { FLOATS, Instances } from "../../src/map/instances";
import { Motion } from "../../src/map/motion";
import { KIND_RIDER, KIND_SELECTED } from "../../src/map/shaders";

const EVERYWHERE = { left: -1, right: 1, top: -1, bottom: 1 };
const ALL = 0x7f;

function fleet(statuses: number[]): Motion {
  const motion = new Motion(-73.98, 40.75);
  statuses.forEach((status, i) => {
    motion.take(i + 1, { lng: -73.98 + i / 1e3, lat: 40.75, atMs: 0, heading: 0, moving: false, status }, 0);
  });
  return motion;
}

describe("what is sent to the card", () => {
  it("is in drawing order: off shift, vacant, on trip, to pickup, riders, on top the selection, ring and taxi", () => {
    const instances = new Instances();
    instances.fill(fleet([3, 5, 1, 0, 2, 4, 6, 5]), [{ id: "r-1", x: 0, y: 0 }], 3, 0, ALL, EVERYWHERE);
    expect(instances.ranges.map(({ kind, n }) => [kind, n])).toEqual([
      [0, 1],
      [1, 1],
      [2, 1],
      [5, 2],
      [3, 1],
      [4, 1],
      [6, 1],
      [KIND_RIDER, 1],
      [KIND_SELECTED, 1],
      [1, 1],
    ]);
  });

  it("leaves out what the filter hides and what can't be seen", () => {
    const instances = new Instances();
    const motion = fleet([1, 1, 5]);
    instances.fill(motion, [], null, 0, 1 << 5, EVERYWHERE);
    expect(instances.n).toBe(1);
    instances.fill(motion, [], null, 0, ALL, { ...EVERYWHERE, right: 0.5e-3 / 360 });
    expect(instances.n).toBe(1);
  });

  it("counts times from the upload, so that 32 bits hold them", () => {
    const motion = new Motion(-73.98, 40.75);
    const row = { lng: -73.98, lat: 40.75, heading: 0, moving: true, status: 5 };
    const now = 1_790_000_000_000;
    motion.take(1, { ...row, atMs: now }, now - 1_000);
    motion.take(1, { ...row, lng: -73.9801, atMs: now + 1_000 }, now - 50);
    const instances = new Instances();
    instances.fill(motion, [], null, now - 50, ALL, EVERYWHERE);
    expect([...instances.data.slice(4, 6)]).toEqual([0, 1_050]);
  });

  it("dims all but the selected taxi, and grows as needed", () => {
    const instances = new Instances();
    instances.fill(fleet(Array(6_000).fill(1)), [], 2, 0, ALL, EVERYWHERE);
    const dimmed = Array.from({ length: 6_000 }, (_, i) => instances.data[i * FLOATS + 10]);
    expect(dimmed.filter((value) => value === 0)).toHaveLength(1);
    expect(instances.n).toBe(6_002);
  });
});
