// SPDX-License-Identifier: Apache-2.0
/** The client of the browser stream (docs/client-typescript.md). Everything else in this folder is its inside. */

import { Connection, type Options } from "./connection";
import type { Link } from "./link";
import type { Picture } from "./state";
import type { View } from "./views";
import { browser } from "./wire";

export type { LinkListener, Options, TokenSource } from "./connection";
export type { Cursor } from "./cursor";
export { cursorText } from "./cursor";
export type { Cut, FeedEvent, FeedIds, RideRecord } from "./decode";
export { DecodeError, decodeCut, goneDrivers, toldDrivers } from "./decode";
export type { Ready } from "./follow";
export type { Box, Grid, Tiles } from "./grid";
export { boxOf, tilesOf } from "./grid";
export type { Lanes } from "./hash";
export { hashText } from "./hash";
export type { Link, LinkState } from "./link";
export { atRest, isServing } from "./link";
export type { DriverRows, HeldRide } from "./state";
export { Picture } from "./state";
export type { View } from "./views";
export { sameView } from "./views";
export type { Surroundings } from "./wire";

/** A city as one client sees it: always the picture of one cursor, whatever happens to gateways. */
export interface CityStream {
  readonly picture: Picture;
  /** Whether the picture is the log's: false until the first image, and between a reset or a mismatch and its image. */
  readonly trusted: boolean;
  /** Of the picture; null is the whole city. */
  readonly view: View;
  readonly state: Link;
  /** Wish for another view. */
  look(view: View): void;
  /** Try now what was meant for later: the network is back. */
  start(): void;
  leave(): void;
}

/** Follow a city. `url` is a gateway's socket (`wss://…/ws`), or of what stands before several. */
export function connect(url: string, options: Options): CityStream {
  const connection = new Connection(options, browser(url));
  connection.start();
  return connection;
}
