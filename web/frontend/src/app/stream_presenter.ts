// SPDX-License-Identifier: Apache-2.0
/** Puts what the stream reports into the store: rows as figures, events as lines, outages as reports. */

import { batch } from "@preact/signals";
import { areaFigures } from "../city/areas";
import { type About, type FeedAction, type FeedRow, NO_FEED, reduceFeed, waitingEvents } from "../city/feed";
import { History, LongHistory } from "../city/history";
import { Ledger } from "../city/ledger";
import type { Neighbourhoods } from "../city/neighbourhoods";
import { Pulse } from "../city/pulse";
import { Rates } from "../city/rates";
import { DRIVER } from "../city/rides";
import { reduceStalls } from "../city/stalls";
import { heard } from "../city/verdicts";
import { type Line, lines, stallWords } from "../city/words";
import {
  type Fault,
  hashText,
  isServing,
  type Lanes,
  type Link,
  type Ready,
  type Replica,
  type StreamListener,
  sameView,
  type Update,
  type Verdict,
  type View,
} from "../stream";
import type { MapPort } from "./map_port";
import { Pauses } from "./pauses";
import type { Store } from "./store";

/** A page that did nothing for so long was frozen: soon after, it takes its connection for silent. */
const PAUSED_MS = 2_500;
/** So far apart the two clocks are only if one of them was set or stood still. */
const CLOCK_MS = 5_000;
/** As near to the newest cut as it was before. */
const CAUGHT_UP_MS = 2_000;
/** How often `tick` is to be called. */
export const TICK_MS = 100;
/** Neighbourhoods are counted so often while one is shown. */
const AREA_MS = 1_000;

/** Events that change how the city runs: a line across the charts. */
const MARKED: ReadonlySet<string> = new Set([
  "PolicyActivated",
  "EpochStarted",
  "ScenarioStarted",
  "ScenarioEnded",
]);
const BUSY = [DRIVER.toPickup, DRIVER.atPickup, DRIVER.onTrip];
const AT_WORK = [...BUSY, DRIVER.idle, DRIVER.offered];

/** Taxis with a rider or on the way to one, of those on shift with a signal; null without any. */
function utilisation(byStatus: readonly number[]): number | null {
  const sum = (statuses: readonly number[]) => statuses.reduce((n, status) => n + (byStatus[status] ?? 0), 0);
  const atWork = sum(AT_WORK);
  return atWork === 0 ? null : sum(BUSY) / atWork;
}

export interface PresenterOptions {
  readonly map: Pick<MapPort, "take"> | null;
  /** The view that the rows are of. */
  readonly view: () => View;
  readonly onReady: (ready: Ready) => void;
  /** Rows changed, and are verified. */
  readonly onRows: (replica: Replica) => void;
  /** The feed shows another row. */
  readonly onFeedRow?: (row: FeedRow) => void;
  /** Monotonic milliseconds. */
  readonly now?: () => number;
  /** Epoch milliseconds. */
  readonly wallMs?: () => number;
}

export class StreamPresenter implements StreamListener {
  /** Since the page opened. */
  updates = 0;
  /** Updates after which this page's hash was not the gateway's. */
  mismatches = 0;
  resumes = 0;
  resets = 0;
  readonly ledger = new Ledger();
  readonly pauses = new Pauses(TICK_MS);
  readonly pulse = new Pulse();
  private readonly rates = new Rates();
  private areaAtMs = 0;
  private readonly pulseHistory = new History();
  private readonly runHistory = new LongHistory();
  private fleetHistory = new History();
  private feed = NO_FEED;
  /** For the places of rides; null while they are not known. */
  neighbourhoods: Neighbourhoods | null = null;
  private lastUpdateAt = 0;
  private lastCutMs = 0;
  /** When this page last ran, by both clocks. */
  private ranAt = 0;
  private ranWallMs = 0;
  /** It was left, and nothing has run since. */
  private isAway = false;
  private awayMs = 0;
  private cutBeforeMs = 0;
  private readonly now: () => number;
  private readonly wallMs: () => number;

  constructor(
    private readonly store: Store,
    private readonly options: PresenterOptions,
  ) {
    this.now = options.now ?? (() => performance.now());
    this.wallMs = options.wallMs ?? (() => Date.now());
  }

  /** The page is about to be kept for its reader's return (back/forward cache). */
  leave(): void {
    this.isAway = true;
  }

  health(faults: readonly Fault[]): void {
    this.noteRunning();
    this.store.gatewayFaults.value = faults;
  }

  verdict(verdict: Verdict): void {
    this.noteRunning();
    this.store.verdicts.value = heard(this.store.verdicts.value, verdict, this.now());
  }

