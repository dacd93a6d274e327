// SPDX-License-Identifier: Apache-2.0
/** Reads a cut (docs/protocol.md). Columns are views of the message itself: nothing is copied but rides and feed. */

export const HEADER_BYTES = 96;
const VERSION = 1;
const FLAG_IMAGE = 1;
const FLAG_STALE = 2;
/** Fixed part of a ride record, before its id. */
const RIDE_BYTES = 44;

/** Bytes that are not a cut: a bug on one of the two sides, never a state of the world. */
export class DecodeError extends Error {}

export interface DriverColumns {
  readonly gone: Uint32Array;
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

export interface RideRecord {
  readonly id: string;
  readonly state: number;
  readonly attempt: number;
  /** 0: none yet. */
  readonly driver: number;
  readonly pickup: readonly [number, number];
  readonly dropoff: readonly [number, number];
  /** Low 32 bits of epoch milliseconds, 0: not yet. */
  readonly requested: number;
  readonly assigned: number;
  readonly arrived: number;
  readonly started: number;
  readonly ended: number;
  /** The whole record as the hash reads it. */
  readonly words: Uint32Array;
}

export type FeedEvent = readonly [offset: number, atMs: number, type: string, ids: FeedIds];

export interface FeedIds {
  readonly ride?: string;
  readonly driver?: number;
  readonly attempt?: number;
  readonly eta_s?: number;
  readonly reason?: string;
  readonly batch?: number;
  readonly count?: number;
}

export interface Cut {
  readonly image: boolean;
  readonly stale: boolean;
  readonly previousLoc: number;
  readonly previousEv: number;
  readonly loc: number;
  readonly ev: number;
  readonly cutMs: number;
  readonly epochCheck: number;
  readonly hashA: number;
  readonly hashB: number;
  readonly driversHeld: number;
  readonly ridesHeld: number;
  readonly drivers: DriverColumns;
  readonly ridesGone: readonly string[];
  readonly rides: readonly RideRecord[];
  readonly feed: readonly FeedEvent[];
  readonly bytes: number;
}

export function decodeCut(buffer: ArrayBuffer): Cut {
  if (buffer.byteLength < HEADER_BYTES) throw new DecodeError(`${buffer.byteLength} bytes are no cut`);
  const view = new DataView(buffer);
  if (view.getUint8(0) !== VERSION) throw new DecodeError(`version ${view.getUint8(0)}`);
  const u32 = (at: number) => view.getUint32(at, true);
  const u64 = (at: number) => Number(view.getBigUint64(at, true));
  const flags = view.getUint8(1);
  const reader = new Reader(buffer);
  const drivers = readDrivers(reader, u32(4), u32(8));
  const { ridesGone, rides } = readRides(reader.section(u32(20)), u32(12), u32(16));
  const feed = readFeed(reader.section(u32(28)), u32(24));
  if (reader.at !== buffer.byteLength)
    throw new DecodeError(`${buffer.byteLength - reader.at} bytes left over`);
  return {
    image: (flags & FLAG_IMAGE) !== 0,
    stale: (flags & FLAG_STALE) !== 0,
    previousLoc: u64(32),
    previousEv: u64(40),
    loc: u64(48),
    ev: u64(56),
    cutMs: u64(64),
    epochCheck: u32(72),
    hashA: u32(76),
    hashB: u32(80),
    driversHeld: u32(84),
    ridesHeld: u32(88),
    drivers,
    ridesGone,
    rides,
    feed,
    bytes: buffer.byteLength,
  };
}

/** Hands out the parts of a message in order and refuses to read past its end. */
class Reader {
  at = HEADER_BYTES;

  constructor(readonly buffer: ArrayBuffer) {}

  take<T>(kind: { new (b: ArrayBuffer, at: number, n: number): T; BYTES_PER_ELEMENT: number }, n: number): T {
    const start = this.at;
    this.advance(n * kind.BYTES_PER_ELEMENT);
    return new kind(this.buffer, start, n);
  }

  section(bytes: number): Uint8Array {
    return this.take(Uint8Array, bytes);
  }

  align(): void {
    this.advance(padding(this.at));
  }

  private advance(bytes: number): void {
    this.at += bytes;
    if (this.at > this.buffer.byteLength) throw new DecodeError("the message ends early");
  }
}

function readDrivers(reader: Reader, nGone: number, n: number): DriverColumns {
  const columns = {
    gone: reader.take(Uint32Array, nGone),
    id: reader.take(Uint32Array, n),
    lngE5: reader.take(Int32Array, n),
    latE5: reader.take(Int32Array, n),
    at: reader.take(Uint32Array, n),
    heading: reader.take(Uint8Array, n),
    speed: reader.take(Uint8Array, n),
    status: reader.take(Uint8Array, n),
  };
  reader.align();
  return columns;
}

function readRides(
  section: Uint8Array,
  nGone: number,
  n: number,
): { ridesGone: string[]; rides: RideRecord[] } {
  let at = 0;
  const ridesGone = Array.from({ length: nGone }, () => {
    const length = section[at] ?? 0;
    const id = ascii(section, at + 1, length);
    at += 1 + length;
    return id;
  });
  at += padding(at);
  const rides = Array.from({ length: n }, () => {
    const ride = readRide(section, at);
    at += ride.words.byteLength;
    return ride;
  });
  if (at + padding(at) < section.length) throw new DecodeError("the rides section is longer than its rides");
  return { ridesGone, rides };
}

function readRide(section: Uint8Array, at: number): RideRecord {
  const idLength = section[at] ?? 0;
  const bytes = RIDE_BYTES + idLength + padding(idLength);
  if (idLength === 0 || at + bytes > section.length) throw new DecodeError("a ride record ends early");
  const start = section.byteOffset + at;
  const view = new DataView(section.buffer, start, bytes);
  const i32 = (offset: number) => view.getInt32(offset, true);
  const u32 = (offset: number) => view.getUint32(offset, true);
  return {
    id: ascii(section, at + RIDE_BYTES, idLength),
    state: view.getUint8(1),
    attempt: view.getUint16(2, true),
    driver: u32(4),
    pickup: [i32(8), i32(12)],
    dropoff: [i32(16), i32(20)],
    requested: u32(24),
    assigned: u32(28),
    arrived: u32(32),
    started: u32(36),
    ended: u32(40),
    words: new Uint32Array(section.buffer as ArrayBuffer, start, bytes / 4),
  };
}

function readFeed(section: Uint8Array, n: number): FeedEvent[] {
  if (n === 0) return [];
  const events = JSON.parse(new TextDecoder().decode(section)) as FeedEvent[];
  if (events.length !== n) throw new DecodeError(`${events.length} feed events, ${n} announced`);
  return events;
}

function ascii(bytes: Uint8Array, at: number, length: number): string {
  if (at + length > bytes.length) throw new DecodeError("an id ends early");
  return String.fromCharCode(...bytes.subarray(at, at + length));
}

/** Bytes up to the next multiple of four. */
function padding(at: number): number {
  return -at & 3;
}
