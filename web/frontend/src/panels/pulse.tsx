// SPDX-License-Identifier: Apache-2.0
/** How is the city? Waits and served share, the fleet by status (which is the legend), and the connection it came by. */

import type { ComponentChildren } from "preact";
import type { Store } from "../app/store";
import { clock, count, span } from "../city/format";
import type { Sample } from "../city/history";
import { WINDOW_MS } from "../city/pulse";
import type { Rate } from "../city/rates";
import { DRIVER, STATUS_NAMES, type StatusName } from "../city/rides";
import { type CityTime, REAL_TIME } from "../stream";
import { Glyph, IconButton } from "./glyphs";
import type { PanelProps } from "./props";
import { Spark } from "./spark";

export function PulsePanel({ store, actions }: PanelProps) {
  return (
    <aside class={`panel left ${store.health.value}`} aria-label="Pulse and fleet">
      <Pulse store={store} actions={actions} />
      <Fleet store={store} actions={actions} />
      <LineFigures store={store} />
    </aside>
  );
}

function Pulse({ store, actions }: PanelProps) {
  const samples = store.pulseHistory.value;
  const { waiting, medianMs, p90Ms, served } = store.figures.value ?? NONE;
  return (
    <div class="sect">
      <div class="row spread heading">
        <h2 class="title">Pulse</h2>
        <span class="note push">
          {[store.view.value ? "whole city" : "", seen(samples, store.cityTime.value)]
            .filter(Boolean)
            .join(" · ")}
        </span>
        <IconButton
          icon="chart"
          label="Charts"
          pressed={store.charts.value}
          onClick={() => actions.showCharts(!store.charts.value)}
        />
      </div>
      <Lapse store={store} />
      <Metric samples={samples} value={0} filled label="Riders waiting" icon={<Glyph name="rider" />}>
        {waiting === null ? "–" : count(waiting)}
      </Metric>
      <Metric samples={samples} value={1} second={2} filled label="Wait, median · p90">
        {medianMs === null ? "–" : span(medianMs)}
        {p90Ms !== null && <span class="unit"> · {span(p90Ms)}</span>}
      </Metric>
      <Metric samples={samples} value={3} label="Requests served">
        {served === null ? "–" : percent(served)}
        {served !== null && <span class="unit"> %</span>}
      </Metric>
    </div>
  );
}

/** How fast people live and how late it is for them, unless it is as late as for this reader. */
export function Lapse({ store }: { store: Store }) {
  const time = store.cityTime.value;
  if (time.isReal) return null;
  return (
    <p class="lapse" title="Waits and times are those of the city.">
      <b>{time.speed === 1 ? "Real time" : `${time.speed} × real time`}</b>
      <span>{clock(time.at(store.held.value?.cutMs ?? 0))} in the city</span>
    </p>
  );
}

const NONE = { waiting: null, medianMs: null, p90Ms: null, served: null };

function Metric(props: {
  samples: readonly Sample[];
  value: number;
  second?: number;
  filled?: boolean;
  label: string;
  icon?: ComponentChildren;
  children: ComponentChildren;
}) {
  const { samples, value, second, filled } = props;
  const more = { ...(second !== undefined && { second }), ...(filled && { filled }) };
  return (
    <div class="metric">
      <div>
        <p class="label row">
          {props.icon}
          {props.label}
        </p>
        <p class="big">{props.children}</p>
      </div>
      <Spark samples={samples} value={value} width={112} height={40} colour="text" {...more} />
    </div>
  );
}

function Fleet({ store, actions }: PanelProps) {
  const held = store.held.value;
  const n = (status: number) => held?.byStatus[status] ?? 0;
  const shown = STATUS_NAMES.filter(({ status }) => status !== DRIVER.offline || n(status) > 0);
  return (
    <div class="sect fleet-sect">
      <div class="row spread">
        <h2 class="title">Fleet</h2>
        <span class="label">
          <b class="str">{held ? count(held.drivers) : "–"}</b> {store.view.value ? "in view" : "taxis"}
        </span>
      </div>
      <div class="fleetbar" aria-hidden="true">
        {shown.map(({ status, colour }) => (
          <i
            key={status}
            class={`b-${colour}`}
            style={{ flexGrow: n(status), display: n(status) ? "" : "none" }}
          />
        ))}
      </div>
      <ul class="fleet">
        {shown.map((row) => (
          <li key={row.status}>
            <FleetRow store={store} actions={actions} row={row} n={n(row.status)} />
          </li>
        ))}
      </ul>
    </div>
  );
}

type FleetRowProps = PanelProps & { row: StatusName; n: number };

function FleetRow({ store, actions, row, n }: FleetRowProps) {
  const only = store.statusFilter.value;
  const on = only === row.status;
  return (
    <button
      type="button"
      class={only === null || on ? "fleet-row" : "fleet-row dimmed"}
      aria-pressed={on}
      title={on ? "Show all taxis" : `Show only: ${row.name}`}
      onClick={() => actions.filter(on ? null : row.status)}
    >
      <Glyph name={row.glyph} />
      <span class="sec">{row.name}</span>
      <b>{count(n)}</b>
      <Spark
        samples={store.fleetHistory.value}
        value={row.status}
        width={64}
        height={16}
        colour={row.colour}
      />
    </button>
  );
}

export function LineFigures({ store }: { store: Store }) {
  const rate = store.rate.value;
  const { gateway, current } = store.outage.value;
  return (
    <div class="sect line-sect">
      <p class="note row">
        <span class={current ? "dot warn" : "dot ok"} />
        <span class="str sec">{gateway || "no gateway yet"}</span>
        <span class="push">{rate && gateway ? figures(rate) : ""}</span>
      </p>
    </div>
  );
}

/** Short enough for one line in any font. */
function figures({ lagMs, updatesPerS, kBPerS }: Rate): string {
  const lag =
    lagMs === null ? "–" : lagMs < 1000 ? `${Math.round(lagMs)} ms` : `${(lagMs / 1000).toFixed(1)} s`;
  return `lag ${lag} · ${updatesPerS.toFixed(updatesPerS < 9.95 ? 1 : 0)} updates/s · ${Math.round(kBPerS)} kB/s`;
}

/** How long the figures reach back: what this page has seen, at most 15 minutes. */
export function seen(samples: readonly Sample[], time: CityTime = REAL_TIME): string {
  const first = samples[0];
  const last = samples.at(-1);
  if (!first || !last) return "";
  const ms = last.atMs - first.atMs;
  if (!time.isReal) {
    const minutes = Math.floor(time.between(first.atMs, last.atMs) / 60_000);
    return `last ${Math.max(1, minutes)} min of the city`;
  }
  if (ms > WINDOW_MS - 15_000) return "last 15 min";
  return ms < 60_000 ? `last ${Math.max(1, Math.round(ms / 1000))} s` : `last ${Math.floor(ms / 60_000)} min`;
}

/** One decimal, and never rounded up to a hundred that was not reached. */
export function percent(share: number): string {
  return share === 1 ? "100" : Math.min(99.9, share * 100).toFixed(1);
}
