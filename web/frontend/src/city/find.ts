// SPDX-License-Identifier: Apache-2.0
/** What somebody typed into "Find": a taxi by its number, a ride by its name. */

import type { Replica, RideRecord } from "../stream";
import { count, taxi } from "./format";
import { shortRide } from "./words";

export type Found =
  | { readonly what: "taxi"; readonly driver: number }
  | { readonly what: "ride"; readonly ride: RideRecord }
  | { readonly what: "nothing"; readonly words: string };

/** The part of the rows that is searched. */
export type Rows = {
  readonly drivers: Pick<Replica["drivers"], "slots">;
  readonly rides: ReadonlyMap<string, RideRecord>;
};

const TAXI = /^(?:t-?)?(\d{1,10})$/i;

/** `where`: what the rows are of, for the answer that a taxi is not among them. */
export function find(text: string, rows: Rows, where: "the city" | "this view"): Found {
  const asked = text.trim();
  const number = TAXI.exec(asked)?.[1];
  if (number === undefined) return ride(asked, rows);
  const driver = Number(number);
  if (rows.drivers.slots.has(driver)) return { what: "taxi", driver };
  return { what: "nothing", words: `No ${taxi(driver)} in ${where}` };
}

function ride(asked: string, { rides }: Rows): Found {
  const exact = rides.get(asked) ?? [...rides.values()].find(({ id }) => shortRide(id) === asked);
  const like = exact ? [exact] : [...rides.values()].filter(({ id }) => asked && id.startsWith(asked));
  const [first] = like;
  if (first && like.length === 1) return { what: "ride", ride: first };
  const words = first ? `${count(like.length)} rides begin with ${asked}` : `No ride ${asked} now`;
  return { what: "nothing", words };
}
