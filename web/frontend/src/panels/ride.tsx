// SPDX-License-Identifier: Apache-2.0
/** Ask for a ride, then watch it: the panel says what the ride's row in the stream says. */

import type { Ask, Stop } from "../app/ask";
import type { Session } from "../app/session";
import { clock, taxi } from "../city/format";
import { type Glyph as GlyphName, hasEnded, RIDE } from "../city/rides";
import { shortRide } from "../city/words";
import type { RideRecord } from "../stream";
import { Glyph, Icon, IconButton } from "./glyphs";

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
  const { row } = ask;
  const place = row && row.driver !== 0 && !hasEnded(row) ? row.driver : null;
  return (
    <section class="panel detail" aria-label="Your ride">
      <div class="sect">
        <Title session={session} text="Your ride" />
        <p class="label row">
          <Glyph name={row ? glyphOf(row) : "expected"} />
          <span data-ride-state={row?.state ?? 0}>{row ? sentence(row) : "On its way to the log…"}</span>
        </p>
        <p class="note mono below">{shortRide(ask.id)}</p>
      </div>
      <div class="sect">
        <Timeline session={session} row={row} />
      </div>
      <div class="sect row">
        {place !== null && (
          <button type="button" class="btn s" onClick={() => showTaxi(session, place)}>
            <Icon name="target" />
            Show {taxi(place)}
          </button>
        )}
        <button type="button" class="btn s quiet" onClick={() => session.wish({ type: "begin" })}>
          Ask again
        </button>
      </div>
    </section>
  );
}

function showTaxi(session: Session, driver: number): void {
  const at = session.scene?.place(driver);
  if (at) session.scene?.map.fly(at, 16.3);
}

interface Step {
  readonly glyph: GlyphName;
  readonly text: string;
  readonly low: number;
}

function Timeline({ session, row }: { session: Session; row: RideRecord | null }) {
  const steps = row ? past(row) : [];
  const next = row ? expected(row) : ["Requested"];
  return (
    <ol class="tl">
      {steps.map(({ glyph, text, low }, i) => (
        <li key={text} class={i === steps.length - 1 ? "now" : ""}>
          <Glyph name={glyph} />
          <p>{text}</p>
          <time>{low === 0 ? "" : clock(session.picture.fullMs(low))}</time>
        </li>
      ))}
      {next.map((text) => (
        <li key={text} class="next">
          <Glyph name="expected" />
          <p>{text}</p>
          <time />
        </li>
      ))}
    </ol>
  );
}

function past(row: RideRecord): Step[] {
  const steps: Step[] = [{ glyph: "rider", text: "Requested", low: row.requested }];
  if (row.state === RIDE.offered)
    steps.push({ glyph: "offered", text: `Offered to ${taxi(row.driver)}`, low: 0 });
  if (row.assigned !== 0) steps.push({ glyph: "toPickup", text: "Accepted, on its way", low: row.assigned });
  if (row.arrived !== 0) steps.push({ glyph: "atPickup", text: "At your pickup", low: row.arrived });
  if (row.started !== 0) steps.push({ glyph: "onTrip", text: "On trip", low: row.started });
  if (hasEnded(row)) steps.push({ glyph: glyphOf(row), text: ENDS[row.state] ?? "Ended", low: row.ended });
  return steps;
}

function expected(row: RideRecord): string[] {
  if (hasEnded(row)) return [];
  const all = ["Accepted, on its way", "At your pickup", "On trip", "Completed"];
  const done = [row.assigned, row.arrived, row.started].filter((low) => low !== 0).length;
  return all.slice(done);
}

const ENDS: Record<number, string> = {
  [RIDE.completed]: "Completed",
  [RIDE.cancelled]: "Cancelled",
  [RIDE.noShow]: "Cancelled: nobody at the pickup",
  [RIDE.expired]: "No taxi was found in time",
};

const GLYPHS: Record<number, GlyphName> = {
  [RIDE.requested]: "rider",
  [RIDE.offered]: "offered",
  [RIDE.assigned]: "toPickup",
  [RIDE.arrived]: "atPickup",
  [RIDE.onTrip]: "onTrip",
  [RIDE.completed]: "tick",
};

function glyphOf(row: RideRecord): GlyphName {
  return GLYPHS[row.state] ?? "lost";
}

function sentence(row: RideRecord): string {
  const name = taxi(row.driver);
  switch (row.state) {
    case RIDE.requested:
      return "Looking for a taxi";
    case RIDE.offered:
      return `Offered to ${name}`;
    case RIDE.assigned:
      return `${name} is coming`;
    case RIDE.arrived:
      return `${name} is at your pickup`;
    case RIDE.onTrip:
      return `On trip with ${name}`;
    default:
      return ENDS[row.state] ?? "Ended";
  }
}
