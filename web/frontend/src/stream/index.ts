// SPDX-License-Identifier: Apache-2.0
/** The client of the browser stream (docs/client-typescript.md). Import from here; the other files are internal. */

import { Connection, type Options } from "./connection.ts";
import type { Link } from "./link.ts";
import type { Fault } from "./messages.ts";
import type { Replica } from "./replica.ts";
import { browser } from "./timed_socket.ts";
import type { View } from "./viewport.ts";

export type { Period } from "./city_time.ts";
export { CityTime, REAL_TIME } from "./city_time.ts";
export type { Options, StreamListener, TokenSource } from "./connection.ts";
export type { Cursor } from "./cursor.ts";
export { cursorText } from "./cursor.ts";
export type { FeedEvent, FeedIds, RideRecord, Update } from "./decode.ts";
export { changedDrivers, DecodeError, decodeUpdate, goneDrivers } from "./decode.ts";
export type { BBox, Grid, Tiles } from "./grid.ts";
export { boxOf, tilesOf } from "./grid.ts";
export type { Lanes } from "./hash.ts";
export { hashText } from "./hash.ts";
export type { Link, LinkState, Refusal } from "./link.ts";
export { atRest, isServing } from "./link.ts";
export type { CheckedGateway, Fault, Ready, Verdict } from "./messages.ts";
export type { Problem, ProblemKind } from "./problem.ts";
export type { DriverRows, HeldRide } from "./replica.ts";
export { fullMs, Replica } from "./replica.ts";
export type { Scenario } from "./scenarios.ts";
export { NO_SCENARIOS } from "./scenarios.ts";
export type { Platform } from "./timed_socket.ts";
export type { View } from "./viewport.ts";
export { sameView } from "./viewport.ts";

/**
 * The rows of a city, kept up to date from any gateway.
 *
 * While `trusted`, `replica` holds the rows at `replica.cursor`, and their hash is the one that the gateway sent.
 * Rows change only before a call of `listener.update` or `listener.mismatch`, never in between.
 */
export interface CityStream {
  readonly replica: Replica;
  /**
   * Whether the rows match the last update's hash: false before the first image, and from a reset or a mismatch to the
   * image that follows it.
   */
  readonly trusted: boolean;
  /** The view that the rows are of; null is the whole city. */
  readonly view: View;
  readonly state: Link;
  /** What the gateway says is wrong, although its updates may come. Empty: it says that all is well. */
  readonly faults: readonly Fault[];
  /** Ask for another view. Rows are of the old one until the update that brings the new one. */
  requestView(view: View): void;
  /** Connect now, also if the next attempt was meant for later; or start over after `unreachable`. */
  start(): void;
  /** End it for good. */
  stop(): void;
}

/** Follow a city. `url` is the socket of a gateway (`wss://…/ws`), or of a proxy before several. */
export function connect(url: string, options: Options): CityStream {
  const connection = new Connection(options, browser(url));
  connection.start();
  return connection;
}
