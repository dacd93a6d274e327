// SPDX-License-Identifier: Apache-2.0
/** A neighbourhood: who waits there and how long, how many taxis are vacant, and how many requests may come. */

import { AHEAD_MS, type AreaFigures } from "../city/areas";
import { count, span } from "../city/format";
import { shortRide } from "../city/words";
import { type CityTime, fullMs } from "../stream";
import { Glyph } from "./glyphs";
import type { PanelProps } from "./props";
import { Title } from "./title";

const RIDES_SHOWN = 5;

export function AreaPanel({ store, actions }: PanelProps) {
  const name = store.areaName.value;
  if (name === null) return null;
  const area = store.area.value?.name === name ? store.area.value : null;
  return (
    <section class="panel detail area" aria-label={name}>
      <div class="sect">
        <Title actions={actions} text={name} />
        <p class="note">The part of the city that is nearest to this name.</p>
      </div>
      {area ? <Figures area={area} time={store.cityTime.value} /> : <p class="sect label">Counting…</p>}
      {area && <Waiting store={store} actions={actions} area={area} />}
      <div class="sect row wrap">
        <button type="button" class="btn s" onClick={() => actions.showArea(name)}>
          Go there
        </button>
      </div>
    </section>
  );
}

function Figures({ area, time }: { area: AreaFigures; time: CityTime }) {
  const { waiting, vacant, taxis, medianMs, p90Ms, pickups, expected } = area;
  const ofCity = time.isReal ? "" : " of the city";
  return (
    <dl class="sect figures">
      <Figure name="Riders waiting" value={count(waiting.length)} note="now" />
      <Figure name="Vacant taxis" value={count(vacant)} note={`of ${count(taxis)} here`} />
      <Figure
        name="Wait, median · p90"
        value={medianMs === null ? "–" : span(medianMs)}
        unit={p90Ms === null ? "" : ` · ${span(p90Ms)}`}
        note={
          medianMs === null ? "too few pickups seen yet" : `${count(pickups)} pickups, last 15 min at most`
        }
      />
      <Figure
        name={`Requests, next ${AHEAD_MS / 60_000} min`}
        value={expected === null ? "–" : `~${count(Math.round(expected))}`}
        note={expected === null ? "counting the pace" : `at the pace of the last ${pace(area)}${ofCity}`}
      />
    </dl>
  );
}

function pace({ paceMs }: AreaFigures): string {
  return `${Math.max(1, Math.round(paceMs / 60_000))} min`;
}

function Figure({ name, value, unit, note }: { name: string; value: string; unit?: string; note: string }) {
  return (
    <div>
      <dt class="note">{name}</dt>
      <dd class="big">
        {value}
        {unit && <span class="unit">{unit}</span>}
      </dd>
      <dd class="note">{note}</dd>
    </div>
  );
}

/** Those who have waited longest. */
function Waiting({ store, actions, area }: PanelProps & { area: AreaFigures }) {
  const cutMs = store.held.value?.cutMs ?? 0;
  const shown = area.waiting.slice(0, RIDES_SHOWN);
  if (shown.length === 0) return null;
  return (
    <div class="sect">
      <h3 class="title">Waiting longest</h3>
      <ul>
        {shown.map((ride) => (
          <li key={ride.id}>
            <button
              type="button"
              class="ride-line"
              title="Open this ride"
              onClick={() => actions.showRide(ride)}
            >
              <Glyph name="rider" />
              <span>
                <b>{shortRide(ride.id)}</b> for{" "}
                {span(store.cityTime.value.between(fullMs(ride.requested, cutMs), cutMs))}
              </span>
            </button>
          </li>
        ))}
      </ul>
      {area.waiting.length > RIDES_SHOWN && (
        <p class="note below">and {count(area.waiting.length - RIDES_SHOWN)} more</p>
      )}
    </div>
  );
}
