// SPDX-License-Identifier: Apache-2.0
/** A cut as a gateway would write it, from docs/protocol.md alone: the other side of `decode.ts`. */

import { crc32 } from "../../src/stream/cursor";
import { addDriver, type Lanes, rideLanes } from "../../src/stream/hash";

export const EPOCH = "5e00c0ffee00beef";
export const CUT_MS = 1_790_000_000_000;

export interface Row {
  id: number;
  x: number;
  y: number;
  at: number;
  heading?: number;
  speed?: number;
  status?: number;
}

export interface RideSpec {
  id: string;
  state: number;
  driver?: number;
  requested?: number;
  arrived?: number;
  started?: number;
  ended?: number;
  /** Degrees times 1e5. */
  pickup?: [number, number];
}

export interface CutSpec {
  image?: boolean;
  stale?: boolean;
  epoch?: string;
  from?: [number, number];
  to: [number, number];
  cutMs?: number;
  gone?: number[];
  rows?: Row[];
  ridesGone?: string[];
  rides?: RideSpec[];
  feed?: unknown[];
  /** What the header says is held afterwards; by default this cut's own rows. */
  held?: { rows: Row[]; rides: RideSpec[] };
  hashOff?: number;
}

export function encodeUpdate(spec: CutSpec): ArrayBuffer {
  const rows = spec.rows ?? [];
  const drivers = driversSection(spec.gone ?? [], rows);
  const rides = ridesSection(spec);
  const feed = feedSection(spec.feed ?? []);
  const header = new DataView(new ArrayBuffer(80));
  const held = spec.held ?? { rows, rides: spec.rides ?? [] };
  const lanes = hashOf(held.rows, held.rides);
  header.setUint8(0, 1);
  header.setUint8(1, (spec.image ? 1 : 0) | (spec.stale ? 2 : 0));
  [drivers.length, rides.length, feed.length].forEach((word, i) => {
    header.setUint32(4 + 4 * i, word, true);
  });
  [...(spec.from ?? [0, 0]), ...spec.to, spec.cutMs ?? CUT_MS].forEach((word, i) => {
    header.setBigUint64(16 + 8 * i, BigInt(word), true);
  });
  const checks = [crc32(spec.epoch ?? EPOCH), lanes.a + (spec.hashOff ?? 0), lanes.b];
  [...checks, held.rows.length, held.rides.length].forEach((word, i) => {
    header.setUint32(56 + 4 * i, word, true);
  });
  return join([new Uint8Array(header.buffer), drivers, rides, feed]).buffer as ArrayBuffer;
}

/** One block of complete rows. */
function driversSection(gone: number[], rows: Row[]): Uint8Array {
  if (gone.length + rows.length === 0) return new Uint8Array();
  const columns = [
    new Uint32Array([1, gone.length, rows.length, 0, 0, 0]),
    new Uint32Array(gone),
    new Uint32Array(rows.map((r) => r.id)),
    new Int32Array(rows.map((r) => r.x)),
    new Int32Array(rows.map((r) => r.y)),
    new Uint32Array(rows.map((r) => r.at)),
    new Uint8Array(rows.map((r) => r.heading ?? 0)),
    new Uint8Array(rows.map((r) => r.speed ?? 0)),
    new Uint8Array(rows.map((r) => r.status ?? 1)),
  ];
  return padded(join(columns.map((column) => new Uint8Array(column.buffer))));
}

function ridesSection(spec: CutSpec): Uint8Array {
  const gone = spec.ridesGone ?? [];
  const rides = spec.rides ?? [];
  if (gone.length + rides.length === 0) return new Uint8Array();
  const counts = new Uint8Array(new Uint32Array([gone.length, rides.length]).buffer);
  const ids = gone.map((id) => new Uint8Array([id.length, ...ascii(id)]));
  return join([counts, padded(join(ids)), ...rides.map(rideRecord)]);
}

function feedSection(events: unknown[]): Uint8Array {
  if (events.length === 0) return new Uint8Array();
  const count = new Uint8Array(new Uint32Array([events.length]).buffer);
  return join([count, new TextEncoder().encode(JSON.stringify(events))]);
}

function rideRecord(ride: RideSpec): Uint8Array {
  const bytes = padded(join([new Uint8Array(44), ascii(ride.id)]));
  const view = new DataView(bytes.buffer);
  view.setUint8(0, ride.id.length);
  view.setUint8(1, ride.state);
  view.setUint16(2, 1, true);
  view.setUint32(4, ride.driver ?? 0, true);
  [...(ride.pickup ?? [-7_398_000, 4_075_000]), -7_396_000, 4_077_000].forEach((word, i) => {
    view.setInt32(8 + 4 * i, word, true);
  });
  [ride.requested, 0, ride.arrived, ride.started, ride.ended].forEach((word, i) => {
    view.setUint32(24 + 4 * i, word ?? 0, true);
  });
  return bytes;
}

function hashOf(rows: Row[], rides: RideSpec[]): Lanes {
  const lanes = { a: 0, b: 0 };
  for (const r of rows) {
    const s = (r.status ?? 1) | ((r.heading ?? 0) << 8) | ((r.speed ?? 0) << 16);
    addDriver(lanes, 1, r.id, r.x, r.y, r.at, s);
  }
  for (const ride of rides) {
    const { a, b } = rideLanes(new Uint32Array(rideRecord(ride).buffer));
    lanes.a = (lanes.a + a) | 0;
    lanes.b = (lanes.b + b) | 0;
  }
  return lanes;
}

function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function padded(bytes: Uint8Array): Uint8Array {
  return join([bytes, new Uint8Array(-bytes.length & 3)]);
}

function join(parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
