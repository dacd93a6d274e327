// SPDX-License-Identifier: Apache-2.0
/** All that the panels read. `stream_presenter.ts` and the controllers write it; each panel is a function of it. */

import { computed, signal } from "@preact/signals";
import type { AreaFigures } from "../city/areas";
import { type CheckEvent, NO_CHECKS, reduceChecks } from "../city/checks";
import { type FailoverEvent, NO_FAILOVER, reduceFailover } from "../city/failover";
import type { FeedRow } from "../city/feed";
import type { Found } from "../city/find";
import type { Gazetteer } from "../city/gazetteer";
import type { LayerId, Scale } from "../city/heat";
import type { Sample } from "../city/history";
import type { Neighbourhoods } from "../city/neighbourhoods";
import { NO_OUTAGE, type OutageEvent, reduceOutage } from "../city/outage";
import type { Figures } from "../city/pulse";
import type { Rate } from "../city/rates";
import {
  keyOf,
  kindOf,
  NO_RECOVERY,
  type PartNow,
  type RecoveryEvent,
  reduceRecovery,
} from "../city/recovery";
import type { ScenarioPlan } from "../city/scenario_plans";
import { addKill, addRecovery, readScore, type Score } from "../city/score";
import type { StallState } from "../city/stalls";
import { NO_VERDICTS, verifierFaults } from "../city/verdicts";
import { NO_WINDOWS } from "../city/windows";
import { awayWords, cause, type Group } from "../city/words";
import type { MapTrouble } from "../map/health";
import { atRest, type Fault, type Link, REAL_TIME, type Scenario, type View } from "../stream";
import type { DriverDetails } from "./api";
import type { Ask } from "./ask";
import { faults } from "./faults";
import type { OwnRide } from "./own_ride";
import { isPresenting, type Scene } from "./present";
import { attempt, keep, kept } from "./safely";
import { isOver } from "./tour";
import type { Quote, TaxiShown, Way } from "./ways";

/** The last update, as far as panels need it. */
export interface Held {
  readonly drivers: number;
  readonly byStatus: readonly number[];
  readonly cutMs: number;
  readonly stale: boolean;
}

/** An update after which this page's hash was not the one that the gateway sent. */
export interface HashMismatch {
  readonly cutMs: number;
  readonly own: string;
  readonly received: string;
  readonly at: number;
  /** When a hash matched again. */
  readonly healedAt: number | null;
}

/** Something that was done to the city from this page, or that befell it, at a log time: a line across the charts. */
export interface Mark {
  readonly atMs: number;
  readonly words: string;
}

const MARKS_KEPT = 100;
const SCORE_KEY = "taxistream.score";
/** A shorter outage is not shown. */
const UNNOTICED_MS = 400;
/** How long a mismatch is still shown after a hash matched again. */
const HEALED_SHOWN_MS = 6_000;
/** A gateway sends an update at least once a second: without one for so long the rows are not verified. */
const UNVERIFIED_MS = 2_500;

