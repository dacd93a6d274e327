// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { decodeUpdate } from "../../src/stream/decode";
import { Replica } from "../../src/stream/replica";
import { CUT_MS, type CutSpec, EPOCH, encodeUpdate, type RideSpec, type Row } from "./encode";

const row = (id: number, x = -7_398_000, status = 1): Row => ({ id, x, y: 4_075_000, at: id * 7, status });
const ride = (id: string, state = 1): RideSpec => ({ id, state });
const apply = (replica: Replica, spec: CutSpec) => replica.apply(decodeUpdate(encodeUpdate(spec)), EPOCH);

function withImage(rows: Row[], rides: RideSpec[] = []): Replica {
  const replica = new Replica();
  expect(apply(replica, { image: true, to: [10, 5], rows, rides })).toEqual({ kind: "applied" });
  return replica;
}

describe("a picture", () => {
  it("holds what an image says, and checks it", () => {
    const replica = withImage([row(1), row(2, -7_397_000, 5)], [ride("r-1")]);
    expect(replica.drivers.n).toBe(2);
    expect([...replica.counts]).toEqual([0, 1, 0, 0, 0, 1, 0]);
    expect(replica.cursor).toEqual({ epoch: EPOCH, loc: 10, ev: 5 });
  });

  it("adds, moves and removes rows by diffs, and the hash still agrees", () => {
    const replica = withImage([row(1), row(2), row(3)], [ride("r-1"), ride("r-2")]);
    const moved = row(2, -7_390_000, 3);
    const held = { rows: [moved, row(3), row(4)], rides: [ride("r-2", 3)] };
    const diff = { from: [10, 5], to: [12, 6], gone: [1], rows: [moved, row(4)] } as const;
    const spec: CutSpec = { ...diff, from: [10, 5], to: [12, 6], gone: [1], rows: [moved, row(4)], held };
    expect(apply(replica, { ...spec, ridesGone: ["r-1"], rides: [ride("r-2", 3)] })).toEqual({
      kind: "applied",
    });
    expect([...replica.drivers.slots.keys()].sort()).toEqual([2, 3, 4]);
    expect([...replica.counts]).toEqual([0, 2, 0, 1, 0, 0, 0]);
    expect([...replica.rides.keys()]).toEqual(["r-2"]);
  });

  it("grows past its first capacity", () => {
    const rows = Array.from({ length: 3000 }, (_, i) => row(i + 1));
    const replica = withImage(rows);
    expect(replica.drivers.n).toBe(3000);
    const gone = rows.slice(0, 2999).map((r) => r.id);
    const held = { rows: [row(3000)], rides: [] };
    expect(apply(replica, { from: [10, 5], to: [11, 5], gone, held })).toEqual({ kind: "applied" });
    expect([...replica.drivers.slots]).toEqual([[3000, 0]]);
  });

  it("sees a missed cut and leaves its rows alone", () => {
    const replica = withImage([row(1)]);
    expect(apply(replica, { from: [11, 5], to: [12, 5], gone: [1] })).toEqual({ kind: "gap" });
    expect(apply(replica, { from: [10, 4], to: [12, 5], gone: [1] })).toEqual({ kind: "gap" });
    expect(replica.drivers.n).toBe(1);
  });

  it("sees a repeated cut", () => {
    const replica = withImage([row(1)]);
    const spec: CutSpec = { from: [10, 5], to: [12, 5], held: { rows: [row(1)], rides: [] } };
    expect(apply(replica, spec)).toEqual({ kind: "applied" });
    expect(apply(replica, spec)).toEqual({ kind: "gap" });
  });

  it("says so when a single row differs from the gateway's", () => {
    const replica = withImage([row(1)]);
    const held = { rows: [row(1, -7_398_001)], rides: [] };
    expect(apply(replica, { from: [10, 5], to: [11, 5], held })).toMatchObject({
      kind: "mismatch",
      drivers: 1,
    });
  });

  it("says so when a ride's state differs", () => {
    const replica = withImage([], [ride("r-1", 3)]);
    const held = { rows: [], rides: [ride("r-1", 4)] };
    expect(apply(replica, { from: [10, 5], to: [11, 5], held }).kind).toBe("mismatch");
  });

  it("refuses a cut of another epoch", () => {
    expect(apply(withImage([row(1)]), { epoch: "0badc0de", image: true, to: [1, 1] })).toEqual({
      kind: "epoch",
    });
  });

  it("forgets everything when an image comes", () => {
    const replica = withImage([row(1), row(2)], [ride("r-1")]);
    expect(apply(replica, { image: true, to: [90, 9], rows: [row(7)] })).toEqual({ kind: "applied" });
    expect([replica.drivers.n, replica.rides.size]).toEqual([1, 0]);
  });

  it("takes the full time that is nearest to cut time, across the turn of the low 32 bits", () => {
    const replica = withImage([]);
    const low = (ms: number) => ms % 2 ** 32;
    for (const offset of [-2_000_000_000, -1, 0, 1, 59_000, 2_000_000_000]) {
      expect(replica.fullMs(low(CUT_MS + offset))).toBe(CUT_MS + offset);
    }
  });
});