  ready(ready: Ready): void {
    this.noteRunning();
    if (ready.mode === "resume") this.resumes++;
    this.store.resumes.value = this.resumes;
    const now = { gateway: ready.gateway, fresh: ready.mode === "image" };
    this.store.noteOutage({ type: "ready", ...now });
    this.store.noteCheck({ type: "ready", ...now });
    this.store.noteFailover({ type: "ready", at: this.now(), ...now });
    this.options.onReady(ready);
  }

  reset(reason: string): void {
    this.noteRunning();
    this.resets++;
    this.store.resets.value = this.resets;
    // A mismatch is shown as such, from the update that showed it until the one that heals it.
    if (reason !== "mismatch") this.store.noteOutage({ type: "reset", reason, ...this.lastVerified() });
  }

  link(link: Link, retryInMs: number | null): void {
    this.noteRunning();
    batch(() => {
      this.store.link.value = link;
      this.store.retryAt.value = retryInMs === null ? null : this.now() + retryInMs;
      if (!isServing(link.state) && this.lastUpdateAt > 0) this.noteLoss();
      this.noteLink(link);
    });
  }

  update(update: Update, replica: Replica): void {
    const now = this.noteRunning();
    const moved = update.cutMs > this.lastCutMs;
    this.lastCutMs = update.cutMs;
    batch(() => {
      this.noteVerified(update, replica, now);
      this.rates.add(now, update.bytes, moved && !update.image ? this.wallMs() - update.cutMs : null);
      this.showFigures(update, replica);
      this.options.onRows(replica);
    });
  }

  mismatch(update: Update, own: Lanes, replica: Replica): void {
    const at = this.now();
    this.mismatches++;
    this.noteCheck(update, own, false, at);
    const { drivers, rides } = replica;
    const hashes = [hashText(own.a, own.b), hashText(update.hashA, update.hashB)] as const;
    const rows = [
      `${drivers.n}+${rides.size} rows`,
      `${update.driversHeld}+${update.ridesHeld} rows`,
    ] as const;
    const [text, received] = hashes[0] === hashes[1] ? rows : hashes;
    console.error(`hash differs at ${update.loc}:${update.ev}: own ${text}, the gateway's ${received}`);
    this.store.mismatch.value = { cutMs: update.cutMs, own: text, received, at, healedAt: null };
  }

  /** Time passed: ages and rates grow, and waiting events are shown. */
  tick(): void {
    const { store } = this;
    const now = this.noteRunning();
    this.pauses.tick();
    store.now.value = now;
    store.rate.value = this.rates.read(now);
    const before = this.feed.nextKey;
    this.noteFeed({ type: "tick", now, paused: store.feedPaused.value });
    if (this.feed.nextKey > before) this.options.onFeedRow?.(this.feed.rows[0]!);
  }

  /** The fare of the ride of a row of the feed came. */
  noteFare(key: number, fareCents: number): void {
    this.noteFeed({ type: "fare", key, fareCents });
  }

  private noteFeed(action: FeedAction): void {
    this.feed = reduceFeed(this.feed, action);
    this.store.feed.value = this.feed.rows;
    this.store.feedWaiting.value = waitingEvents(this.feed);
  }

  private about({ ride: id }: Line, replica: Replica): About {
    const ride = (id !== null && replica.rides.get(id)) || null;
    return { ride, where: ride && (this.neighbourhoods?.way(ride) ?? null) };
  }

  /**
   * The page runs now. If it did not for a while, then what it lost meanwhile says nothing about gateways. Clocks that
   * do not count a sleep of the machine are why the wall clock is asked too.
   */
  private noteRunning(): number {
    const [now, wallMs] = [this.now(), this.wallMs()];
    const [ranMs, wallRanMs] = [now - this.ranAt, wallMs - this.ranWallMs];
    const first = this.ranAt === 0;
    [this.ranAt, this.ranWallMs] = [now, wallMs];
    const isLong = ranMs > PAUSED_MS || wallRanMs > CLOCK_MS;
    if (first || !(isLong || this.isAway)) return now;
    const why = this.isAway ? "left" : ranMs > PAUSED_MS ? "asleep" : "clock";
    const away = { why, forMs: Math.max(ranMs, wallRanMs) } as const;
    this.isAway = false;
    this.awayMs = away.forMs;
    this.cutBeforeMs = this.lastCutMs;
    this.store.noteOutage({
      type: "back",
      away,
      at: now,
      ...this.lastVerified(),
      events: this.ledger.events,
    });
    return now;
  }

  private lastVerified() {
    return { lastUpdateAt: this.lastUpdateAt, tally: this.ledger.tally() };
  }