/** `troubled`: updates arrive and match, and yet something is wrong. */
export type Health = "starting" | "fine" | "troubled" | "reconnecting" | "stale" | "differs" | "refused";

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
  readonly outage = signal(NO_OUTAGE);
  readonly stalls = signal<StallState | null>(null);
  readonly mismatch = signal<HashMismatch | null>(null);
  /** How log time becomes the time that people live by. */
  readonly cityTime = signal(REAL_TIME);
  readonly figures = signal<Figures | null>(null);
  readonly pulseHistory = signal<readonly Sample[]>([]);
  /** Of the whole time that this page is open. */
  readonly runHistory = signal<readonly Sample[]>([]);
  /** Whether the charts are open. */
  readonly charts = signal(false);
  readonly fleetHistory = signal<readonly Sample[]>([]);
  readonly rate = signal<Rate | null>(null);
  readonly feed = signal<readonly FeedRow[]>([]);
  /** Events that no row shows yet. */
  readonly feedWaiting = signal(0);
  readonly feedPaused = signal(false);
  readonly feedGroups = signal<ReadonlySet<Group> | null>(null);
  readonly statusFilter = signal<number | null>(null);
  /** Whether parts can be killed from here: only where a local demo says so. */
  readonly canKill = signal(false);
  readonly notice = signal<string | null>(null);
  /** What came of comparing the rows with the gateway's, update by update. */
  readonly checks = signal(NO_CHECKS);
  readonly failover = signal(NO_FAILOVER);
  /** Since the page opened: gateways that continued from this page's cursor, and full states that were necessary. */
  readonly resumes = signal(0);
  readonly resets = signal(0);
  /** The parts of a local demo; null until they are known. */
  readonly parts = signal<readonly PartNow[] | null>(null);
  readonly recovery = signal(NO_RECOVERY);
  /** What was broken from this browser, and what came of it. */
  readonly score = signal(readScore(kept("local", SCORE_KEY)));
  /** The scenarios that can be started from here; null where none can. */
  readonly scenarioPlans = signal<readonly ScenarioPlan[] | null>(null);
  /** Those under way. */
  readonly scenarios = signal<readonly Scenario[]>([]);
  readonly marks = signal<readonly Mark[]>([]);
  /** Other windows of this browser with the same city. */
  readonly windows = signal(NO_WINDOWS);
  /** The step of the presentation; null where nothing is presented. */
  readonly scene = signal<Scene | null>(isPresenting(attempt(() => location.search, "")) ? "watch" : null);
  /** Whether the proof is open; with room for it, what can be broken is beside it. */
  readonly proof = signal(false);
  /** Whether what can be broken has the proof's place, where there is no room for both. */
  readonly chaos = signal(false);
  /** What was looked for last. */
  readonly found = signal<Found | null>(null);
  readonly openedAt = performance.now();
  readonly tourOver = signal(isOver());
  readonly ask = signal<Ask>({ step: "off" });
  /** The ride that was asked for on this page and has not ended, whether its panel is open or not. */
  readonly ownRide = signal<OwnRide | null>(null);
  /** Its cancellation, as far as it was asked for. */
  readonly cancelling = signal<{ readonly id: string; readonly problem: string | null } | null>(null);
  /** What a ride between the chosen places would be like. */
  readonly quote = signal<Quote | null>(null);
  /** How many candidates of the ride that is shown are on the map. */
  readonly candidatesOnMap = signal(0);
  /** The candidate that is marked in the table and on the map. */
  readonly highlighted = signal<number | null>(null);
  /** The taxi whose panel is open. */
  readonly taxi = signal<TaxiShown | null>(null);
  /** What the gateway's log says of that taxi. */
  readonly taxiDetails = signal<DriverDetails | null>(null);
  /** The neighbourhood whose panel is open, and its figures once they are counted. */
  readonly areaName = signal<string | null>(null);
  readonly area = signal<AreaFigures | null>(null);
  /** The way that the shown taxi has before it. */
  readonly way = signal<Way | null>(null);
  /** Whether the map follows the shown taxi. */
  readonly following = signal(false);
  /** Corners and neighbourhoods by name; null until somebody asks for a ride. */
  readonly gazetteer = signal<Gazetteer | null>(null);
  readonly neighbourhoods = signal<Neighbourhoods | null>(null);
  /** What the map shows beneath the taxis, what the ends of its scale are, and whether the switch for it is open. */
  readonly layer = signal<LayerId | null>(null);
  readonly layerScale = signal<Scale>(null);
  readonly layersOpen = signal(false);
  readonly mapTrouble = signal<MapTrouble | null>(null);
  /** What verifiers say of the gateways. */
  readonly verdicts = signal(NO_VERDICTS);
  /** What the gateway says is wrong. */
  readonly gatewayFaults = signal<readonly Fault[]>([]);
  /** An error of this page's own code, in words. */
  readonly pageError = signal<string | null>(null);
  readonly emptyView = signal(false);
  /** Whether the reader prefers light colours. */
  readonly isDay = signal(false);
  /** One sheet instead of panels around the map. */
  readonly small = signal(false);
  /** The sheet is a column beside the map, and is always whole. */
  readonly low = signal(false);
  /** There is room for a panel on both sides of the map. */
  readonly roomy = signal(true);

  /** Each change of health with the time it came, for `window.taxistream`. */
  readonly healths: { readonly health: Health; readonly at: number }[] = [];

  /** Whether anything can be changed from here: parts, or what takes place in the city. */
  readonly canBreak = computed(() => this.canKill.value || this.scenarioPlans.value !== null);

  readonly ageMs = computed(() =>
    this.verifiedAt.value === null ? null : this.now.value - this.verifiedAt.value,
  );

  /** A mismatch that is there, or was a moment ago. */
  readonly mismatchShown = computed(() => {
    const mismatch = this.mismatch.value;
    if (mismatch === null || mismatch.healedAt === null) return mismatch;
    return this.now.value - mismatch.healedAt < HEALED_SHOWN_MS ? mismatch : null;
  });

  private readonly verifierFaults = computed(() => verifierFaults(this.verdicts.value, this.now.value));

  /** What is wrong although updates arrive. While there is something, the headline does not say that all is well. */
  readonly faults = computed<readonly Fault[]>(() =>
    faults({
      gateway: this.gatewayFaults.value,
      verifiers: this.verifierFaults.value,
      map: this.mapTrouble.value,
      error: this.pageError.value,
      taxis: this.view.value === null ? (this.held.value?.drivers ?? null) : null,
    }),
  );

  readonly health = computed<Health>(() => {
    if (this.link.value.state === "refused") return "refused";
    if (this.mismatch.value?.healedAt === null) return "differs";
    if (this.held.value === null) return "starting";
    const outage = this.outage.value.current;
    if (outage && this.now.value - outage.at > UNNOTICED_MS) return "reconnecting";
    if (this.link.value.isDoubted || (this.ageMs.value ?? 0) > UNVERIFIED_MS) return "reconnecting";
    if (this.held.value.stale) return "stale";
    return this.faults.value.length > 0 ? "troubled" : "fine";
  });

  noteOutage(event: OutageEvent): void {
    const { report } = this.outage.value;
    const next = reduceOutage(this.outage.value, event);
    this.outage.value = next;
    if (next.report === report || !next.report) return;
    if (next.report.killed) this.setScore(addKill(this.score.value, next.report));
    else this.noteMark(next.report.away ? awayWords(next.report.away) : cause(next.report));
  }

  noteCheck(event: CheckEvent): void {
    this.checks.value = reduceChecks(this.checks.value, event);
  }

  noteFailover(event: FailoverEvent): void {
    this.failover.value = reduceFailover(this.failover.value, event);
  }

  noteRecovery(event: RecoveryEvent): void {
    this.recovery.value = reduceRecovery(this.recovery.value, event);
    for (const { part, deed, isOwn, tookMs } of this.recovery.value.done) {
      const what = keyOf(kindOf(part), deed);
      this.setScore(addRecovery(this.score.value, what, tookMs, isOwn && deed === "kill"));
    }
  }

  /** Something was done to the city now, or befell it. */
  noteMark(words: string): void {
    const atMs = this.held.value?.cutMs;
    if (atMs !== undefined) this.marks.value = [...this.marks.value.slice(1 - MARKS_KEPT), { atMs, words }];
  }

  private setScore(score: Score): void {
    this.score.value = score;
    keep("local", SCORE_KEY, JSON.stringify(score));
  }

  /** Keep a change of health. */
  noteHealth(health: Health): void {
    this.healths.push({ health, at: performance.now() });
    if (this.healths.length > HEALTHS_KEPT) this.healths.shift();
  }
}
