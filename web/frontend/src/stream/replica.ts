// SPDX-License-Identifier: Apache-2.0
/** The rows that a client holds, and the one way they change: an update is applied whole, then checked. */

import type { DriverColumns, MovedColumns, StatusColumns } from "./blocks.ts";
import { REAL_TIME } from "./city_time.ts";
import { type Cursor, crc32 } from "./cursor.ts";
import { DecodeError, goneDrivers, type RideRecord, type Update } from "./decode.ts";
import { addDriver, type Lanes, rideLanes } from "./hash.ts";
import { NO_SCENARIOS } from "./scenarios.ts";

export const STATUSES = 7;
const FIRST_CAPACITY = 1024;

export interface HeldRide extends RideRecord {
  readonly lanes: Lanes;
}

/**
 * What came of an update. `gap`: it does not begin at the cursor. `epoch`: it is of another epoch. Neither was applied.
 * `mismatch`: it was applied, and counts or hash differ from those in it.
 */
export type Outcome =
  | { readonly kind: "applied" }
  | { readonly kind: "gap" }
  | { readonly kind: "epoch" }
  | { readonly kind: "mismatch"; readonly own: Lanes; readonly drivers: number; readonly rides: number };

/** Driver rows as columns, dense: a row that goes is replaced by the last one. */
export class DriverRows {
  n = 0;
  id = new Uint32Array(FIRST_CAPACITY);
  lngE5 = new Int32Array(FIRST_CAPACITY);
  latE5 = new Int32Array(FIRST_CAPACITY);
  at = new Uint32Array(FIRST_CAPACITY);
  heading = new Uint8Array(FIRST_CAPACITY);
  speed = new Uint8Array(FIRST_CAPACITY);
  status = new Uint8Array(FIRST_CAPACITY);
  readonly slots = new Map<number, number>();

  /** The slot of a driver, made if it is new. */
  slot(id: number): number {
    const known = this.slots.get(id);
    if (known !== undefined) return known;
    if (this.n === this.id.length) this.grow();
    const slot = this.n++;
    this.id[slot] = id;
    this.slots.set(id, slot);
    return slot;
  }

  remove(slot: number): void {
    const last = --this.n;
    this.slots.delete(this.id[slot]!);
    if (slot === last) return;
    for (const column of this.columns()) column[slot] = column[last]!;
    this.slots.set(this.id[slot]!, slot);
  }

  clear(): void {
    this.n = 0;
    this.slots.clear();
  }

  private columns() {
    return [this.id, this.lngE5, this.latE5, this.at, this.heading, this.speed, this.status];
  }

  private grow(): void {
    const size = this.id.length * 2;
    const wider = <T extends Uint32Array | Int32Array | Uint8Array>(old: T, wide: T): T => {
      wide.set(old);
      return wide;
    };
    this.id = wider(this.id, new Uint32Array(size));
    this.lngE5 = wider(this.lngE5, new Int32Array(size));
    this.latE5 = wider(this.latE5, new Int32Array(size));
    this.at = wider(this.at, new Uint32Array(size));
    this.heading = wider(this.heading, new Uint8Array(size));
    this.speed = wider(this.speed, new Uint8Array(size));
    this.status = wider(this.status, new Uint8Array(size));
  }
}

/**
 * A client's copy of the rows. Deterministic: the same updates always give the same rows. After `applied` the rows are
 * those at `cursor`, and `hash` is the one that the gateway sent.
 */
export class Replica {
  readonly drivers = new DriverRows();
  readonly rides = new Map<string, HeldRide>();
  readonly hash: Lanes = { a: 0, b: 0 };
  /** Drivers by status, kept as rows come and go. */
  readonly counts = new Uint32Array(STATUSES);
  cursor: Cursor | null = null;
  cutMs = 0;
  /** How log time becomes the time that people live by, as of the cursor. */
  cityTime = REAL_TIME;
  /** The scenarios under way as of the cursor, the oldest first. */
  scenarios = NO_SCENARIOS;

  /** Apply an update of `epoch` whole, then compare counts and hash with those in it. */
  apply(update: Update, epoch: string): Outcome {
    if (update.epochCheck !== crc32(epoch)) return { kind: "epoch" };
    if (update.image) this.forget();
    else if (!this.beginsAtCursor(update, epoch)) return { kind: "gap" };
    this.removeRows(update);
    for (const { set, status, moved } of update.drivers) {
      this.setDrivers(set);
      this.setStatuses(status);
      this.moveDrivers(moved);
    }
    this.setRides(update);
    this.cursor = { epoch, loc: update.loc, ev: update.ev };
    this.cutMs = update.cutMs;
    return this.verdict(update);
  }

