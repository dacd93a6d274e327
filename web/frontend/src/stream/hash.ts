// SPDX-License-Identifier: Apache-2.0
/** The state hash (docs/protocol.md, "The hash"): two 32-bit lanes, a sum over rows, so that order never matters. */

/** Two running lanes. Rows are added when they come and taken out when they go. */
export interface Lanes {
  a: number;
  b: number;
}

function fmix(h: number): number {
  h ^= h >>> 16;
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/** Add (`sign` 1) or take out (`sign` −1) a driver row. `s` is status | heading << 8 | speed << 16. */
export function addDriver(
  lanes: Lanes,
  sign: 1 | -1,
  id: number,
  x: number,
  y: number,
  t: number,
  s: number,
): void {
  const k = fmix(Math.imul(id, 0x9e3779b1) + Math.imul(s, 0x27d4eb2f) + Math.imul(t, 0x165667b1) + 1);
  lanes.a = (lanes.a + sign * fmix(Math.imul(x ^ k, 0x85ebca77) + y)) | 0;
  lanes.b = (lanes.b + sign * fmix(Math.imul(y ^ k, 0xc2b2ae3d) + x)) | 0;
}

/** The two lanes of one ride record, over its words, padding included. */
export function rideLanes(words: Uint32Array): Lanes {
  let a = 0x9747b28c | 0;
  let b = 0x5bd1e995 | 0;
  for (const w of words) {
    a = fmix(Math.imul(a ^ w, 0x85ebca77) + 0x165667b1);
    b = fmix(Math.imul(b + w, 0xc2b2ae3d) + 0x27d4eb2f);
  }
  return { a, b };
}

/** For people: two lanes of eight hex digits. */
export function hashText(a: number, b: number): string {
  return [a, b].map((lane) => (lane >>> 0).toString(16).padStart(8, "0")).join(" ");
}
