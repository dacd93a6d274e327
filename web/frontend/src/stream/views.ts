// SPDX-License-Identifier: Apache-2.0
/** Which part of the city the rows are of, which one is wanted, and what was asked for in between. No clock. */

import type { Box } from "./grid";

/** What a client wants to see; null is the whole city. */
export type View = Box | null;

export interface ViewMessage {
  readonly type: "view";
  readonly generation: number;
  readonly bbox: View;
}

/** At most five wishes a second reach the gateway. */
export const QUIET_MS = 200;
const GENERATION_MAX = 65_535;
/** Twenty seconds of panning without an answer: no gateway answers one older than that. */
const ASKED_MAX = 100;

export class Views {
  /** Of the rows now held. */
  rows: View;
  /** What the last hello said. */
  private said: View;
  private generation = 0;
  /** Asked for on this line and not yet answered, oldest first. */
  private asked: readonly ViewMessage[] = [];

  constructor(private wanted: View = null) {
    this.rows = this.said = wanted;
  }

  wish(view: View): void {
    this.wanted = view;
  }

  /** The view to say in hello: of the rows, if there are any to go on from. */
  hello(hasRows: boolean): View {
    this.said = hasRows ? this.rows : this.wanted;
    return this.said;
  }

  /** Messages come from the line of the last hello now: it knows nothing of what was asked for on another. */
  moved(): void {
    this.rows = this.said;
    this.asked = [];
  }

  /** The message that is due, if the last word about it was another. */
  next(): ViewMessage | null {
    const last = this.asked.at(-1);
    if (sameView(last ? last.bbox : this.rows, this.wanted)) return null;
    this.generation = (this.generation % GENERATION_MAX) + 1;
    const message: ViewMessage = { type: "view", generation: this.generation, bbox: this.wanted };
    this.asked = [...this.asked, message].slice(-ASKED_MAX);
    return message;
  }

  /** Whether a cut may bear this generation: none, or one that was asked for here. */
  knows(generation: number): boolean {
    return generation === 0 || this.asked.some((one) => one.generation === generation);
  }

  /** A cut of this generation was applied. */
  applied(generation: number): void {
    const at = this.asked.findIndex((one) => one.generation === generation);
    if (at < 0) return;
    this.rows = this.asked[at]!.bbox;
    this.asked = this.asked.slice(at + 1);
  }
}

export function sameView(a: View, b: View): boolean {
  if (a === null || b === null) return a === b;
  return a.every((degrees, i) => degrees === b[i]);
}