  /** `fullMs` at this replica's cut time. */
  fullMs(low: number): number {
    return fullMs(low, this.cutMs);
  }

  private beginsAtCursor(update: Update, epoch: string): boolean {
    const at = this.cursor;
    return at !== null && at.epoch === epoch && at.loc === update.previousLoc && at.ev === update.previousEv;
  }

  private verdict(update: Update): Outcome {
    const { a, b } = this.hash;
    const drivers = this.drivers.n;
    const rides = this.rides.size;
    const same = a >>> 0 === update.hashA && b >>> 0 === update.hashB;
    if (same && drivers === update.driversHeld && rides === update.ridesHeld) return { kind: "applied" };
    return { kind: "mismatch", own: { a, b }, drivers, rides };
  }

  private forget(): void {
    this.drivers.clear();
    this.rides.clear();
    this.counts.fill(0);
    this.hash.a = this.hash.b = 0;
  }

  private removeRows(update: Update): void {
    for (const id of goneDrivers(update)) {
      const slot = this.drivers.slots.get(id);
      if (slot === undefined) continue;
      this.tally(slot, -1);
      this.drivers.remove(slot);
    }
    for (const id of update.ridesGone) this.removeRide(id);
  }

  private setDrivers(rows: DriverColumns): void {
    for (let i = 0; i < rows.id.length; i++) {
      const id = rows.id[i]!;
      const known = this.drivers.slots.get(id);
      if (known !== undefined) this.tally(known, -1);
      const slot = known ?? this.drivers.slot(id);
      this.drivers.lngE5[slot] = rows.lngE5[i]!;
      this.drivers.latE5[slot] = rows.latE5[i]!;
      this.drivers.at[slot] = rows.at[i]!;
      this.drivers.heading[slot] = rows.heading[i]!;
      this.drivers.speed[slot] = rows.speed[i]!;
      this.drivers.status[slot] = rows.status[i]!;
      this.tally(slot, 1);
    }
  }

  private setStatuses({ id, status }: StatusColumns): void {
    for (let i = 0; i < id.length; i++) {
      const slot = this.held(id[i]!);
      this.tally(slot, -1);
      this.drivers.status[slot] = status[i]!;
      this.tally(slot, 1);
    }
  }

  private moveDrivers(moved: MovedColumns): void {
    const rows = this.drivers;
    for (let i = 0; i < moved.id.length; i++) {
      const slot = this.held(moved.id[i]!);
      this.tally(slot, -1);
      rows.lngE5[slot]! += moved.lngByE5[i]!;
      rows.latE5[slot]! += moved.latByE5[i]!;
      rows.at[slot]! += moved.atBy[i]!;
      rows.heading[slot] = moved.heading[i]!;
      rows.speed[slot] = moved.speed[i]!;
      this.tally(slot, 1);
    }
  }

  private held(id: number): number {
    const slot = this.drivers.slots.get(id);
    if (slot === undefined) throw new DecodeError(`a change of driver ${id}, who is not held`);
    return slot;
  }

  private setRides(update: Update): void {
    for (const record of update.rides) {
      this.removeRide(record.id);
      const lanes = rideLanes(record.words);
      this.rides.set(record.id, { ...record, lanes });
      this.hash.a = (this.hash.a + lanes.a) | 0;
      this.hash.b = (this.hash.b + lanes.b) | 0;
    }
  }

  private removeRide(id: string): void {
    const ride = this.rides.get(id);
    if (ride === undefined) return;
    this.rides.delete(id);
    this.hash.a = (this.hash.a - ride.lanes.a) | 0;
    this.hash.b = (this.hash.b - ride.lanes.b) | 0;
  }

  /** Add a driver row to hash and counts, or take it out of both. */
  private tally(slot: number, sign: 1 | -1): void {
    const rows = this.drivers;
    const status = rows.status[slot]!;
    const s = status | (rows.heading[slot]! << 8) | (rows.speed[slot]! << 16);
    addDriver(this.hash, sign, rows.id[slot]!, rows.lngE5[slot]!, rows.latE5[slot]!, rows.at[slot]!, s);
    if (status < STATUSES) this.counts[status]! += sign;
  }
}

/** Full epoch milliseconds of a time's low 32 bits: the one nearest to cut time. */
export function fullMs(low: number, cutMs: number): number {
  return cutMs + ((low - (cutMs % 2 ** 32)) | 0);
}
