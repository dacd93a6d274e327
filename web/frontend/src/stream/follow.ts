// SPDX-License-Identifier: Apache-2.0
/** What to say to a gateway and what its messages mean, whatever line they come on. No socket, no timer, no clock. */

import { cursorText } from "./cursor";
import { type Cut, DecodeError, decodeCut } from "./decode";
import type { Grid } from "./grid";
import type { Lanes } from "./hash";
import type { LinkEvent } from "./link";
import { Picture } from "./state";
import { type View, Views } from "./views";

export interface Ready {
  readonly session: string;
  readonly gateway: string;
  readonly mode: "image" | "resume";
  readonly reason?: string;
  readonly epoch: string;
  readonly grid: Grid;
  readonly cut_interval_ms: number;
  readonly beat_interval_ms: number;
}

export interface Hello {
  readonly type: "hello";
  readonly v: 1;
  readonly city: string;
  readonly view?: View;
  readonly cursor?: string;
  readonly token?: string;
}

export interface Mismatch {
  readonly type: "mismatch";
  readonly cursor: string;
  readonly own: readonly [number, number];
  readonly told: readonly [number, number];
}

/** What is told to the application. */
export interface Listener {
  /** A cut was applied, and its hash is that of the picture. */
  cut(cut: Cut, picture: Picture): void;
  /** A cut was applied, and the picture is wrong. It is reported; an image will heal it. */
  differs(cut: Cut, own: Lanes): void;
  /** What is drawn stays, greyed, until the next image. */
  reset(reason: string): void;
  ready(ready: Ready): void;
}

/** What became of a message. `word`: whether the gateway showed by it that it serves this client. */
export interface Heard {
  readonly word: boolean;
  readonly event?: LinkEvent;
  readonly answer?: Mismatch;
}

const NOTHING: Heard = { word: true };
const VERSION = 1;

export class Follower {
  readonly picture = new Picture();
  readonly views: Views;
  private epoch = "";
  /** Only an image may be applied now. */
  private awaitsImage = true;
  /** The rows are no picture of any cursor. */
  private forgotten = true;

  constructor(
    private readonly city: string,
    view: View,
    private readonly listener: Partial<Listener>,
  ) {
    this.views = new Views(view);
  }

  /** Whether the rows are a picture of the log. */
  get trusted(): boolean {
    return !this.forgotten && !this.awaitsImage;
  }

  forget(): void {
    this.forgotten = true;
  }

  hello(token: string | null): Hello {
    const cursor = this.forgotten ? null : this.picture.cursor;
    const view = this.views.hello(cursor !== null);
    return {
      type: "hello",
      v: VERSION,
      city: this.city,
      ...(view && { view }),
      ...(cursor && { cursor: cursorText(cursor) }),
      ...(token !== null && { token }),
    };
  }

  /** The line on which hello was said last is the one whose messages come from now on. */
  moved(): void {
    this.views.moved();
  }

  hear(message: ArrayBuffer | string): Heard {
    try {
      return typeof message === "string" ? this.control(message) : this.cut(decodeCut(message));
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      console.error(`a message of the gateway could not be read: ${error.message}`);
      return { word: true, event: { type: "broken", forget: true } };
    }
  }

  /** Words that this version does not know mean nothing. */
  private control(text: string): Heard {
    const message = parsed(text);
    if (message.type === "ready") return this.ready(message as Ready);
    if (message.type === "drain") return { word: true, event: { type: "drain" } };
    if (message.type !== "reset") return NOTHING;
    this.awaitsImage = true;
    this.listener.reset?.(String(message.reason));
    return NOTHING;
  }

  private ready(ready: Ready): Heard {
    this.epoch = ready.epoch;
    this.awaitsImage = ready.mode === "image";
    this.listener.ready?.(ready);
    return { word: true, event: { type: "ready" } };
  }

  private cut(cut: Cut): Heard {
    // A cut that can't be applied is no sign that an image will come.
    if (this.awaitsImage && !cut.image) return { word: false };
    if (!this.views.knows(cut.generation))
      throw new DecodeError(`generation ${cut.generation} was never asked for`);
    const outcome = this.picture.apply(cut, this.epoch);
    if (outcome.kind === "gap" || outcome.kind === "epoch")
      return { word: true, event: { type: "broken", forget: outcome.kind === "epoch" } };
    this.views.applied(cut.generation);
    if (outcome.kind === "differs") return this.differs(cut, outcome.own);
    this.awaitsImage = this.forgotten = false;
    this.listener.cut?.(cut, this.picture);
    return { word: true, event: { type: "verified" } };
  }

  private differs(cut: Cut, { a, b }: Lanes): Heard {
    this.awaitsImage = this.forgotten = true;
    this.listener.differs?.(cut, { a, b });
    const cursor = cursorText(this.picture.cursor!);
    const told = [cut.hashA, cut.hashB] as const;
    const answer: Mismatch = { type: "mismatch", cursor, own: [a >>> 0, b >>> 0], told };
    return { word: true, answer, ...(cut.image && { event: { type: "wrong image" } }) };
  }
}

/** The type of a control message; null for a cut, and for what is neither. */
export function typeOf(message: ArrayBuffer | string): unknown {
  if (typeof message !== "string") return null;
  try {
    return parsed(message).type;
  } catch {
    return null;
  }
}

function parsed(text: string): { readonly type?: unknown; readonly reason?: unknown } {
  try {
    const message: unknown = JSON.parse(text);
    if (typeof message === "object" && message !== null) return message;
  } catch {}
  throw new DecodeError(`no control message: ${text.slice(0, 80)}`);
}
