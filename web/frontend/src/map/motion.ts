// SPDX-License-Identifier: Apache-2.0
/**
 * Where each taxi is drawn between its positions. Deterministic arithmetic on columns; the graphics card does the same
 * with the constants of this file (`shaders.ts`), and a test compares the two.
 *
 * The map is drawn `DELAY_MS` late, so that the next position is there before the last one is reached: each taxi
 * runs in a straight line from where it is drawn to its newest position, to be there at that position's device time.
 */

import { mercatorX, mercatorY, metresPerWorld } from "./mercator";

export const DELAY_MS = 1_100;
/** A late or corrected fix is reached smoothly. */
const EASE_MS = 300;
/** What is put somewhere else fades in there. */
export const FADE_MS = 400;

/** How taxis may be drawn to move, in a city that lives `speed` times as fast as the clock. */
export function bounds(speed: number): { readonly mps: number; readonly straightM: number } {
  return {
    /** No taxi drives faster, so none is drawn faster: it comes late instead. */
    mps: 25 * speed,
    /** A straight line that is longer leads through blocks: the taxi is put at its end. */
    straightM: 60 * speed,
  };
}
/** Without a new position a moving taxi rolls on and slows down: it stops after `COAST_STEPS` of these. */
export const COAST_MS = 1_000;
export const COAST_STEPS = 2;
/** Points kept of the way behind, about a second apart. */
export const TRAIL = 6;
const FIRST_CAPACITY = 1024;

export interface Fix {
  readonly lng: number;
  readonly lat: number;
  /** Device time, epoch milliseconds. */
  readonly atMs: number;
  /** Turns clockwise from north. */
  readonly heading: number;
  readonly moving: boolean;
  readonly status: number;
}

/** World coordinates (Web Mercator, 0 … 1) relative to an origin in the city, so that 32 bits are enough. */
export class Motion {
  n = 0;
  readonly originX: number;
  readonly originY: number;
  readonly slots = new Map<number, number>();
  id = new Uint32Array(FIRST_CAPACITY);
  status = new Uint8Array(FIRST_CAPACITY);
  moving = new Uint8Array(FIRST_CAPACITY);
  fromX = new Float64Array(FIRST_CAPACITY);
  fromY = new Float64Array(FIRST_CAPACITY);
  toX = new Float64Array(FIRST_CAPACITY);
  toY = new Float64Array(FIRST_CAPACITY);
  fromMs = new Float64Array(FIRST_CAPACITY);
  toMs = new Float64Array(FIRST_CAPACITY);
  fixMs = new Float64Array(FIRST_CAPACITY);
  fromTurn = new Float64Array(FIRST_CAPACITY);
  toTurn = new Float64Array(FIRST_CAPACITY);
  /** x, y of the last `TRAIL` turning points, newest first. */
  trail = new Float64Array(FIRST_CAPACITY * TRAIL * 2);
  /** When it was put where it is, in display time: it fades in from there. */
  placedMs = new Float64Array(FIRST_CAPACITY);
  /** Seconds that people live through in one of the clock. */
  speed = 1;
  private readonly worldM: number;

  constructor(lng: number, lat: number) {
    this.originX = mercatorX(lng);
    this.originY = mercatorY(lat);
    this.worldM = metresPerWorld(lat);
  }

  /** Take a driver's row: steer to its fix if that is a new one. `showMs` is the time now on display. */
  take(driver: number, fix: Fix, showMs: number): void {
    const known = this.slots.get(driver);
    const slot = known ?? this.add(driver);
    this.status[slot] = fix.status;
    if (known === undefined) this.place(slot, fix, showMs);
    else if (fix.atMs !== this.fixMs[slot]) this.steer(slot, fix, showMs);
  }

  remove(driver: number): void {
    const slot = this.slots.get(driver);
    if (slot === undefined) return;
    const last = --this.n;
    this.slots.delete(driver);
    if (slot === last) return;
    for (const column of this.columns()) column[slot] = column[last]!;
    this.trail.copyWithin(slot * TRAIL * 2, last * TRAIL * 2, (last + 1) * TRAIL * 2);
    this.slots.set(this.id[slot]!, slot);
  }

  /** Keep only these drivers: what an image brings. */
  retain(drivers: { has(driver: number): boolean }): void {
    for (const driver of [...this.slots.keys()]) if (!drivers.has(driver)) this.remove(driver);
  }

  /** How far along its line a taxi is, 0 at the start, past 1 while it coasts. */
  progress(slot: number, showMs: number): number {
    const from = this.fromMs[slot]!;
    const to = this.toMs[slot]!;
    if (to <= from) return 1;
    if (showMs <= to) return Math.max(0, (showMs - from) / (to - from));
    if (!this.moving[slot]) return 1;
    const late = Math.min((showMs - to) / COAST_MS, COAST_STEPS);
    return 1 + ((late - (late * late) / (2 * COAST_STEPS)) * COAST_MS) / (to - from);
  }

