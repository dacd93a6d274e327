// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { crc32, cursorText } from "../../src/stream/cursor";
import { DecodeError, decodeCut } from "../../src/stream/decode";
import { encodeCut } from "./encode";

const ROWS = [
  { id: 3, x: -7_398_123, y: 4_075_321, at: 4_000_000_000, heading: 64, speed: 17, status: 5 },
  { id: 9, x: -7_397_000, y: 4_076_000, at: 12, heading: 255, speed: 255, status: 0 },
];

describe("decodeCut", () => {
  it("reads every column, ride and feed event of a cut", () => {
    const feed = [[77, 1_790_000_000_000, "RideOffered", { ride: "r-1", driver: 3, attempt: 1, eta_s: 90 }]];
    const cut = decodeCut(
      encodeCut({
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
    const message = encodeCut({ to: [1, 1], rows: ROWS });
    const cut = decodeCut(message);
    const { set } = cut.drivers[0]!;
    for (const column of [set.id, set.lngE5, set.status]) {
      expect(column.buffer).toBe(message);
    }
  });

  it("tells an image and a stale cut by their flags", () => {
    expect(decodeCut(encodeCut({ image: true, to: [1, 1] }))).toMatchObject({ image: true, stale: false });
    expect(decodeCut(encodeCut({ stale: true, to: [1, 1] }))).toMatchObject({ image: false, stale: true });
  });

  it("refuses a message cut short anywhere, and one that is too long", () => {
    const rides = [{ id: "r-1", state: 1 }];
    const whole = encodeCut({ to: [1, 1], rows: ROWS, rides, ridesGone: ["x"], feed: [[1, 2, "T", {}]] });
    for (let length = 0; length < whole.byteLength; length++) {
      expect(() => decodeCut(whole.slice(0, length)), `${length} bytes`).toThrow();
    }
    const longer = new ArrayBuffer(whole.byteLength + 4);
    new Uint8Array(longer).set(new Uint8Array(whole));
    expect(() => decodeCut(longer)).toThrow(DecodeError);
  });

  it("refuses another version", () => {
    const message = encodeCut({ to: [1, 1] });
    new Uint8Array(message)[0] = 2;
    expect(() => decodeCut(message)).toThrow(/version 2/);
  });
});

describe("a cursor", () => {
  it("is written as the protocol says", () => {
    expect(cursorText({ epoch: "5e", loc: 48210, ev: 901 })).toBe("5e:48210:901");
  });

  it("names its epoch by CRC-32", () => {
    expect(crc32("123456789")).toBe(0xcbf43926);
  });
});
