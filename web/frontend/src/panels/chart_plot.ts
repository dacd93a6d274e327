// SPDX-License-Identifier: Apache-2.0
/** The only file that knows uPlot: one chart in one element. It is a chunk of its own, loaded when charts are opened. */

import UPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import type { Mark } from "../app/store";
import type { Chart } from "../city/charts";
import { clock } from "../city/format";
import type { Sample } from "../city/history";
import type { CityTime } from "../stream";

const HEIGHT_PX = 104;
const AXIS_PX = { x: 24, y: 56 };
/** The newest value changes ten times a second; the line is drawn as often as one can see. */
const DRAW_MS = 1_000;
const FONT = "12px system-ui, sans-serif";

export interface Shown {
  readonly samples: readonly Sample[];
  readonly marks: readonly Mark[];
  readonly time: CityTime;
  /** The log time that is pointed at; null: none. */
  readonly pointedMs: number | null;
}

export class Plot {
  private readonly plot: UPlot;
  private shown: Shown | null = null;
  /** Whether the pointer is in this chart: then it has a cursor of its own. */
  private isHovered = false;
  private drawnAt = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly box: HTMLElement,
    private readonly chart: Chart,
    private readonly onPoint: (atMs: number | null) => void,
  ) {
    const token = (name: string) => getComputedStyle(box).getPropertyValue(`--${name}`).trim() || "gray";
    const axis = {
      stroke: () => token("text-3"),
      font: FONT,
      grid: { stroke: () => token("line"), width: 1 },
      ticks: { show: false },
    };
    this.plot = new UPlot(
      {
        width: this.width(),
        height: HEIGHT_PX,
        legend: { show: false },
        cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
        scales: { x: { time: false }, y: { range: (_, low, high) => this.range(low, high) } },
        axes: [
          { ...axis, size: AXIS_PX.x, space: 80, values: (_, all) => all.map((ms) => this.hour(ms)) },
          {
            ...axis,
            size: AXIS_PX.y,
            space: 28,
            ...(chart.steps && { incrs: [...chart.steps] }),
            values: (_, all) => all.map((value) => chart.write(value)),
          },
        ],
        series: [
          {},
          ...chart.lines.map(({ label, colour, isDashed }) => ({
            label,
            stroke: () => token(colour),
            width: 1.5,
            ...(isDashed && { dash: [5, 3] }),
            points: { show: false },
          })),
        ],
        hooks: { setCursor: [() => this.point()], draw: [() => this.drawMarks(token("text-2"))] },
      },
      [[], ...chart.lines.map(() => [])],
      box,
    );
    this.plot.over.addEventListener("pointerenter", () => {
      this.isHovered = true;
    });
    this.plot.over.addEventListener("pointerleave", () => {
      this.isHovered = false;
      this.onPoint(null);
    });
  }

  show(shown: Shown): void {
    const now = performance.now();
    const isLonger = this.shown?.samples[0] !== shown.samples[0] || this.shown?.marks !== shown.marks;
    if (isLonger || now - this.drawnAt >= DRAW_MS) {
      this.drawnAt = now;
      this.shown = shown;
      this.plot.setData([
        shown.samples.map(({ atMs }) => atMs),
        ...this.chart.lines.map(({ value }) => shown.samples.map(({ values }) => values[value] ?? null)),
      ] as UPlot.AlignedData);
    }
    if (!this.isHovered) this.pointAt(shown.pointedMs);
  }

  /** The box has another size. */
  resize(): void {
    this.plot.setSize({ width: this.width(), height: HEIGHT_PX });
  }

  remove(): void {
    this.plot.destroy();
  }

  private width(): number {
    return Math.max(160, this.box.clientWidth);
  }

  private hour(ms: number): string {
    return clock(this.shown?.time.at(ms) ?? ms).slice(0, 5);
  }

  private range(low: number | null, high: number | null): [number, number] {
    const { top, bottom } = this.chart;
    const highest = Math.max(top ?? Number.NEGATIVE_INFINITY, high ?? 0);
    const lowest = bottom ?? Math.min(low ?? 0, highest);
    return lowest === highest ? [lowest - 0.01, highest] : [lowest, highest];
  }

  private point(): void {
    if (!this.isHovered || !this.shown) return;
    const { idx } = this.plot.cursor;
    if (idx != null) this.onPoint(this.shown.samples[idx]?.atMs ?? null);
  }

  private pointAt(atMs: number | null): void {
    const left = atMs === null ? -10 : this.plot.valToPos(atMs, "x");
    this.plot.setCursor({ left, top: atMs === null ? -10 : 0 }, false);
  }

  /** A line for each kill and each incident. */
  private drawMarks(colour: string): void {
    const { ctx, bbox } = this.plot;
    ctx.save();
    ctx.strokeStyle = colour;
    ctx.lineWidth = devicePixelRatio;
    ctx.setLineDash([2 * devicePixelRatio, 3 * devicePixelRatio]);
    for (const { atMs } of this.shown?.marks ?? []) {
      const x = this.plot.valToPos(atMs, "x", true);
      if (x < bbox.left || x > bbox.left + bbox.width) continue;
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
    }
    ctx.restore();
  }
}
