// SPDX-License-Identifier: Apache-2.0
/** The drivers section of an update (docs/protocol.md, "Drivers"). Columns are views of the message; differences are not. */

import { BLOCK_COUNTS, MOVED_AT_LESS_MS } from "./protocol.ts";
import { DecodeError, type Reader } from "./reader.ts";

/** One block, to be applied in this order: drivers to remove, complete rows, changes of rows held. */
export interface DriverBlock {
  readonly gone: Uint32Array;
  readonly set: DriverColumns;
  readonly status: StatusColumns;
  readonly moved: MovedColumns;
}

export interface DriverColumns {
  readonly id: Uint32Array;
  /** Longitude and latitude in 1e-5 degrees. */
  readonly lngE5: Int32Array;
  readonly latE5: Int32Array;
  /** Device time: low 32 bits of epoch milliseconds. */
  readonly at: Uint32Array;
  /** 1/256 turn clockwise from north. */
  readonly heading: Uint8Array;
  /** Half metres a second. */
  readonly speed: Uint8Array;
  readonly status: Uint8Array;
}

export interface StatusColumns {
  readonly id: Uint32Array;
  readonly status: Uint8Array;
}

/** Heading and speed as they are now, the rest as what it differs by. */
export interface MovedColumns {
  readonly id: Uint32Array;
  readonly lngByE5: Int32Array;
  readonly latByE5: Int32Array;
  /** Modulo 2³². */
  readonly atBy: Int32Array;
  readonly heading: Uint8Array;
  readonly speed: Uint8Array;
}

/** Reads `bytes` of drivers section; no bytes are no blocks. */
export function readBlocks(reader: Reader, bytes: number): DriverBlock[] {
  if (bytes === 0) return [];
  const end = reader.at + bytes;
  const count = reader.u32();
  if (count === 0) throw new DecodeError("a drivers section without a block");
  if (count > bytes / (4 * BLOCK_COUNTS)) throw new DecodeError(`${count} blocks in ${bytes} bytes`);
  const blocks = Array.from({ length: count }, () => readBlock(reader));
  if (reader.at !== end) throw new DecodeError(`${end - reader.at} bytes beside the drivers`);
  return blocks;
}

function readBlock(reader: Reader): DriverBlock {
  const [nGone, nSet, nStatus, nMoved, movedBytes] = reader.take(
    Uint32Array,
    BLOCK_COUNTS,
  ) as unknown as Five;
  const gone = reader.take(Uint32Array, nGone);
  const set = readRows(reader, nSet);
  const status = { id: reader.take(Uint32Array, nStatus), status: reader.take(Uint8Array, nStatus) };
  reader.align();
  const end = reader.at + movedBytes;
  const moved = readMoved(reader, nMoved);
  reader.align();
  if (reader.at !== end) throw new DecodeError("the moved part is not as long as it says");
  return { gone, set, status, moved };
}

type Five = [number, number, number, number, number];

function readRows(reader: Reader, n: number): DriverColumns {
  const rows = {
    id: reader.take(Uint32Array, n),
    lngE5: reader.take(Int32Array, n),
    latE5: reader.take(Int32Array, n),
    at: reader.take(Uint32Array, n),
    heading: reader.take(Uint8Array, n),
    speed: reader.take(Uint8Array, n),
    status: reader.take(Uint8Array, n),
  };
  reader.align();
  return rows;
}

function readMoved(reader: Reader, n: number): MovedColumns {
  const heading = reader.take(Uint8Array, n);
  const speed = reader.take(Uint8Array, n);
  const id = new Uint32Array(n);
  for (let i = 0, last = 0; i < n; i++) id[i] = last = (last + reader.varint()) >>> 0;
  const lngByE5 = zigzags(reader, n, 0);
  const latByE5 = zigzags(reader, n, 0);
  return { id, lngByE5, latByE5, atBy: zigzags(reader, n, MOVED_AT_LESS_MS), heading, speed };
}

function zigzags(reader: Reader, n: number, base: number): Int32Array {
  const values = new Int32Array(n);
  for (let i = 0; i < n; i++) {
    const word = reader.varint();
    values[i] = ((word >>> 1) ^ -(word & 1)) + base;
  }
  return values;
}
