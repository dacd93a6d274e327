// SPDX-License-Identifier: Apache-2.0
/** Which view the rows are of, which one the application wants, and what was requested in between. No clock. */

import type { BBox } from "./grid.ts";
import { GENERATION_MAX } from "./protocol.ts";

/** What a client wants to see; null is the whole city. */
export type View = BBox | null;

export interface ViewMessage {
  readonly type: "view";
  readonly generation: number;
  readonly bbox: View;
}

/** Twenty seconds of panning without an answer: no gateway answers a request older than that. */
const REQUESTED_MAX = 100;

/** Views that were requested, by generation, until the first update of one arrives. */
export class ViewportRequests {
  /** What the rows are of. */
  shown: View;
  private wanted: View;
  /** What the last hello named. */
  private greeted: View;
  private generation = 0;
  /** Requested on this connection and not yet answered, oldest first. */
  private requested: readonly ViewMessage[] = [];

  constructor(wanted: View = null) {
    this.wanted = wanted;
    this.shown = this.greeted = wanted;
  }

  /** The application wants another view. */
  want(view: View): void {
    this.wanted = view;
  }

  /** The view to name in `hello`: that of the rows, or the wanted one if there are no rows. */
  greet(hasRows: boolean): View {
    this.greeted = hasRows ? this.shown : this.wanted;
    return this.greeted;
  }

  /** Messages come from the connection of the last hello now, which knows no request made on another one. */
  adopt(): void {
    this.shown = this.greeted;
    this.requested = [];
  }

  /** The request that is due; null if the wanted view was the last one to be requested. */
  nextRequest(): ViewMessage | null {
    const last = this.requested.at(-1);
    if (sameView(last ? last.bbox : this.shown, this.wanted)) return null;
    this.generation = (this.generation % GENERATION_MAX) + 1;
    const message: ViewMessage = { type: "view", generation: this.generation, bbox: this.wanted };
    this.requested = [...this.requested, message].slice(-REQUESTED_MAX);
    return message;
  }

  /** Whether an update may bear this generation: 0, or that of a request without an answer. */
  isRequested(generation: number): boolean {
    return generation === 0 || this.requested.some((one) => one.generation === generation);
  }

  /** An update of this generation was applied: the rows are of its view, earlier requests are void. */
  applied(generation: number): void {
    const at = this.requested.findIndex((one) => one.generation === generation);
    if (at < 0) return;
    this.shown = this.requested[at]!.bbox;
    this.requested = this.requested.slice(at + 1);
  }
}

export function sameView(a: View, b: View): boolean {
  if (a === null || b === null) return a === b;
  return a.every((degrees, i) => degrees === b[i]);
}
