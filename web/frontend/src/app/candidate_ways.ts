// SPDX-License-Identifier: Apache-2.0
/** The candidates of a decision on the map: where each was, and the way that it would have driven to the pickup. */

import { type Explanation, numbered, type SeenCandidate } from "../city/explanation";
import { span } from "../city/format";
import type { route } from "./api";
import type { Badge, MapPort, Place } from "./map_port";
import type { Store } from "./store";

const ROLE: Record<string, string> = { chosen: " · chosen", "runner-up": " · runner-up" };

export class CandidateWays {
  /** What is shown: the decision, and which candidates have a place. */
  private shown = "";
  private badges: readonly Badge[] = [];
  private pickup: Place | null = null;

  constructor(
    private readonly store: Store,
    private readonly map: Omit<MapPort, "take"> | null,
    private readonly fetchRoute: typeof route,
  ) {}

  /** Show a decision. The ways are those at this hour; a candidate without a known place is only in the table. */
  async show(why: Explanation, seen: readonly SeenCandidate[], pickup: Place): Promise<void> {
    const all = numbered(why, seen);
    const placed = all.flatMap(({ place, ...each }) => (place ? [{ ...each, place }] : []));
    const wanted = `${why.batch} ${why.attempt} ${pickup} ${placed.map(({ driver }) => driver)}`;
    if (wanted === this.shown) return;
    this.shown = wanted;
    this.pickup = pickup;
    this.badges = placed.map(({ driver, number, eta_s, role, place }) => ({
      driver,
      number,
      place,
      words: span(eta_s * 1000) + (ROLE[role] ?? ""),
      isChosen: role === "chosen",
      line: null,
    }));
    this.store.candidatesOnMap.value = this.map === null ? 0 : this.badges.length;
    this.draw();
    const lines = await Promise.all(placed.map(({ place }) => this.fetchRoute([place.join(",")], pickup)));
    if (this.shown !== wanted) return;
    this.badges = this.badges.map((badge, i) => {
      const found = lines[i];
      return typeof found === "object" ? { ...badge, line: found.line } : badge;
    });
    this.draw();
  }

  hide(): void {
    if (this.shown === "") return;
    this.shown = "";
    this.badges = [];
    this.store.candidatesOnMap.value = 0;
    this.store.highlighted.value = null;
    this.draw();
  }

  highlight(driver: number | null): void {
    if (this.store.highlighted.value === driver) return;
    this.store.highlighted.value = driver;
    this.draw();
  }

  /** Go to where all of them and the pickup can be seen. */
  fit(): void {
    if (this.pickup && this.badges.length > 0)
      this.map?.map.fit([this.pickup, ...this.badges.map(({ place }) => place)]);
  }

  private draw(): void {
    this.map?.map.candidates(this.badges, this.store.highlighted.value, (driver) => this.highlight(driver));
  }
}
