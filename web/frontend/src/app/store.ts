// SPDX-License-Identifier: Apache-2.0
/** All that the panels read. The session writes it; each panel is a plain function of it. */

import { computed, signal } from "@preact/signals";
import type { Found } from "../city/find";
import type { Sample } from "../city/history";
import type { Figures } from "../city/pulse";
import type { Rate } from "../city/rates";
import { NOTHING_YET } from "../city/story";
import type { Group, Line } from "../city/words";
import type { MapTrouble } from "../map/scene";
import { atRest, type Link, type View } from "../stream";
import type { Ask } from "./ask";
import { isOver } from "./tour";

/** The newest cut, as far as panels care. */
export interface Held {
  readonly drivers: number;
  readonly byStatus: readonly number[];
  readonly cutMs: number;
  readonly stale: boolean;
}

/** A cut whose own hash was not the log's. */
export interface Difference {
  readonly cutMs: number;
  readonly own: string;
  readonly told: string;
  readonly at: number;
  /** When a picture matched again. */
  readonly healedAt: number | null;
}

/** A loss shorter than this is nobody's business. */
const UNNOTICED_MS = 400;
/** How long it is still told that a hash differed, after a picture matched again. */
const HEALED_SHOWN_MS = 6_000;

export type Health = "starting" | "fine" | "reconnecting" | "stale" | "differs" | "refused";

const HEALTHS_KEPT = 50;

export class Store {
  /** Monotonic milliseconds, ten times a second: what makes ages tick. */
  readonly now = signal(performance.now());
  readonly link = signal<Link>(atRest(false));
  readonly retryAt = signal<number | null>(null);
  readonly held = signal<Held | null>(null);
  /** What the rows are of; null is the whole city. */
  readonly view = signal<View>(null);
  readonly verifiedAt = signal<number | null>(null);
  readonly telling = signal(NOTHING_YET);
  readonly difference = signal<Difference | null>(null);
  readonly figures = signal<Figures | null>(null);
  readonly pulseHistory = signal<readonly Sample[]>([]);
  readonly fleetHistory = signal<readonly Sample[]>([]);
  readonly rate = signal<Rate | null>(null);
  readonly feed = signal<readonly Line[]>([]);
  readonly feedPaused = signal(false);
  readonly feedGroups = signal<ReadonlySet<Group> | null>(null);
  readonly statusFilter = signal<number | null>(null);
  /** Whether parts can be killed from here: only where a local demo says so. */
  readonly canKill = signal(false);
  readonly notice = signal<string | null>(null);
  /** What was looked for last. */
  readonly found = signal<Found | null>(null);
  readonly openedAt = performance.now();
  readonly tourOver = signal(isOver());
  readonly ask = signal<Ask>({ step: "off" });
  readonly mapTrouble = signal<MapTrouble>(null);
  readonly emptyView = signal(false);
  readonly small = signal(false);

  /** Each change of health with the time it came, for `window.taxistream`. */
  readonly healths: { readonly health: Health; readonly at: number }[] = [];

  readonly ageMs = computed(() =>
    this.verifiedAt.value === null ? null : this.now.value - this.verifiedAt.value,
  );

  /** A difference that is there, or was a moment ago. */
  readonly differenceTold = computed(() => {
    const difference = this.difference.value;
    if (difference === null || difference.healedAt === null) return difference;
    return this.now.value - difference.healedAt < HEALED_SHOWN_MS ? difference : null;
  });

  readonly health = computed<Health>(() => {
    if (this.link.value.state === "refused") return "refused";
    if (this.difference.value?.healedAt === null) return "differs";
    if (this.held.value === null) return "starting";
    const loss = this.telling.value.loss;
    if (loss && this.now.value - loss.at > UNNOTICED_MS) return "reconnecting";
    return this.held.value.stale ? "stale" : "fine";
  });

  /** Keep a change of health. */
  note(health: Health): void {
    this.healths.push({ health, at: performance.now() });
    if (this.healths.length > HEALTHS_KEPT) this.healths.shift();
  }
}
