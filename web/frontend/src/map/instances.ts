// SPDX-License-Identifier: Apache-2.0
/** Writes what the card needs to know of each glyph into one buffer, in the order in which they are drawn. */

import { type Motion, TRAIL } from "./motion";
import { KIND_RIDER, KIND_SELECTED } from "./shaders";

/** Floats of one glyph: from, to, time, turn (two each), kind (four), trail (two a point). */
export const FLOATS = 12 + 2 * TRAIL;
/** What does not fade in was always there. */
const LONG_AGO_MS = -1e6;
/** Off shift below, then vacant, on trip, to pickup, and what needs attention; riders and the selection on top. */
const DRAW_ORDER = [0, 1, 2, 5, 3, 4, 6] as const;

/** A run of glyphs of one kind in the buffer. */
export interface Range {
  readonly kind: number;
  readonly start: number;
  readonly n: number;
}

export interface Rider {
  readonly id: string;
  readonly x: number;
  readonly y: number;
}

/** What can be seen, with a margin: world coordinates from the motion's origin. */
export interface Box {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

export function inside(box: Box, x: number, y: number): boolean {
  return x > box.left && x < box.right && y > box.top && y < box.bottom;
}

export class Instances {
  data = new Float32Array(4096 * FLOATS);
  ranges: readonly Range[] = [];
  n = 0;

  /** Fill for display time `showMs`; times in the buffer count from there. `shown` masks statuses. */
  fill(
    motion: Motion,
    riders: readonly Rider[],
    selected: number | null,
    showMs: number,
    shown: number,
    box: Box,
  ): void {
    this.reserve(motion.n + riders.length + 2);
    const ranges = this.taxis(motion, selected, showMs, shown, box);
    const waiting = this.range(KIND_RIDER, () => {
      for (const { x, y } of riders) if (inside(box, x, y)) this.still(x, y, KIND_RIDER, selected !== null);
    });
    const slot = selected === null ? undefined : motion.slots.get(selected);
    const ring = this.range(KIND_SELECTED, () => {
      if (slot !== undefined) this.taxi(this.n++, motion, slot, KIND_SELECTED, selected, showMs);
    });
    const own = this.range(slot === undefined ? KIND_SELECTED : motion.status[slot]!, () => {
      if (slot !== undefined) this.taxi(this.n++, motion, slot, motion.status[slot]!, selected, showMs);
    });
    this.ranges = [...ranges, waiting, ring, own].filter(({ n }) => n > 0);
  }

  /** Sort by counting: once over all to see how many there are of each status, once to put each in its place. */
  private taxis(motion: Motion, selected: number | null, showMs: number, shown: number, box: Box): Range[] {
    const { status, toX, toY } = motion;
    const counts = new Uint32Array(KIND_RIDER);
    const known = (kind: number) => kind < KIND_RIDER && shown & (1 << kind);
    const seen = (slot: number) => known(status[slot]!) && inside(box, toX[slot]!, toY[slot]!);
    for (let slot = 0; slot < motion.n; slot++) if (seen(slot)) counts[status[slot]!]!++;
    this.n = 0;
    const ranges = DRAW_ORDER.map((kind) => {
      const start = this.n;
      this.n += counts[kind]!;
      return { kind, start, n: counts[kind]! };
    });
    const places = new Uint32Array(KIND_RIDER);
    for (const { kind, start } of ranges) places[kind] = start;
    for (let slot = 0; slot < motion.n; slot++) {
      const kind = status[slot]!;
      if (seen(slot)) this.taxi(places[kind]!++, motion, slot, kind, selected, showMs);
    }
    return ranges;
  }

  private range(kind: number, write: () => void): Range {
    const start = this.n;
    write();
    return { kind, start, n: this.n - start };
  }

  private taxi(
    place: number,
    motion: Motion,
    slot: number,
    kind: number,
    selected: number | null,
    showMs: number,
  ): void {
    const out = this.data;
    let i = place * FLOATS;
    out[i++] = motion.fromX[slot]!;
    out[i++] = motion.fromY[slot]!;
    out[i++] = motion.toX[slot]!;
    out[i++] = motion.toY[slot]!;
    out[i++] = motion.fromMs[slot]! - showMs;
    out[i++] = motion.toMs[slot]! - showMs;
    out[i++] = motion.fromTurn[slot]!;
    out[i++] = motion.toTurn[slot]!;
    out[i++] = kind;
    out[i++] = motion.moving[slot]!;
    out[i++] = selected !== null && motion.id[slot] !== selected ? 1 : 0;
    out[i++] = motion.placedMs[slot]! - showMs;
    for (let k = 0; k < 2 * TRAIL; k++) out[i + k] = motion.trail[slot * 2 * TRAIL + k]!;
  }

  private still(x: number, y: number, kind: number, dimmed: boolean): void {
    const start = this.n++ * FLOATS;
    this.data.fill(0, start, start + FLOATS);
    this.data.set([x, y, x, y], start);
    this.data[start + 8] = kind;
    this.data[start + 10] = dimmed ? 1 : 0;
    this.data[start + 11] = LONG_AGO_MS;
  }

  private reserve(n: number): void {
    if (n * FLOATS > this.data.length) this.data = new Float32Array(n * FLOATS * 2);
  }
}
