// SPDX-License-Identifier: Apache-2.0

/** A position in both logs: the next offset of positions to read, and the offset after a closed batch of events. */
export interface Cursor {
  readonly epoch: string;
  readonly loc: number;
  readonly ev: number;
}

export function cursorText(cursor: Cursor): string {
  return `${cursor.epoch}:${cursor.loc}:${cursor.ev}`;
}

/** CRC-32 (ISO 3309) of ASCII text: by it an update names its epoch. */
export function crc32(text: string): number {
  let crc = 0xffffffff;
  for (let i = 0; i < text.length; i++) {
    crc ^= text.charCodeAt(i);
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}
