// SPDX-License-Identifier: Apache-2.0
/** Ask for a ride, or find one, then watch it: its row in the stream says which state it is in. */

import type { Actions } from "../app/actions";
import type { Ask, Stop } from "../app/ask";
import { explanationNow } from "../city/explanation";
import { taxi } from "../city/format";
import { hasEnded, RIDE } from "../city/rides";
import { shortRide } from "../city/words";
import type { CityTime, RideRecord } from "../stream";
import { ExplanationTable } from "./explanation";
import { Glyph, Icon, IconButton } from "./glyphs";
import type { PanelProps } from "./page";
import { endWords, glyphOf, type Known, Timeline } from "./timeline";

export function RidePanel({ store, actions }: PanelProps) {
  const now = store.ask.value;
  if (now.step === "off") return null;
  return now.step === "riding" ? (
    <Riding
      actions={actions}
      ask={now}
      cutMs={store.held.value?.cutMs ?? 0}
      cityTime={store.cityTime.value}
    />
  ) : (
    <Asking actions={actions} ask={now} />
  );
}

function Asking({ actions, ask }: { actions: Actions; ask: Ask & { step: "choosing" | "sending" } }) {
  const ready = ask.step === "choosing" && ask.pickup !== null && ask.dropoff !== null;
  return (
    <section class="panel detail" aria-label="Ask for a ride">
      <div class="sect">
        <Title actions={actions} text="Ask for a ride" />
        <Field name="Pickup" stop={ask.pickup} kind="pickup" hint="Click the map where you stand" />
        <Field name="Drop-off" stop={ask.dropoff} kind="dropoff" hint="Then where you want to go" />
        {ask.step === "choosing" && ask.problem && (
          <p class="note bad" role="alert">
            {ask.problem}
          </p>
        )}
      </div>
      <div class="sect">
        <button type="button" class="btn primary full" disabled={!ready} onClick={actions.sendRide}>
          {ask.step === "sending" ? "Asking…" : "Request a taxi"}
        </button>
        <p class="note below">A simulated ride in the real stream. Every open page sees it.</p>
      </div>
    </section>
  );
}

function Title({ actions, text }: { actions: Actions; text: string }) {
  return (
    <div class="row spread detail-title">
      <h2 class="mid">{text}</h2>
      <IconButton icon="close" label="Close" onClick={actions.closeRide} />
    </div>
  );
}

function Field({ name, stop, kind, hint }: { name: string; stop: Stop | null; kind: string; hint: string }) {
  return (
    <div class="field">
      <span class={`pin ${kind}`} aria-hidden="true" />
      <div>
        <small>{name}</small>
        <p class={stop ? "" : "dim"}>{stop ? (stop.street ?? "A place on the map") : hint}</p>
      </div>
    </div>
  );
}

interface RidingProps {
  readonly actions: Actions;
  readonly ask: Ask & { step: "riding" };
  readonly cutMs: number;
  readonly cityTime: CityTime;
}

function Riding({ actions, ask, cutMs, cityTime }: RidingProps) {
  const { row, own } = ask;
  const known = { own, why: explanationNow(row, ask.why), fareCents: ask.fareCents };
  const title = own ? "Your ride" : `Ride ${shortRide(ask.id)}`;
  const driver = row && row.driver !== 0 && !hasEnded(row) ? row.driver : null;
  return (
    <section class="panel detail riding" aria-label={title}>
      <div class="sect">
        <Title actions={actions} text={title} />
        <p class="label row">
          <Glyph name={row ? glyphOf(row) : "expected"} />
          <span data-ride-state={row?.state ?? 0}>
            {row ? sentence(row, known) : "On its way to the log…"}
          </span>
        </p>
        {own && <p class="note mono below">{shortRide(ask.id)}</p>}
      </div>
      <div class="sect">
        <Timeline row={row} known={known} cutMs={cutMs} cityTime={cityTime} />
      </div>
      {known.why && <ExplanationTable why={known.why} />}
      <div class="sect row">
        {driver !== null && (
          <button type="button" class="btn s" onClick={() => actions.showTaxi(driver)}>
            <Icon name="target" />
            Show {taxi(driver)}
          </button>
        )}
        <button type="button" class="btn s quiet" onClick={actions.askForRide}>
          {own ? "Ask again" : "Ask for a ride"}
        </button>
      </div>
    </section>
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
