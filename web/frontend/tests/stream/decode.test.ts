// SPDX-License-Identifier: Apache-2.0
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { crc32, cursorText } from "../../src/stream/cursor";
import { DecodeError, decodeUpdate } from "../../src/stream/decode";
import { Replica } from "../../src/stream/replica";
import { encodeUpdate } from "./encode";

const ROWS = [
  { id: 3, x: -7_398_123, y: 4_075_321, at: 4_000_000_000, heading: 64, speed: 17, status: 5 },
  { id: 9, x: -7_397_000, y: 4_076_000, at: 12, heading: 255, speed: 255, status: 0 },
];

describe("decodeUpdate", () => {
  it("reads every column, ride and feed event of a cut", () => {
    const feed = [[77, 1_790_000_000_000, "RideOffered", { ride: "r-1", driver: 3, attempt: 1, eta_s: 90 }]];
    const cut = decodeUpdate(
      encodeUpdate({
        from: [5, 6],
        to: [7, 8],
        gone: [4, 5, 6],
        rows: ROWS,
        ridesGone: ["r-0", "web-abc"],
        rides: [{ id: "r-1", state: 2, driver: 3, requested: 99 }],
        feed,
      }),
    );
    const { gone, set } = cut.drivers[0]!;
    expect([...gone]).toEqual([4, 5, 6]);
    expect([...set.id]).toEqual([3, 9]);
    expect([...set.lngE5]).toEqual([-7_398_123, -7_397_000]);
    expect([...set.at]).toEqual([4_000_000_000, 12]);
    expect([...set.speed]).toEqual([17, 255]);
    expect([...set.status]).toEqual([5, 0]);
    expect(cut.ridesGone).toEqual(["r-0", "web-abc"]);
    expect(cut.rides[0]).toMatchObject({
      id: "r-1",
      state: 2,
      driver: 3,
      requested: 99,
      pickup: [-7_398_000, 4_075_000],
    });
    expect(cut.feed).toEqual(feed);
    expect([cut.previousLoc, cut.previousEv, cut.loc, cut.ev]).toEqual([5, 6, 7, 8]);
  });

  it("copies no column of complete rows: each is a view of the message", () => {
    const message = encodeUpdate({ to: [1, 1], rows: ROWS });
    const cut = decodeUpdate(message);
    const { set } = cut.drivers[0]!;
    for (const column of [set.id, set.lngE5, set.status]) {
      expect(column.buffer).toBe(message);
    }
  });

  it("tells an image and a stale cut by their flags", () => {
    expect(decodeUpdate(encodeUpdate({ image: true, to: [1, 1] }))).toMatchObject({
      image: true,
      stale: false,
    });
    expect(decodeUpdate(encodeUpdate({ stale: true, to: [1, 1] }))).toMatchObject({
      image: false,
      stale: true,
    });
  });

  it("refuses a message cut short anywhere, and one that is too long", () => {
    const rides = [{ id: "r-1", state: 1 }];
    const whole = encodeUpdate({ to: [1, 1], rows: ROWS, rides, ridesGone: ["x"], feed: [[1, 2, "T", {}]] });
    for (let length = 0; length < whole.byteLength; length++) {
      expect(() => decodeUpdate(whole.slice(0, length)), `${length} bytes`).toThrow();
    }
    const longer = new ArrayBuffer(whole.byteLength + 4);
    new Uint8Array(longer).set(new Uint8Array(whole));
    expect(() => decodeUpdate(longer)).toThrow(DecodeError);
  });

  it("refuses another version", () => {
    const message = encodeUpdate({ to: [1, 1] });
    new Uint8Array(message)[0] = 2;
    expect(() => decodeUpdate(message)).toThrow(/version 2/);
  });
});

/** A small generator of its own (mulberry32), so that a failure can be named by its seed. */
function chance(seed: number): () => number {
  let a = seed;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const FRAMES = new URL("../../../../tests/golden/frames/", import.meta.url);
const GOLDEN = readdirSync(FRAMES)
  .filter((name) => name.endsWith(".bin"))
  .map((name) => Uint8Array.from(readFileSync(new URL(name, FRAMES))));

/** A golden frame with bytes overwritten, cut off, doubled or put in between. */
function garbled(random: () => number): Uint8Array {
  const below = (n: number) => Math.floor(random() * n);
  let bytes = GOLDEN[below(GOLDEN.length)]!.slice();
  for (let times = 1 + below(4); times > 0; times--) {
    const at = below(bytes.length);
    const kind = below(5);
    if (kind === 0) bytes[at] = below(256);
    else if (kind === 1) bytes.fill(255, at, at + 4);
    else if (kind === 2) bytes = bytes.slice(0, at);
    else if (kind === 3) bytes = Uint8Array.from([...bytes.slice(0, at), ...bytes.slice(at >> 1)]);
    else
      new DataView(bytes.buffer).setUint32(
        Math.min(at & ~3, Math.max(0, bytes.length - 4)),
        1 << below(31),
        true,
      );
    if (bytes.length < 4) break;
  }
  return bytes;
}

describe("bytes that are no cut", () => {
  it("are refused with a DecodeError, soon, whatever they are", () => {
    const slowestMs = { seed: 0, ms: 0 };
    let refused = 0;
    for (let seed = 1; seed <= 4_000; seed++) {
      const bytes = garbled(chance(seed));
      const started = performance.now();
      try {
        decodeUpdate(bytes.buffer as ArrayBuffer);
      } catch (error) {
        expect(error, `seed ${seed}`).toBeInstanceOf(DecodeError);
        refused++;
      }
      const ms = performance.now() - started;
      if (ms > slowestMs.ms) Object.assign(slowestMs, { seed, ms });
    }
    expect(refused).toBeGreaterThan(1_000);
    expect(slowestMs.ms, `seed ${slowestMs.seed}`).toBeLessThan(500);
  });

  it("make no wrong picture that its hash does not give away, whichever bit of an image is flipped", () => {
    let wrong = 0;
    for (const image of GOLDEN.filter((bytes) => bytes[1]! & 1)) {
      const right = rowsOf(image);
      for (let bit = 80 * 8; bit < image.length * 8; bit++) {
        const bytes = image.slice();
        bytes[bit >> 3]! ^= 1 << (bit & 7);
        const rows = rowsOf(bytes);
        if (rows === "mismatch") wrong++;
        else if (rows !== "refused") expect(rows, `bit ${bit}`).toEqual(right);
      }
    }
    expect(wrong).toBeGreaterThan(500);
  });
});

/** All rows that a client holds after an image; or that it refused it, or saw that it is wrong. */
function rowsOf(bytes: Uint8Array): unknown {
  const replica = new Replica();
  try {
    const cut = decodeUpdate(bytes.slice().buffer as ArrayBuffer);
    if (replica.apply({ ...cut, epochCheck: crc32("e") }, "e").kind === "mismatch") return "mismatch";
  } catch (error) {
    if (error instanceof DecodeError) return "refused";
    throw error;
  }
  const { slots, lngE5, latE5, at, heading, speed, status } = replica.drivers;
  const columns = [lngE5, latE5, at, heading, speed, status];
  const drivers = [...slots].map(([id, slot]) => [id, ...columns.map((column) => column[slot])]);
  return { drivers, rides: [...replica.rides.values()].map(({ words }) => [...words]) };
}

describe("a cursor", () => {
  it("is written as the protocol says", () => {
    expect(cursorText({ epoch: "5e", loc: 48210, ev: 901 })).toBe("5e:48210:901");
  });

  it("names its epoch by CRC-32", () => {
    expect(crc32("123456789")).toBe(0xcbf43926);
  });
});
