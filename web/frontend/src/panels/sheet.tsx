// SPDX-License-Identifier: Apache-2.0
/** Small screens: one sheet at the bottom, in three heights, holding what wide screens show around the map. */

import { useSignal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import type { Store } from "../app/store";
import { count, span } from "../city/format";
import { DRIVER, STATUS_NAMES } from "../city/rides";
import { Credit, ProofButton } from "./chrome";
import { Detail, isOpen } from "./detail";
import { Events, FeedWords } from "./events";
import { Glyph, Icon } from "./glyphs";
import { KillButton } from "./headline";
import { Layers } from "./layers";
import type { PanelProps } from "./props";
import { Lapse, PulsePanel, percent } from "./pulse";

const HEIGHTS = ["peek", "half", "full"] as const;
const DRAG_PX = 24;

export function Sheet({ store, actions, attribution }: PanelProps & { attribution: string }) {
  const height = useSignal<0 | 1 | 2>(0);
  const { ask, taxi, areaName, proof, charts } = store;
  const step = `${ask.value.step} ${taxi.value?.driver} ${areaName.value} ${proof.value} ${charts.value}`;
  // With each step of a ride the sheet makes room for the map again, where the next thing happens.
  useLayoutEffect(() => {
    height.value = 0;
  }, [step, height]);
  const dragFrom = useRef<number | null>(null);
  const open = isOpen(store);
  const move = (by: number) => {
    height.value = Math.max(0, Math.min(2, height.value + by)) as 0 | 1 | 2;
  };
  const release = (y: number) => {
    if (dragFrom.current !== null && Math.abs(y - dragFrom.current) > DRAG_PX)
      move(y < dragFrom.current ? 1 : -1);
    dragFrom.current = null;
  };
  return (
    <section class={`panel sheet ${HEIGHTS[height.value]} ${store.health.value}`} aria-label="Pulse">
      <Credit html={attribution} />
      <button
        type="button"
        class="grip"
        aria-label={height.value === 2 ? "Make smaller" : "Show more"}
        onClick={() => {
          height.value = height.value === 2 ? 0 : ((height.value + 1) as 1 | 2);
        }}
        onPointerDown={(event) => {
          dragFrom.current = event.clientY;
        }}
        onPointerUp={(event) => release(event.clientY)}
      />
      <div class="sheet-body">
        {open ? <Detail store={store} actions={actions} /> : <Peek store={store} actions={actions} />}
        {(height.value > 0 || store.low.value) && !open && <More store={store} actions={actions} />}
      </div>
      {!open && height.value === 0 && <LastEvent store={store} onOpen={() => move(1)} />}
    </section>
  );
}

function Peek({ store, actions }: PanelProps) {
  const { waiting, medianMs, p90Ms, served } = store.figures.value ?? {};
  const byStatus = store.held.value?.byStatus ?? [];
  const time = (ms: number | null | undefined) => (ms == null ? "–" : span(ms));
  return (
    <div class="peek-body">
      <KillButton store={store} actions={actions} full />
      <Lapse store={store} />
      <dl class="figs">
        <Figure name="Waiting" glyph value={waiting === undefined ? "–" : count(waiting)} />
        <Figure name="Median wait" value={time(medianMs)} />
        <Figure name="p90 wait" value={time(p90Ms)} />
        <Figure name="Served" value={served == null ? "–" : `${percent(served)} %`} />
      </dl>
      <ul class="sl">
        {SMALL_ORDER.map(({ status, short, glyph }) => (
          <li key={status}>
            <Glyph name={glyph} />
            {short}
            <b>{count(byStatus[status] ?? 0)}</b>
          </li>
        ))}
      </ul>
    </div>
  );
}

/** Three columns: hollow, pointed and square, solid. */
const SMALL_ORDER = [
  DRIVER.idle,
  DRIVER.toPickup,
  DRIVER.onTrip,
  DRIVER.offered,
  DRIVER.atPickup,
  DRIVER.lost,
].map((wanted) => STATUS_NAMES.find(({ status }) => status === wanted)!);

function Figure({ name, value, glyph }: { name: string; value: string; glyph?: boolean }) {
  return (
    <div>
      <dt class="row">
        {glyph && <Glyph name="rider" />}
        {name}
      </dt>
      <dd>{value}</dd>
    </div>
  );
}

function More({ store, actions }: PanelProps) {
  return (
    <>
      <button type="button" class="btn full ask" onClick={actions.askForRide}>
        <Icon name="pin" />
        {store.ownRide.value ? "Your ride" : "Ask for a ride"}
      </button>
      <ProofButton store={store} actions={actions} look="full ask" />
      {store.mapTrouble.value !== "missing" && (
        <div class="sect">
          <Layers store={store} actions={actions} />
        </div>
      )}
      <PulsePanel store={store} actions={actions} />
      <Events store={store} actions={actions} rows={20} />
    </>
  );
}

function LastEvent({ store, onOpen }: { store: Store; onOpen: () => void }) {
  const row = store.feed.value[0];
  return (
    <button type="button" class="last" onClick={onOpen}>
      <span class="unseen">Show events, the last one:</span>
      <ol class="feed">
        {row ? (
          <li key={row.key} class="feed-row">
            <FeedWords row={row} cityTime={store.cityTime.value} />
          </li>
        ) : (
          <li class="none">No event yet</li>
        )}
      </ol>
      <Icon name="up" />
    </button>
  );
}
