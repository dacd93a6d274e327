// SPDX-License-Identifier: Apache-2.0
/** Asking for a ride, step by step, or looking at one that was found. A pure reduction; the request itself is `ride_controller.ts`'s. */

import type { Explanation, RideStep, SeenCandidate } from "../city/explanation";
import type { RideRecord } from "../stream";
import type { Place } from "./map_port";

export interface Stop {
  readonly place: Place;
  readonly street: string | null;
}

export type Ask =
  | { readonly step: "off" }
  | {
      readonly step: "choosing";
      readonly pickup: Stop | null;
      readonly dropoff: Stop | null;
      readonly problem: string | null;
    }
  | { readonly step: "sending"; readonly pickup: Stop; readonly dropoff: Stop }
  | {
      readonly step: "riding";
      readonly id: string;
      readonly pickup: Stop;
      readonly dropoff: Stop;
      readonly row: RideRecord | null;
      /** Whether it was asked for here. */
      readonly own: boolean;
      /** Of the last driver that a gateway explained. */
      readonly why: Explanation | null;
      readonly fareCents: number | null;
      /** Of the candidates in `why`. */
      readonly candidates: readonly SeenCandidate[];
      /** Its offers and orders so far. */
      readonly steps: readonly RideStep[];
    };

export type AskEvent =
  | { readonly type: "begin" }
  /** Choose again, with the places of the ride that is shown. */
  | { readonly type: "again" }
  /** A ride that was asked for on this page before. */
  | { readonly type: "resumed"; readonly id: string; readonly pickup: Stop; readonly dropoff: Stop }
  | { readonly type: "cancel" }
  | { readonly type: "pick"; readonly stop: Stop }
  | { readonly type: "set"; readonly what: "pickup" | "dropoff"; readonly stop: Stop }
  | { readonly type: "clear"; readonly what: "pickup" | "dropoff" }
  | { readonly type: "send" }
  | { readonly type: "accepted"; readonly id: string }
  | { readonly type: "failed"; readonly problem: string }
  | { readonly type: "found"; readonly row: RideRecord; readonly pickup: Stop; readonly dropoff: Stop }
  | { readonly type: "row"; readonly row: RideRecord }
  | {
      readonly type: "details";
      readonly id: string;
      readonly why: Explanation | null;
      readonly fareCents: number | null;
      readonly candidates?: readonly SeenCandidate[];
      readonly steps?: readonly RideStep[];
    };

const UNKNOWN = { why: null, fareCents: null, candidates: [], steps: [] };
const FRESH: Ask & { step: "choosing" } = { step: "choosing", pickup: null, dropoff: null, problem: null };

export function ask(now: Ask, event: AskEvent): Ask {
  switch (event.type) {
    case "begin":
      return now.step === "off" || now.step === "riding" ? FRESH : now;
    case "again":
      return now.step === "riding"
        ? { ...FRESH, pickup: now.pickup, dropoff: now.dropoff }
        : ask(now, { type: "begin" });
    case "resumed": {
      const { id, pickup, dropoff } = event;
      return { ...UNKNOWN, step: "riding", id, pickup, dropoff, row: null, own: true };
    }
    case "cancel":
      return { step: "off" };
    case "pick":
      return now.step === "choosing" ? picked(now, event.stop) : now;
    case "set":
      return now.step === "choosing" ? { ...now, [event.what]: event.stop, problem: null } : now;
    case "clear":
      return now.step === "choosing" ? { ...now, [event.what]: null } : now;
    case "send":
      if (now.step !== "choosing" || !now.pickup || !now.dropoff) return now;
      return { step: "sending", pickup: now.pickup, dropoff: now.dropoff };
    case "accepted":
      return now.step === "sending"
        ? { ...now, ...UNKNOWN, step: "riding", id: event.id, row: null, own: true }
        : now;
    case "failed":
      if (now.step !== "sending") return now;
      return { step: "choosing", pickup: now.pickup, dropoff: now.dropoff, problem: event.problem };
    case "found":
      return now.step === "choosing" || now.step === "sending"
        ? now
        : { ...UNKNOWN, step: "riding", ...found(event), own: false };
    case "row":
      return now.step === "riding" && event.row.id === now.id ? { ...now, row: event.row } : now;
    case "details":
      return now.step === "riding" && event.id === now.id ? { ...now, ...learned(now, event) } : now;
  }
}

/** Another gateway may know less: what is known stays. */
function learned(now: Ask & { step: "riding" }, event: AskEvent & { type: "details" }) {
  const { why, fareCents, candidates = [], steps = [] } = event;
  return {
    why: why ?? now.why,
    fareCents: fareCents ?? now.fareCents,
    candidates: why ? candidates : now.candidates,
    steps: steps.length >= now.steps.length ? steps : now.steps,
  };
}

function found({ row, pickup, dropoff }: AskEvent & { type: "found" }) {
  return { id: row.id, row, pickup, dropoff };
}

/** The first click is the pickup, the next one the drop-off; a further one moves the drop-off. */
function picked(now: Ask & { step: "choosing" }, stop: Stop): Ask {
  return now.pickup ? { ...now, dropoff: stop, problem: null } : { ...now, pickup: stop, problem: null };
}
