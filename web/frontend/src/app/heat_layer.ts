// SPDX-License-Identifier: Apache-2.0
/** Keeps the chosen layer of the map in step with the rows. Map data that a layer needs is loaded when it is chosen. */

import { span } from "../city/format";
import type { FeatureList } from "../city/gazetteer";
import {
  between,
  type Heat,
  type LayerId,
  namesOf,
  type Scale,
  StreetSpeeds,
  vacantDensity,
  waitingDensity,
  waitsByName,
} from "../city/heat";
import type { Pulse } from "../city/pulse";
import type { Replica } from "../stream";
import type { MapPort } from "./map_port";
import type { Store } from "./store";

const EVERY_MS = 2_000;
const KMH = 3.6;
/** What is fast in a city; speeds of rows are as people live, whatever the speed of the city. */
const FAST_KMH = 40;

export class HeatLayer {
  private shownAt = Number.NEGATIVE_INFINITY;
  private speeds: StreetSpeeds | null = null;
  private blocks: FeatureList | null = null;
  /** The neighbourhood of each block. */
  private names: readonly (string | null)[] | null = null;

  constructor(
    private readonly store: Store,
    private readonly map: Pick<MapPort, "map"> | null,
    private readonly pulse: () => Pick<Pulse, "waits">,
    private readonly load: (name: "blocks" | "roads") => Promise<FeatureList | null>,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** Choose a layer; null: none. */
  async choose(layer: LayerId | null, replica: Replica): Promise<void> {
    this.store.layer.value = layer;
    this.store.layerScale.value = null;
    this.map?.map.heat(null);
    this.shownAt = Number.NEGATIVE_INFINITY;
    this.follow(replica);
    if (layer === "speeds" && !this.speeds) {
      const roads = await this.load("roads");
      this.speeds = roads && new StreetSpeeds(roads);
    }
    if (layer === "waits") this.blocks ??= await this.load("blocks");
  }

  /** Rows changed. */
  follow(replica: Replica): void {
    const layer = this.store.layer.value;
    const now = this.now();
    if (layer === null || now - this.shownAt < EVERY_MS) return;
    this.shownAt = now;
    const heat = this.heat(layer, replica);
    if (heat) this.map?.map.heat(heat);
  }

  private heat(layer: LayerId, replica: Replica): Heat | null {
    switch (layer) {
      case "vacant":
        return { what: "density", of: layer, points: vacantDensity(replica.drivers) };
      case "waiting":
        return { what: "density", of: layer, points: waitingDensity(replica.rides.values()) };
      case "waits":
        return this.waits();
      case "speeds":
        return this.streets(replica);
    }
  }

  private waits(): Heat | null {
    const places = this.store.neighbourhoods.value;
    if (!places || !this.blocks) return null;
    this.names ??= namesOf(this.blocks, places);
    const medians = waitsByName(this.pulse().waits, places);
    const [short, long] = [Math.min(...medians.values()), Math.max(...medians.values())];
    this.scale(medians.size > 0 ? [span(short), span(long)] : null);
    const values = new Map<number, number>();
    this.names.forEach((name, i) => {
      const median = name === null ? undefined : medians.get(name);
      if (median !== undefined) values.set(i, between(median, short, long));
    });
    return { what: "features", of: "blocks", values };
  }

  private streets({ drivers, cutMs }: Replica): Heat | null {
    if (!this.speeds) return null;
    this.speeds.see(drivers, cutMs);
    const means = this.speeds.means();
    this.scale(means.size > 0 ? [`${FAST_KMH} km/h or more`, "0"] : null);
    const values = new Map([...means].map(([road, mps]) => [road, 1 - between(mps * KMH, 0, FAST_KMH)]));
    return { what: "features", of: "roads", values };
  }

  private scale(scale: Scale): void {
    if (JSON.stringify(scale) !== JSON.stringify(this.store.layerScale.value))
      this.store.layerScale.value = scale;
  }
}
