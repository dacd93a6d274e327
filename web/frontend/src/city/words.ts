// SPDX-License-Identifier: Apache-2.0
/** Feed events as short sentences with a glyph. Names are bold, so a sentence is a list of parts. */

import type { FeedEvent, FeedIds } from "../stream";
import { brief, count, span, taxi } from "./format";
import type { Away } from "./outage";
import type { Glyph } from "./rides";
import type { StallReport } from "./stalls";

/** A name, drawn bold. */
export interface Name {
  readonly name: string;
}

export type Group = "requests" | "offers" | "pickups" | "trips" | "ends" | "system";

export interface Line {
  readonly offset: number;
  /** The event's type. */
  readonly kind: string;
  readonly atMs: number;
  readonly glyph: Glyph;
  readonly group: Group;
  readonly parts: readonly (string | Name)[];
  readonly ride: string | null;
}

interface Form {
  readonly glyph: Glyph;
  readonly group: Group;
  readonly say: (ids: FeedIds) => readonly (string | Name)[];
}

const ride = ({ ride: id }: FeedIds): Name => ({ name: shortRide(id ?? "a ride") });
const driver = ({ driver: id }: FeedIds): Name => ({ name: id ? taxi(id) : "a taxi" });
const scenario = ({ title, scenario: name }: FeedIds): Name => ({ name: title ?? name ?? "a scenario" });
const because = ({ reason }: FeedIds): string => (reason ? `, ${reason.replaceAll("_", " ")}` : "");

const FORMS: Record<string, Form> = {
  RideRequested: { glyph: "rider", group: "requests", say: (e) => [ride(e), " asks for a taxi"] },
  RideOffered: {
    glyph: "offered",
    group: "offers",
    say: (e) => [ride(e), " offered to ", driver(e)],
  },
  OfferDeclined: { glyph: "struck", group: "offers", say: (e) => [driver(e), " declined ", ride(e)] },
  OfferExpired: { glyph: "struck", group: "offers", say: (e) => [driver(e), " let ", ride(e), " pass"] },
  RideAssigned: { glyph: "toPickup", group: "offers", say: (e) => [driver(e), " accepted ", ride(e)] },
  RideReassigned: { glyph: "toPickup", group: "offers", say: (e) => [driver(e), " takes over ", ride(e)] },
  RideReleased: { glyph: "rider", group: "requests", say: (e) => [ride(e), " waits again", because(e)] },
  DriverArrived: { glyph: "atPickup", group: "pickups", say: (e) => [driver(e), " is at the pickup"] },
  TripStarted: { glyph: "onTrip", group: "trips", say: (e) => [driver(e), " left with ", ride(e)] },
  TripCompleted: { glyph: "tick", group: "ends", say: (e) => [ride(e), " completed"] },
  RideCancelled: { glyph: "lost", group: "ends", say: (e) => [ride(e), " cancelled", because(e)] },
  RideNoShow: { glyph: "lost", group: "ends", say: (e) => [ride(e), " did not show up"] },
  RideExpired: { glyph: "lost", group: "ends", say: (e) => [ride(e), " found no taxi"] },
  DriverLost: { glyph: "lost", group: "system", say: (e) => [driver(e), " sends no signal"] },
  DriverFound: { glyph: "vacant", group: "system", say: (e) => [driver(e), " is back on the air"] },
  DriverRepositioned: {
    glyph: "vacant",
    group: "system",
    say: (e) => [driver(e), " drives to where riders are expected"],
  },
  DriverCameOnline: { glyph: "vacant", group: "system", say: (e) => [driver(e), " starts a shift"] },
  DriverWentOffline: { glyph: "off", group: "system", say: (e) => [driver(e), " ends the shift"] },
  ScenarioStarted: { glyph: "batch", group: "system", say: (e) => [scenario(e), " begins"] },
  ScenarioEnded: {
    glyph: "batch",
    group: "system",
    say: (e) => [scenario(e), e.reason === "stopped" ? " was stopped" : " is over"],
  },
  CommandRejected: { glyph: "struck", group: "system", say: (e) => ["a command was rejected", because(e)] },
};

/** Events as lines. A closed batch is shown with the offers that it made, and left out if it made none. */
export function lines(feed: readonly FeedEvent[]): Line[] {
  let offers = 0;
  const shown: Line[] = [];
  for (const [offset, atMs, type, ids] of feed) {
    if (type === "RideOffered") offers++;
    const form = type === "BatchClosed" ? batch(offers) : (FORMS[type] ?? other(type));
    if (type === "BatchClosed") offers = 0;
    if (form === null) continue;
    const { glyph, group } = form;
    shown.push({ offset, kind: type, atMs, glyph, group, parts: form.say(ids), ride: ids.ride ?? null });
  }
  return shown;
}

function batch(offers: number): Form | null {
  if (offers === 0) return null;
  const made = `: ${offers} ${offers === 1 ? "offer" : "offers"}`;
  return { glyph: "batch", group: "system", say: (e) => ["batch ", { name: count(e.batch ?? 0) }, made] };
}

/** A type of event that this page does not know yet is shown by its name: `PolicyActivated` → "policy activated". */
function other(type: string): Form {
  const words = type.replace(/(?<!^)([A-Z])/g, " $1").toLowerCase();
  return { glyph: "batch", group: "system", say: (e) => [words, because(e)] };
}

const RESETS: Record<string, string> = {
  epoch: "the log was started again",
  expired: "away for longer than a gateway remembers",
  ahead: "the log lost its last records",
  overflow: "this page fell too far behind",
  mismatch: "the rows were wrong",
};

/** Why an image was necessary, in words. */
export function resetWords(reason: string): string {
  return RESETS[reason] ?? reason;
}

export function capital(words: string): string {
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** The beginning of a report: which gateway was lost, and why an image was necessary. */
export function cause({ lost, killed, connectionLost, reason }: Cause): string {
  const why = reason === null ? [] : [resetWords(reason)];
  return connectionLost
    ? [`${lost} ${killed ? "killed" : "lost"}`, ...why].join(", ")
    : capital(why.join(""));
}

/** Where the page itself was, as the beginning of a report. */
export function awayWords({ why, forMs }: Away): string {
  const time = forMs < 99_500 ? `${Math.max(1, Math.round(forMs / 1000))} s` : span(forMs);
  switch (why) {
    case "asleep":
      return `This page was asleep for ${time}`;
    case "left":
      return `This page was left for ${time}`;
    case "clock":
      return `This machine slept, or its clock was set, by ${time}`;
  }
}

/** What stood still, and that it goes on. */
export function stallWords({ positionsMs, decisionsMs }: StallReport): string {
  if (decisionsMs === 0) return `No positions came for ${brief(positionsMs)}`;
  if (positionsMs === 0) return `No decisions came for ${brief(decisionsMs)}`;
  const longer = decisionsMs > positionsMs + 1_000 ? `, decisions for ${brief(decisionsMs)}` : "";
  return `The log stood still for ${brief(positionsMs)}${longer}`;
}

interface Cause {
  readonly lost: string;
  readonly killed: boolean;
  readonly connectionLost: boolean;
  readonly reason: string | null;
}

/** Rides asked for in a page have long random names: enough of one to know it again. */
export function shortRide(id: string): string {
  return id.length > 14 ? `${id.slice(0, 13)}…` : id;
}
