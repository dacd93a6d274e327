// SPDX-License-Identifier: Apache-2.0
/** Whether the map shows what it should: which canvases lost their context, what could not be loaded. No clock. */

export type Canvas = "ground" | "taxis" | "names";

export type MapTrouble =
  /** This browser cannot draw it at all. */
  | "missing"
  /** A canvas lost its WebGL context; the browser may give it back. */
  | "lost"
  /** It did not come back. */
  | "gone"
  /** Taxis are not drawn where the streets under them say. */
  | "misplaced"
  /** An error ended the drawing. */
  | "failed"
  /** Streets or names could not be loaded. */
  | "unloaded";

/** A context that has not come back by then will not. */
export const GONE_MS = 10_000;
/** So many looks in a row, for one may fall into the middle of a movement. */
const MISPLACED_FRAMES = 2;

export class MapHealth {
  private readonly lost = new Map<Canvas, number>();
  private readonly unloaded = new Set<string>();
  private misplacedFrames = 0;
  private hasFailed = false;

  lose(canvas: Canvas, at: number): void {
    if (!this.lost.has(canvas)) this.lost.set(canvas, at);
  }

  restore(canvas: Canvas): void {
    this.lost.delete(canvas);
    this.misplacedFrames = 0;
  }

  isLost(canvas: Canvas): boolean {
    return this.lost.has(canvas);
  }

  /** Their names, with spaces between. */
  lostNames(): string {
    return [...this.lost.keys()].join(" ");
  }

  /** Whether taxis were drawn where the streets are. */
  noteAlignment(aligned: boolean): void {
    this.misplacedFrames = aligned ? 0 : this.misplacedFrames + 1;
  }

  load(source: string, loaded: boolean): void {
    if (loaded) this.unloaded.delete(source);
    else this.unloaded.add(source);
  }

  fail(): void {
    this.hasFailed = true;
  }

  /** What is the matter now; the gravest. */
  trouble(now: number): MapTrouble | null {
    if (this.hasFailed) return "failed";
    if (this.lost.size > 0) return now - Math.min(...this.lost.values()) < GONE_MS ? "lost" : "gone";
    if (this.misplacedFrames >= MISPLACED_FRAMES) return "misplaced";
    return this.unloaded.size > 0 ? "unloaded" : null;
  }
}