  /** The steps of a failover, as the connection goes through them. */
  private noteLink({ state, isDoubted }: Link): void {
    const at = this.now();
    const { store } = this;
    if (state === "greeting" || state === "handover_greeting") store.noteFailover({ type: "opened", at });
    else if (isDoubted) store.noteFailover({ type: "silent", at });
    else if (!isServing(state) && state !== "connecting") {
      store.noteFailover({ type: "lost", at });
      store.noteCheck({ type: "lost", at });
    }
  }

  /** A connection that was closed because even its image was wrong also counts as a reset. */
  private noteLoss(): void {
    this.store.noteOutage({ type: "lost", ...this.lastVerified() });
    if (this.store.mismatch.value?.healedAt === null)
      this.store.noteOutage({ type: "reset", reason: "mismatch", ...this.lastVerified() });
  }

  private noteCheck(update: Update, own: Lanes, equal: boolean, at: number): void {
    const { cutMs, bytes, image, hashA, hashB } = update;
    const hashes = { own: hashText(own.a, own.b), received: hashText(hashA, hashB) };
    this.store.noteCheck({ type: "checked", at, cutMs, bytes, image, ...hashes, equal });
  }

  private noteVerified(update: Update, replica: Replica, now: number): void {
    const { store } = this;
    this.updates++;
    this.noteCheck(update, replica.hash, true, now);
    this.options.map?.take(update, replica, now);
    if (update.image) this.ledger.restart();
    this.ledger.take(update.feed);
    const said = lines(update.feed);
    this.noteFeed({ type: "events", lines: said, about: (line) => this.about(line, replica) });
    const [tally, { events }] = [this.ledger.tally(), this.ledger];
    const caughtUp =
      update.image || update.stale || update.cutMs - this.cutBeforeMs >= this.awayMs - CAUGHT_UP_MS;
    const { current, back } = store.outage.value;
    const { loc, ev } = update;
    const restart = update.image || current !== null || back !== null;
    const stallsBefore = store.stalls.value;
    store.stalls.value = reduceStalls(store.stalls.value, { loc, ev, at: now, tally, restart });
    const { report: stallBefore } = stallsBefore ?? { report: null };
    const { report } = store.stalls.value;
    if (report && report !== stallBefore) store.noteMark(stallWords(report));
    for (const { kind, parts } of said)
      if (MARKED.has(kind))
        store.noteMark(parts.map((part) => (typeof part === "string" ? part : part.name)).join(""));
    store.noteOutage({ type: "verified", at: now, tally, caughtUp, events });
    if (back) store.noteFailover({ type: "away" });
    store.noteFailover({ type: "verified", at: now, cutMs: update.cutMs, bytes: update.bytes });
    if (store.recovery.value.going.length > 0) store.noteRecovery({ type: "verified", at: now, loc, ev });
    this.lastUpdateAt = now;
    this.pauses.verified(now);
    store.verifiedAt.value = now;
    const mismatch = store.mismatch.value;
    if (mismatch && mismatch.healedAt === null) store.mismatch.value = { ...mismatch, healedAt: now };
  }

  private showFigures(update: Update, replica: Replica): void {
    const { store } = this;
    const view = this.options.view();
    if (!sameView(store.view.value, view)) {
      // The fleet of another part of the city has another history.
      store.view.value = view;
      this.fleetHistory = new History();
    }
    const byStatus = [...replica.counts];
    const { cutMs, stale } = update;
    store.held.value = { drivers: replica.drivers.n, byStatus, cutMs, stale };
    store.cityTime.value = replica.cityTime;
    store.scenarios.value = replica.scenarios;
    const figures = this.pulse.count(replica);
    store.figures.value = figures;
    this.showArea(replica);
    const { waiting, medianMs, p90Ms, served } = figures;
    const [requests, lagMs] = [this.pulse.requestsInMinute(replica), store.rate.value?.lagMs ?? null];
    const pulse = [waiting, medianMs, p90Ms, served, utilisation(byStatus), requests, lagMs];
    store.pulseHistory.value = this.pulseHistory.add(cutMs, pulse);
    store.runHistory.value = this.runHistory.add(cutMs, pulse);
    store.fleetHistory.value = this.fleetHistory.add(cutMs, byStatus);
  }

  /** Count what is in the neighbourhood whose panel is open. */
  private showArea(replica: Replica): void {
    const { areaName, area } = this.store;
    const name = areaName.value;
    const isDue = area.value?.name !== name || Math.abs(replica.cutMs - this.areaAtMs) >= AREA_MS;
    if (name === null || this.neighbourhoods === null || !isDue) return;
    this.areaAtMs = replica.cutMs;
    area.value = areaFigures(name, this.neighbourhoods, replica, this.pulse);
  }
}
