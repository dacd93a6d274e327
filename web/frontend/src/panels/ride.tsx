// SPDX-License-Identifier: Apache-2.0
/** A ride: its row in the stream says which state it is in, the gateway which way and how long its taxi still drives. */

import type { Actions } from "../app/actions";
import type { Ask } from "../app/ask";
import type { Store } from "../app/store";
import { arrivesInMs } from "../app/ways";
import { etaError, explanationNow, promised, type RideStep } from "../city/explanation";
import { dollars, span, taxi } from "../city/format";
import { hasEnded, RIDE } from "../city/rides";
import { clockMs, far } from "../city/route";
import { shortRide } from "../city/words";
import { fullMs, type RideRecord } from "../stream";
import { Asking, StopLine } from "./asking";
import { ExplanationTable } from "./explanation";
import { Glyph, Icon } from "./glyphs";
import type { PanelProps } from "./props";
import { endWords, glyphOf, type Known, Timeline } from "./timeline";
import { Title } from "./title";

type RidingNow = Ask & { step: "riding" };

export function RidePanel({ store, actions }: PanelProps) {
  const now = store.ask.value;
  if (now.step === "off") return null;
  return now.step === "riding" ? (
    <Riding store={store} actions={actions} ask={now} />
  ) : (
    <Asking store={store} actions={actions} ask={now} />
  );
}

function Riding({ store, actions, ask }: PanelProps & { ask: RidingNow }) {
  const { row, own } = ask;
  const { fareCents, candidates, steps } = ask;
  const known = { own, why: explanationNow(row, ask.why), fareCents, steps };
  const explained = known.why && (
    <ExplanationTable store={store} actions={actions} why={known.why} candidates={candidates} steps={steps} />
  );
  const title = own ? "Your ride" : `Ride ${shortRide(ask.id)}`;
  return (
    <section class="panel detail riding" aria-label={title}>
      <div class="sect">
        <Title actions={actions} text={title} />
        <Arrival store={store} row={row} />
        <p class="label row">
          <Glyph name={row ? glyphOf(row) : "expected"} />
          <span data-ride-state={row?.state ?? 0}>
            {row ? sentence(row, known) : "On its way to the log…"}
          </span>
        </p>
        {row && <Promised store={store} row={row} steps={steps} />}
        {own && <p class="note mono below">{shortRide(ask.id)}</p>}
      </div>
      {row && hasEnded(row) && <Ending row={row} own={own} actions={actions} />}
      <div class="sect">
        <Timeline
          row={row}
          known={known}
          cutMs={store.held.value?.cutMs ?? 0}
          cityTime={store.cityTime.value}
        />
      </div>
      {!own && explained}
      <div class="sect stops">
        <StopLine name="Pickup" stop={ask.pickup} kind="pickup" />
        <StopLine name="Drop-off" stop={ask.dropoff} kind="dropoff" />
        <Fare store={store} known={known.fareCents} />
      </div>
      <Buttons store={store} actions={actions} ask={ask} />
      {own && explained}
    </section>
  );
}

/** How long until the taxi is there, as an estimate; the timeline below has what happened. */
function Arrival({ store, row }: { store: Store; row: RideRecord | null }) {
  const way = store.way.value;
  if (!row || !way || way.driver !== row.driver) return null;
  const isTrip = way.to === "dropoff";
  return (
    <>
      <p class="huge" role="timer" aria-live="off">
        {span(arrivesInMs(way, store.now.value))}
        <span class="unit"> {isTrip ? "to the drop-off" : "to the pickup"}, estimated</span>
      </p>
      <p class="note">{far(way.route.length_m)} along the streets</p>
    </>
  );
}

/** The time to the pickup that was said when the taxi was assigned, beside what it is now or became. */
function Promised({ store, row, steps }: { store: Store; row: RideRecord; steps: readonly RideStep[] }) {
  const step = promised(steps);
  if (step?.eta_s == null || step.driver !== row.driver || (hasEnded(row) && row.arrived === 0)) return null;
  const cutMs = store.held.value?.cutMs ?? 0;
  const time = store.cityTime.value;
  const saidMs = step.eta_s * 1000;
  const said = `${step.type === "RideReassigned" ? "ordered" : "accepted"}: ${span(saidMs)}`;
  if (row.arrived !== 0) {
    const tookMs = time.between(step.at_ms, fullMs(row.arrived, cutMs));
    return (
      <p class="note eta" title="From its assignment to the pickup, in the time of the city.">
        To the pickup when {said} · took {span(tookMs)}, <b>{etaError(saidMs, tookMs)}</b>
      </p>
    );
  }
  const way = store.way.value;
  if (way?.driver !== row.driver || way.to !== "pickup") return null;
  const nowMs = time.between(step.at_ms, cutMs) + arrivesInMs(way, store.now.value) * time.speed;
  return (
    <p class="note eta">
      To the pickup when {said} · now {span(nowMs)}, <b>{etaError(saidMs, nowMs)}</b>
    </p>
  );
}

