// SPDX-License-Identifier: Apache-2.0
/** The life of a ride from its row: what happened, and what is to come. */

import { type Explanation, isOrder, type RideStep } from "../city/explanation";
import { brief, clock, dollars, taxi } from "../city/format";
import { type Glyph as GlyphName, hasEnded, RIDE } from "../city/rides";
import { type CityTime, fullMs, type RideRecord } from "../stream";
import { Glyph } from "./glyphs";

/** Beside the row: whether the ride is this page's own, and what only the gateway's answer contains. */
export interface Known {
  readonly own: boolean;
  readonly why: Explanation | null;
  readonly fareCents: number | null;
  readonly steps: readonly RideStep[];
}

interface Step {
  readonly glyph: GlyphName;
  readonly text: string;
  /** Log time; null if it is not known. */
  readonly atMs: number | null;
}

interface Props {
  readonly row: RideRecord | null;
  readonly known: Known;
  /** Cut time of the row. */
  readonly cutMs: number;
  readonly cityTime: CityTime;
}

export function Timeline({ row, known, cutMs, cityTime }: Props) {
  const steps = row ? past(row, known, (low) => fullMs(low, cutMs), cityTime) : [];
  const next = row ? expected(row, known) : ["Requested"];
  return (
    <ol class="tl">
      {steps.map(({ glyph, text, atMs }, i) => (
        <li key={`${text} ${atMs}`} class={i === steps.length - 1 ? "now" : ""}>
          <Glyph name={glyph} />
          <p>{text}</p>
          <time>{atMs === null ? "" : clock(cityTime.at(atMs))}</time>
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

export function past(
  row: RideRecord,
  known: Known,
  fullMs: (low: number) => number,
  cityTime: CityTime,
): Step[] {
  const steps: Step[] = [{ glyph: "rider", text: "Requested", atMs: fullMs(row.requested) }];
  const step = (glyph: GlyphName, text: string, low: number) => {
    if (low !== 0) steps.push({ glyph, text, atMs: fullMs(low) });
  };
  steps.push(...offers(row, known, fullMs, cityTime));
  step("atPickup", pickupWords(known), row.arrived);
  step("onTrip", "On trip", row.started);
  if (hasEnded(row)) step(glyphOf(row), endWords(row, known), row.ended);
  return steps;
}

/** Its offers and orders, and what became of each: as a gateway read them, else as far as the row says. */
function offers(row: RideRecord, known: Known, fullMs: (low: number) => number, time: CityTime): Step[] {
  const { why } = known;
  const shown: Step[] = [];
  let offeredMs = 0;
  for (const { type, at_ms: atMs, driver } of known.steps) {
    const after = brief(time.between(offeredMs || atMs, atMs));
    const form = STEPS[type]?.(driver === null ? "a taxi" : taxi(driver), after);
    if (form) shown.push({ ...form, atMs });
    offeredMs = type === "RideOffered" ? atMs : 0;
  }
  const says = (type: string) => known.steps.some((step) => step.type === type && step.driver === row.driver);
  if (row.state === RIDE.offered && !says("RideOffered"))
    shown.push({ glyph: "offered", text: `Offered to ${taxi(row.driver)}`, atMs: why?.at_ms ?? null });
  if (row.assigned !== 0 && !says("RideAssigned") && !says("RideReassigned")) {
    const words = why && !isOrder(why) ? "Accepted, on its way" : "On its way";
    shown.push({ glyph: "toPickup", text: words, atMs: fullMs(row.assigned) });
    if (why?.from_driver)
      shown.push({ glyph: "toPickup", text: `${taxi(why.driver)} takes over`, atMs: why.at_ms });
  }
  return shown;
}

const STEPS: Record<string, (driver: string, after: string) => Pick<Step, "glyph" | "text">> = {
  RideOffered: (driver) => ({ glyph: "offered", text: `Offered to ${driver}` }),
  OfferDeclined: (driver, after) => ({ glyph: "struck", text: `Declined by ${driver} after ${after}` }),
  OfferExpired: (driver) => ({ glyph: "struck", text: `No answer from ${driver}` }),
  RideAssigned: (driver, after) => ({ glyph: "toPickup", text: `Accepted by ${driver} after ${after}` }),
  RideReassigned: (driver) => ({ glyph: "toPickup", text: `${driver} takes over` }),
  RideReleased: (driver) => ({ glyph: "rider", text: `Waits again, without ${driver}` }),
};

function expected(row: RideRecord, known: Known): string[] {
  if (hasEnded(row)) return [];
  const all = ["On its way", pickupWords(known), "On trip", "Completed"];
  const done = [row.assigned, row.arrived, row.started].filter((low) => low !== 0).length;
  return all.slice(done);
}

function pickupWords({ own }: Known): string {
  return own ? "At your pickup" : "At the pickup";
}

export function endWords(row: RideRecord, { fareCents }: Known): string {
  const words = ENDS[row.state] ?? "Ended";
  return row.state === RIDE.completed && fareCents !== null ? `${words} · ${dollars(fareCents)}` : words;
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

export function glyphOf(row: RideRecord): GlyphName {
  return GLYPHS[row.state] ?? "lost";
}
