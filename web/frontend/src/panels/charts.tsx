// SPDX-License-Identifier: Apache-2.0
/** The city's pulse as charts: 15 minutes or the whole time that this page is open, with what was done to the city. */

import { useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { followSize } from "../app/safely";
import type { Mark, Store } from "../app/store";
import { CHARTS, type Chart, nearestSample, reading, summary } from "../city/charts";
import { clock } from "../city/format";
import type { Sample } from "../city/history";
import type { CityTime } from "../stream";
import type { Plot } from "./chart_plot";
import type { PanelProps } from "./props";
import { Title } from "./title";

const SPANS = [
  { id: "window", name: "15 minutes" },
  { id: "run", name: "Since this page opened" },
] as const;
const MARKS_SHOWN = 8;

export function ChartsPanel({ store, actions }: PanelProps) {
  const span = useSignal<(typeof SPANS)[number]["id"]>("window");
  /** The log time that is pointed at; null: the newest. */
  const pointedMs = useSignal<number | null>(null);
  const samples = span.value === "run" ? store.runHistory.value : store.pulseHistory.value;
  const time = store.cityTime.value;
  const from = samples[0]?.atMs ?? 0;
  const marks = store.marks.value.filter(({ atMs }) => atMs >= from);
  const at = pointedMs.value === null ? samples.length - 1 : (nearestSample(samples, pointedMs.value) ?? -1);
  const pointed = samples[at];
  const point = (atMs: number | null) => {
    pointedMs.value = atMs;
  };
  return (
    <section class="panel detail charts" aria-label="Charts">
      <div class="sect">
        <Title actions={actions} text="The city's pulse" />
        <div class="row spread wrap">
          <fieldset class="row tight" aria-label="How far back">
            {SPANS.map(({ id, name }) => (
              <button
                key={id}
                type="button"
                class={span.value === id ? "chip on" : "chip"}
                aria-pressed={span.value === id}
                onClick={() => {
                  span.value = id;
                  point(null);
                }}
              >
                {name}
              </button>
            ))}
          </fieldset>
          <output class="label str">{pointed ? clock(time.at(pointed.atMs)) : "–"}</output>
        </div>
        <input
          class="when"
          type="range"
          aria-label="Time of the values"
          aria-valuetext={pointed ? clock(time.at(pointed.atMs)) : "none"}
          min={0}
          max={Math.max(0, samples.length - 1)}
          value={Math.max(0, at)}
          onInput={(event) => {
            const index = Number(event.currentTarget.value);
            point(index >= samples.length - 1 ? null : (samples[index]?.atMs ?? null));
          }}
        />
      </div>
      {CHARTS.map((chart) => (
        <ChartView
          key={chart.title}
          chart={chart}
          samples={samples}
          marks={marks}
          time={time}
          pointed={pointed}
          isPointed={pointedMs.value !== null}
          onPoint={point}
        />
      ))}
      <Marks store={store} marks={marks} />
    </section>
  );
}

interface ChartProps {
  readonly chart: Chart;
  readonly samples: readonly Sample[];
  readonly marks: readonly Mark[];
  readonly time: CityTime;
  readonly pointed: Sample | undefined;
  readonly isPointed: boolean;
  onPoint(atMs: number | null): void;
}

function ChartView({ chart, samples, marks, time, pointed, isPointed, onPoint }: ChartProps) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<Plot | null>(null);
  const shown = { samples, marks, time, pointedMs: isPointed && pointed ? pointed.atMs : null };
  const newest = useRef(shown);
  newest.current = shown;
  useEffect(() => {
    let isGone = false;
    let unfollow = () => {};
    // The library is loaded when charts are opened, so that the page itself stays light.
    void import("./chart_plot").then(({ Plot }) => {
      const element = box.current;
      if (isGone || !element) return;
      const made = new Plot(element, chart, onPoint);
      plot.current = made;
      made.show(newest.current);
      unfollow = followSize(element, () => made.resize());
    });
    return () => {
      isGone = true;
      unfollow();
      plot.current?.remove();
      plot.current = null;
    };
  }, [chart]);
  useLayoutEffect(() => plot.current?.show(newest.current));
  return (
    <figure class="sect chart">
      <figcaption class="row spread" title={chart.about}>
        <span class="title">{chart.title}</span>
        <span class="label">{reading(chart, pointed)}</span>
      </figcaption>
      <div ref={box} class="plot" role="img" aria-label={summary(chart, samples)} />
    </figure>
  );
}

/** What was done to the city, or befell it, in words: on the charts each is a line. */
function Marks({ store, marks }: { store: Store; marks: readonly Mark[] }) {
  return (
    <div class="sect">
      <h3 class="title">Marked</h3>
      {marks.length === 0 && <p class="note">Nothing was killed and nothing stood still in this time.</p>}
      <ol class="marks">
        {marks
          .slice(-MARKS_SHOWN)
          .reverse()
          .map(({ atMs, words }) => (
            <li key={`${atMs} ${words}`} class="label">
              <time>{clock(store.cityTime.value.at(atMs))}</time> {words}
            </li>
          ))}
      </ol>
    </div>
  );
}