/** Of the whole trip, as an estimate. */
function Fare({ store, known }: { store: Store; known: number | null }) {
  const trip = store.quote.value?.trip;
  if (known !== null || !trip) return null;
  return (
    <p class="note below">
      Fare about {dollars(trip.fare_cents)}: {far(trip.length_m)}, {span(clockMs(trip))} ride
    </p>
  );
}

/** The end of a ride without a trip: why, and the way to ask again. */
function Ending({ row, own, actions }: { row: RideRecord; own: boolean; actions: Actions }) {
  if (row.state === RIDE.completed) return null;
  return (
    <div class="sect" role="status">
      <p class="label">{own ? ENDINGS[row.state] : OTHERS[row.state]}</p>
      {own && (
        <button type="button" class="btn primary full below" onClick={actions.askAgain}>
          Ask again
        </button>
      )}
    </div>
  );
}

const ENDINGS: Record<number, string> = {
  [RIDE.expired]: "No taxi accepted this ride in time. Nothing is charged. The next one may come sooner.",
  [RIDE.cancelled]: "This ride was cancelled. Nothing is charged.",
  [RIDE.noShow]: "The taxi waited at the pickup, and you did not come. Nothing is charged.",
};

const OTHERS: Record<number, string> = {
  [RIDE.expired]: "No taxi accepted this ride in time.",
  [RIDE.cancelled]: "This ride was cancelled.",
  [RIDE.noShow]: "The taxi waited at the pickup, and the rider did not come.",
};

/** States in which a ride can be cancelled: before the rider is in the taxi. */
function canBeCancelled(row: RideRecord | null): boolean {
  return row === null || row.state < RIDE.onTrip;
}

function Buttons({ store, actions, ask }: PanelProps & { ask: RidingNow }) {
  const { row, own } = ask;
  const driver = row && row.driver !== 0 && !hasEnded(row) ? row.driver : null;
  const cancelling = store.cancelling.value?.id === ask.id ? store.cancelling.value : null;
  return (
    <div class="sect buttons">
      {own && canBeCancelled(row) && (
        <button
          type="button"
          class="btn full"
          disabled={cancelling !== null && cancelling.problem === null}
          onClick={actions.cancelRide}
        >
          {cancelling !== null && cancelling.problem === null ? "Cancelling…" : "Cancel ride"}
        </button>
      )}
      {cancelling?.problem && (
        <p class="note bad" role="alert">
          Not cancelled: {cancelling.problem}
        </p>
      )}
      <div class="row wrap">
        {driver !== null && (
          <>
            <button type="button" class="btn s" onClick={() => actions.showTaxi(driver)}>
              <Icon name="target" />
              Show {taxi(driver)}
            </button>
            <FollowButton store={store} actions={actions} />
          </>
        )}
        {(row === null || hasEnded(row) || !own) && (
          <button type="button" class="btn s quiet" onClick={actions.askForRide}>
            Ask for a ride
          </button>
        )}
      </div>
    </div>
  );
}

export function FollowButton({ store, actions }: PanelProps) {
  const on = store.following.value;
  return (
    <button
      type="button"
      class={on ? "btn s on" : "btn s"}
      aria-pressed={on}
      onClick={() => actions.follow(!on)}
    >
      {on ? "Following" : "Follow"}
    </button>
  );
}

function sentence(row: RideRecord, known: Known): string {
  const name = taxi(row.driver);
  switch (row.state) {
    case RIDE.requested:
      return "Looking for a taxi";
    case RIDE.offered:
      return `Offered to ${name}`;
    case RIDE.assigned:
      return `${name} is coming`;
    case RIDE.arrived:
      return `${name} is at ${known.own ? "your" : "the"} pickup`;
    case RIDE.onTrip:
      return `On trip with ${name}`;
    default:
      return endWords(row, known);
  }
}
