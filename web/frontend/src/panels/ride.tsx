// SPDX-License-Identifier: Apache-2.0
/** Ask for a ride, or find one, then watch it: where it stands is what its row in the stream says. */

import type { Ask, Stop } from "../app/ask";
import type { Session } from "../app/session";
import { taxi } from "../city/format";
import { hasEnded, RIDE } from "../city/rides";
import { whyNow } from "../city/why";
import { shortRide } from "../city/words";
import type { RideRecord } from "../stream";
import { Glyph, Icon, IconButton } from "./glyphs";
import { endWords, glyphOf, type Known, Timeline } from "./timeline";
import { WhyTable } from "./why";

export function RidePanel({ session }: { session: Session }) {
  const now = session.store.ask.value;
  if (now.step === "off") return null;
  return now.step === "riding" ? (
    <Riding session={session} ask={now} />
  ) : (
    <Asking session={session} ask={now} />
  );
}

function Asking({ session, ask }: { session: Session; ask: Ask & { step: "choosing" | "sending" } }) {
  const ready = ask.step === "choosing" && ask.pickup !== null && ask.dropoff !== null;
  return (
    <section class="panel detail" aria-label="Ask for a ride">
      <div class="sect">
        <Title session={session} text="Ask for a ride" />
        <Field name="Pickup" stop={ask.pickup} kind="pickup" hint="Click the map where you stand" />
        <Field name="Drop-off" stop={ask.dropoff} kind="dropoff" hint="Then where you want to go" />
        {ask.step === "choosing" && ask.problem && (
          <p class="note bad" role="alert">
            {ask.problem}
          </p>
        )}
      </div>
      <div class="sect">
        <button type="button" class="btn primary full" disabled={!ready} onClick={() => void session.send()}>
          {ask.step === "sending" ? "Asking…" : "Request a taxi"}
        </button>
        <p class="note below">A simulated ride in the real stream. Every open page sees it.</p>
      </div>
    </section>
  );
}

function Title({ session, text }: { session: Session; text: string }) {
  return (
    <div class="row spread detail-title">
      <h2 class="mid">{text}</h2>
      <IconButton icon="close" label="Close" onClick={() => session.wish({ type: "cancel" })} />
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

function Riding({ session, ask }: { session: Session; ask: Ask & { step: "riding" } }) {
  const { row, own } = ask;
  const known = { own, why: whyNow(row, ask.why), fareCents: ask.fareCents };
  const title = own ? "Your ride" : `Ride ${shortRide(ask.id)}`;
  const place = row && row.driver !== 0 && !hasEnded(row) ? row.driver : null;
  return (
    <section class="panel detail story" aria-label={title}>
      <div class="sect">
        <Title session={session} text={title} />
        <p class="label row">
          <Glyph name={row ? glyphOf(row) : "expected"} />
          <span data-ride-state={row?.state ?? 0}>
            {row ? sentence(row, known) : "On its way to the log…"}
          </span>
        </p>
        {own && <p class="note mono below">{shortRide(ask.id)}</p>}
      </div>
      <div class="sect">
        <Timeline session={session} row={row} known={known} />
      </div>
      {known.why && <WhyTable why={known.why} />}
      <div class="sect row">
        {place !== null && (
          <button type="button" class="btn s" onClick={() => showTaxi(session, place)}>
            <Icon name="target" />
            Show {taxi(place)}
          </button>
        )}
        <button type="button" class="btn s quiet" onClick={() => session.wish({ type: "begin" })}>
          {own ? "Ask again" : "Ask for a ride"}
        </button>
      </div>
    </section>
  );
}

function showTaxi(session: Session, driver: number): void {
  const at = session.scene?.place(driver);
  if (at) session.scene?.map.fly(at, 16.3);
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