  /** World coordinates now on display. */
  at(slot: number, showMs: number): [x: number, y: number] {
    const u = this.progress(slot, showMs);
    const x = this.fromX[slot]! + (this.toX[slot]! - this.fromX[slot]!) * u;
    const y = this.fromY[slot]! + (this.toY[slot]! - this.fromY[slot]!) * u;
    return [x + this.originX, y + this.originY];
  }

  /** 0 … 1: what was just put somewhere is not there at once. */
  opacity(slot: number, showMs: number): number {
    return Math.max(0, Math.min(1, (showMs - this.placedMs[slot]!) / FADE_MS));
  }

  private place(slot: number, fix: Fix, showMs: number): void {
    this.placedMs[slot] = showMs;
    const x = mercatorX(fix.lng) - this.originX;
    const y = mercatorY(fix.lat) - this.originY;
    this.fromX[slot] = this.toX[slot] = x;
    this.fromY[slot] = this.toY[slot] = y;
    this.fromMs[slot] = this.toMs[slot] = this.fixMs[slot] = fix.atMs;
    this.fromTurn[slot] = this.toTurn[slot] = fix.heading;
    this.moving[slot] = 0;
    for (let i = 0; i < TRAIL; i++) this.trail.set([x, y], (slot * TRAIL + i) * 2);
  }

  private steer(slot: number, fix: Fix, showMs: number): void {
    const [worldX, worldY] = this.at(slot, showMs);
    const x = worldX - this.originX;
    const y = worldY - this.originY;
    const toX = mercatorX(fix.lng) - this.originX;
    const toY = mercatorY(fix.lat) - this.originY;
    const { mps, straightM } = bounds(this.speed);
    const metres = Math.hypot(toX - x, toY - y) * this.worldM;
    const soonestMs = showMs + Math.max(EASE_MS, (metres / mps) * 1_000);
    if (metres > straightM) {
      this.place(slot, fix, showMs);
      return;
    }
    this.remember(slot, x, y);
    const turned = this.turn(slot, showMs);
    this.fromX[slot] = x;
    this.fromY[slot] = y;
    this.toX[slot] = toX;
    this.toY[slot] = toY;
    this.fromMs[slot] = showMs;
    this.toMs[slot] = Math.max(fix.atMs, soonestMs);
    this.fixMs[slot] = fix.atMs;
    this.fromTurn[slot] = turned;
    // The short way round: never more than half a turn.
    this.toTurn[slot] = turned + ((((fix.heading - turned) % 1) + 1.5) % 1) - 0.5;
    this.moving[slot] = fix.moving ? 1 : 0;
  }

  private turn(slot: number, showMs: number): number {
    const u = Math.min(this.progress(slot, showMs), 1);
    return (this.fromTurn[slot]! + (this.toTurn[slot]! - this.fromTurn[slot]!) * u) % 1;
  }

  private remember(slot: number, x: number, y: number): void {
    const start = slot * TRAIL * 2;
    this.trail.copyWithin(start + 2, start, start + TRAIL * 2 - 2);
    this.trail[start] = x;
    this.trail[start + 1] = y;
  }

  private add(driver: number): number {
    if (this.n === this.id.length) this.grow();
    const slot = this.n++;
    this.id[slot] = driver;
    this.slots.set(driver, slot);
    return slot;
  }

  private columns() {
    const places = [this.fromX, this.fromY, this.toX, this.toY];
    const times = [this.fromMs, this.toMs, this.fixMs, this.placedMs, this.fromTurn, this.toTurn];
    return [this.id, this.status, this.moving, ...places, ...times];
  }

  private grow(): void {
    const wide = (old: Float64Array) => {
      const column = new Float64Array(old.length * 2);
      column.set(old);
      return column;
    };
    const id = new Uint32Array(this.id.length * 2);
    const status = new Uint8Array(this.id.length * 2);
    const moving = new Uint8Array(this.id.length * 2);
    id.set(this.id);
    status.set(this.status);
    moving.set(this.moving);
    this.id = id;
    this.status = status;
    this.moving = moving;
    this.fromX = wide(this.fromX);
    this.fromY = wide(this.fromY);
    this.toX = wide(this.toX);
    this.toY = wide(this.toY);
    this.fromMs = wide(this.fromMs);
    this.toMs = wide(this.toMs);
    this.fixMs = wide(this.fixMs);
    this.placedMs = wide(this.placedMs);
    this.fromTurn = wide(this.fromTurn);
    this.toTurn = wide(this.toTurn);
    this.trail = wide(this.trail);
  }
}
