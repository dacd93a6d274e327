// SPDX-License-Identifier: Apache-2.0
/** From the bytes of a message to an update (docs/protocol.md). Columns of complete rows are views of the message. */

import { type DriverBlock, readBlocks } from "./blocks.ts";
import { HEADER, HEADER_BYTES, IMAGE_FLAG, RIDE, RIDE_BYTES, STALE_FLAG, VERSION } from "./protocol.ts";
import { DecodeError, padding, Reader } from "./reader.ts";

export { DecodeError } from "./reader.ts";

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
  readonly scenario?: string;
  readonly title?: string;
  readonly batch?: number;
  readonly count?: number;
}

/** One decoded binary message: the difference between two cuts, or an image. */
export interface Update {
  readonly image: boolean;
  readonly stale: boolean;
  /** Of the view that was requested, in its first update; else 0. */
  readonly generation: number;
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
  readonly drivers: readonly DriverBlock[];
  readonly ridesGone: readonly string[];
  readonly rides: readonly RideRecord[];
  readonly feed: readonly FeedEvent[];
  readonly bytes: number;
}

/** Throws a DecodeError, and nothing else, for bytes that are no update. */
export function decodeUpdate(buffer: ArrayBuffer): Update {
  try {
    return decode(buffer);
  } catch (error) {
    // A section may end before its own counts do, and a feed be no JSON.
    if (error instanceof RangeError || error instanceof SyntaxError) throw new DecodeError(error.message);
    throw error;
  }
}

function decode(buffer: ArrayBuffer): Update {
  if (buffer.byteLength < HEADER_BYTES) throw new DecodeError(`${buffer.byteLength} bytes are no update`);
  const view = new DataView(buffer);
  if (view.getUint8(HEADER.version) !== VERSION)
    throw new DecodeError(`version ${view.getUint8(HEADER.version)}`);
  const u32 = (at: number) => view.getUint32(at, true);
  const u64 = (at: number) => Number(view.getBigUint64(at, true));
  const flags = view.getUint8(HEADER.flags);
  const [driversBytes, ridesBytes, feedBytes] = [
    u32(HEADER.driversBytes),
    u32(HEADER.ridesBytes),
    u32(HEADER.feedBytes),
  ];
  const total = HEADER_BYTES + driversBytes + ridesBytes + feedBytes;
  if (total !== buffer.byteLength || driversBytes % 4 || ridesBytes % 4)
    throw new DecodeError(`an update of ${total} bytes came with ${buffer.byteLength}`);
  const reader = new Reader(buffer, HEADER_BYTES);
  const drivers = readBlocks(reader, driversBytes);
  const { ridesGone, rides } = readRides(reader.section(ridesBytes));
  const feed = readFeed(reader.section(feedBytes));
  return {
    image: (flags & IMAGE_FLAG) !== 0,
    stale: (flags & STALE_FLAG) !== 0,
    generation: view.getUint16(HEADER.generation, true),
    previousLoc: u64(HEADER.locBefore),
    previousEv: u64(HEADER.evBefore),
    loc: u64(HEADER.loc),
    ev: u64(HEADER.ev),
    cutMs: u64(HEADER.atMs),
    epochCheck: u32(HEADER.epochCheck),
    hashA: u32(HEADER.hashA),
    hashB: u32(HEADER.hashB),
    driversHeld: u32(HEADER.driversHeld),
    ridesHeld: u32(HEADER.ridesHeld),
    drivers,
    ridesGone,
    rides,
    feed,
    bytes: buffer.byteLength,
  };
}

/** Drivers to remove: of all blocks, before anything else is applied. */
export function* goneDrivers(update: Update): Iterable<number> {
  for (const { gone } of update.drivers) yield* gone;
}

/** Drivers with a new or changed row. One may come twice. */
export function* changedDrivers(update: Update): Iterable<number> {
  for (const { set, status, moved } of update.drivers) {
    yield* set.id;
    yield* status.id;
    yield* moved.id;
  }
}

function readRides(section: Uint8Array): { ridesGone: string[]; rides: RideRecord[] } {
  if (section.length === 0) return { ridesGone: [], rides: [] };
  const head = new DataView(section.buffer, section.byteOffset, section.length);
  let at = 8;
  const ridesGone: string[] = [];
  for (let left = head.getUint32(0, true); left > 0; left--) {
    const length = section[at] ?? 0;
    ridesGone.push(ascii(section, at + 1, length));
    at += 1 + length;
  }
  at += padding(at);
  const rides: RideRecord[] = [];
  for (let left = head.getUint32(4, true); left > 0; left--) {
    const ride = readRide(section, at);
    at += ride.words.byteLength;
    rides.push(ride);
  }
  if (at !== section.length) throw new DecodeError("the rides section is longer than its rides");
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
    state: view.getUint8(RIDE.state),
    attempt: view.getUint16(RIDE.attempt, true),
    driver: u32(RIDE.driver),
    pickup: [i32(RIDE.pickupLngE5), i32(RIDE.pickupLatE5)],
    dropoff: [i32(RIDE.dropoffLngE5), i32(RIDE.dropoffLatE5)],
    requested: u32(RIDE.requestedMs),
    assigned: u32(RIDE.assignedMs),
    arrived: u32(RIDE.arrivedMs),
    started: u32(RIDE.startedMs),
    ended: u32(RIDE.endedMs),
    words: new Uint32Array(section.buffer as ArrayBuffer, start, bytes / 4),
  };
}

function readFeed(section: Uint8Array): FeedEvent[] {
  if (section.length === 0) return [];
  const n = new DataView(section.buffer, section.byteOffset, section.length).getUint32(0, true);
  const events: unknown = JSON.parse(new TextDecoder().decode(section.subarray(4)));
  if (!Array.isArray(events) || !events.every(isEvent))
    throw new DecodeError("the feed is no list of events");
  if (events.length !== n) throw new DecodeError(`${events.length} feed events, ${n} announced`);
  return events;
}

function isEvent(event: unknown): event is FeedEvent {
  if (!Array.isArray(event)) return false;
  const [offset, atMs, type, ids] = event;
  return (
    Number.isInteger(offset) && Number.isInteger(atMs) && typeof type === "string" && ids instanceof Object
  );
}

function ascii(bytes: Uint8Array, at: number, length: number): string {
  if (at + length > bytes.length) throw new DecodeError("an id ends early");
  return String.fromCharCode(...bytes.subarray(at, at + length));
}
