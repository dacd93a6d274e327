// SPDX-License-Identifier: Apache-2.0
/** What is wrong although updates arrive: what the gateway reports, and what the page finds in itself. A pure function. */

import type { MapTrouble } from "../map/health";
import type { Fault } from "../stream";

export interface Seen {
  /** Of the gateway that serves. */
  readonly gateway: readonly Fault[];
  /** What verifiers found: a gateway whose rows are not those of the log. */
  readonly verifiers: readonly Fault[];
  readonly map: MapTrouble | null;
  /** An error of this page's own code. */
  readonly error: string | null;
  /** Taxis in the whole city; null if only a part of it is requested, and before the first image. */
  readonly taxis: number | null;
}

export const MAP_WORDS: Record<MapTrouble, string> = {
  missing: "This browser cannot draw the map, which needs WebGL 2: the figures beside it stay live",
  lost: "The map is paused, because the browser lost its graphics context: trying again",
  gone: "The map is gone, because the browser did not give its graphics context back: reload the page; the figures beside it stay live",
  misplaced: "Taxis and streets do not match, so taxis are hidden: the map is drawn again",
  failed:
    "The map stopped because of an error in this page: reload the page; the figures beside it stay live",
  unloaded: "Streets or names could not be loaded: trying again; the taxis are right",
};

/** The gravest first: what is not drawn right, what differs from the log, then what the gateway reports, then what follows from it. */
export function faults({ gateway, verifiers, map, error, taxis }: Seen): readonly Fault[] {
  const all: Fault[] = [];
  if (error !== null) {
    all.push({
      code: "page_error",
      text: `This page had an error, and what it shows may be wrong: reload it (${error})`,
    });
  }
  if (map !== null) all.push({ code: `map_${map}`, text: MAP_WORDS[map] });
  all.push(...verifiers, ...gateway);
  if (taxis === 0 && gateway.length === 0) {
    all.push({ code: "no_taxis", text: "There are no taxis: no position of the last minute counts" });
  }
  return all;
}

/** A fault's text in two: what is wrong, and what more there is to say. */
export function headAndRest({ text }: Fault): readonly [head: string, rest: string] {
  const [, head, rest] = /^(.{4,}?)(?:: |; | \()(.*)$/s.exec(text) ?? [null, text, ""];
  const whole = rest!.endsWith(")") && text.includes(` (${rest}`) ? rest!.slice(0, -1) : rest!;
  return [capital(head!), whole];
}

function capital(words: string): string {
  return words.charAt(0).toUpperCase() + words.slice(1);
}
