// SPDX-License-Identifier: Apache-2.0
/** What a user may do. Panels and keys call these; `session.ts` makes them. */

import type { RideRecord } from "../stream";

export interface Actions {
  /** Kill the gateway that serves this page. */
  kill(): void;
  askForRide(): void;
  /** Close the panel of a ride. */
  closeRide(): void;
  /** Request the ride whose places were chosen. */
  sendRide(): void;
  /** Go to a taxi or a ride; an empty text ends it. */
  find(text: string): void;
  /** Show only drivers of a status; null: all. */
  filter(status: number | null): void;
  /** Go to a ride and open its panel; of one that is no longer held, as it was. */
  showRide(ride: RideRecord): void;
  showTaxi(driver: number): void;
  /** Go to the corner with most traffic. */
  watch(): void;
  showWholeCity(): void;
  zoomBy(steps: number): void;
}
