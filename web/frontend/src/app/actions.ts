// SPDX-License-Identifier: Apache-2.0
/** What a user may do. Panels and keys call these; `session.ts` makes them. */

import type { LayerId } from "../city/heat";
import type { RideRecord } from "../stream";
import type { PartAction } from "./api";
import type { Stop } from "./ask";

export interface Actions {
  /** Kill the gateway that serves this page. */
  kill(): void;
  /** Kill, freeze or wake a part of a local demo. */
  act(part: string, action: PartAction): void;
  /** Kill or freeze any part. */
  surprise(): void;
  /** Start or stop a scenario. */
  actOnScenario(name: string, action: "start" | "stop"): void;
  /** Set how much demand there is; null: the usual one. */
  setDemand(step: string | null): void;
  /** Go to the next step of the presentation. */
  nextScene(): void;
  /** Show what is verified and how, or no longer. */
  showProof(on: boolean): void;
  /** Show what can be broken in the proof's place, where there is no room for both. */
  showChaos(on: boolean): void;
  /** Open this page a second time beside this one. */
  openSecondWindow(): void;
  /** Choose the places of a ride; or show the one that is under way. */
  askForRide(): void;
  /** Choose again, with the places of the ride that is shown. */
  askAgain(): void;
  /** Close the panel that is open. */
  closePanel(): void;
  /** Set a place of the ride by its name, or take it back (null). */
  setStop(what: "pickup" | "dropoff", stop: Stop | null): void;
  /** The place in the middle of the map; null where there is no map. */
  middle(): Stop | null;
  /** Cancel the ride in the panel. */
  cancelRide(): void;
  /** Have the map follow the taxi that is shown, or no longer. */
  follow(on: boolean): void;
  /** Request the ride whose places were chosen. */
  sendRide(): void;
  /** Go to a taxi or a ride; an empty text ends it. */
  find(text: string): void;
  /** Show only drivers of a status; null: all. */
  filter(status: number | null): void;
  /** Go to a ride and open its panel; of one that is no longer held, as it was. */
  showRide(ride: RideRecord): void;
  /** Mark a candidate in the table and on the map; null: none. */
  highlight(driver: number | null): void;
  /** Go to where all candidates of the ride can be seen. */
  fitCandidates(): void;
  /** Go to a taxi and open its panel. */
  showTaxi(driver: number): void;
  /** Show the city's pulse as charts, or no longer. */
  showCharts(on: boolean): void;
  /** Show a layer of the map beneath the taxis; null: none. */
  showLayer(layer: LayerId | null): void;
  /** Go to a neighbourhood and open its panel. */
  showArea(name: string): void;
  /** Go to the corner with most traffic. */
  watch(): void;
  showWholeCity(): void;
  zoomBy(steps: number): void;
}
