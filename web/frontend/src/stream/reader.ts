// SPDX-License-Identifier: Apache-2.0

/** Bytes that are no update: a bug of the gateway or of this client. */
export class DecodeError extends Error {}

type Column<T> = { new (buffer: ArrayBuffer, at: number, n: number): T; BYTES_PER_ELEMENT: number };

/** Reads the parts of a message in order, and never past its end. Throws a DecodeError. */
export class Reader {
  readonly buffer: ArrayBuffer;
  at: number;
  private readonly octets: Uint8Array;

  constructor(buffer: ArrayBuffer, at: number) {
    this.buffer = buffer;
    this.at = at;
    this.octets = new Uint8Array(buffer);
  }

  /** A view of the next `n` elements: nothing is copied. */
  take<T>(kind: Column<T>, n: number): T {
    const start = this.at;
    this.advance(n * kind.BYTES_PER_ELEMENT);
    return new kind(this.buffer, start, n);
  }

  section(bytes: number): Uint8Array {
    return this.take(Uint8Array, bytes);
  }

  u32(): number {
    return this.take(Uint32Array, 1)[0]!;
  }

  /** Seven bits a byte, lowest first; at most 32 bits. */
  varint(): number {
    let value = 0;
    for (let bits = 0; bits < 35; bits += 7) {
      if (this.at >= this.octets.length) throw new DecodeError("the message ends early");
      const octet = this.octets[this.at++]!;
      value |= (octet & 127) << bits;
      if (bits === 28 && octet > 15) break;
      if (octet < 128) return value >>> 0;
    }
    throw new DecodeError("a number of more than 32 bits");
  }

  align(): void {
    this.advance(padding(this.at));
  }

  private advance(bytes: number): void {
    this.at += bytes;
    if (this.at > this.buffer.byteLength) throw new DecodeError("the message ends early");
  }
}

/** Bytes up to the next multiple of four. */
export function padding(at: number): number {
  return -at & 3;
}
