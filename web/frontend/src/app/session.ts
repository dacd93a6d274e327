// SPDX-License-Identifier: Apache-2.0
/** One page's life with the stream: hands cuts to the picture, the map and the figures, and the user's wishes out. */

import { batch } from "@preact/signals";
import { find } from "../city/find";
import { History } from "../city/history";
import { Ledger } from "../city/ledger";
import { Pulse } from "../city/pulse";
import { Rates } from "../city/rates";
import { hasEnded } from "../city/rides";
import { type Happening, tell } from "../city/story";
import { type Line, lines } from "../city/words";
import type { Config } from "../config";
import type { Scene } from "../map/scene";
import {
  type CityStream,
  type Cut,
  connect,
  hashText,
  isServing,
  type Lanes,
  type Link,
  type LinkListener,
  type Picture,
  type Ready,
  type RideRecord,
  sameView,
  type View,
} from "../stream";
import { canKill, killPart, requestRide, rideStory } from "./api";
import { type AskEvent, ask, type Place } from "./ask";
import { Look } from "./look";
import { Pauses } from "./pauses";
import type { Store } from "./store";
import { Teller } from "./teller";
import { token } from "./token";

const FEED_KEPT = 200;
/** Close enough to tell one taxi from the next. */
const FOUND_ZOOM = 16;
const TICK_MS = 100;
/** In how many steps of two ticks the waiting events are told. */
const TELLING_TICKS = 7;

export class Session implements LinkListener {
  readonly stream: CityStream;
  /** Cuts applied, and those whose hash was not the log's, since the page opened. */
  cuts = 0;
  hashMismatches = 0;
  resumes = 0;
  resets = 0;
  readonly ledger = new Ledger();
  readonly pauses = new Pauses(TICK_MS);
  private readonly pulse = new Pulse();
  private readonly rates = new Rates();
  private readonly pulseHistory = new History();
  private fleetHistory = new History();
  private readonly untold: Line[] = [];
  private readonly look: Look;
  private readonly teller = new Teller(rideStory, (id, { why, fare_cents: fareCents }) =>
    this.wish({ type: "told", id, why, fareCents }),
  );
  private ticks = 0;
  private lastCutAt = 0;
  private lastCutMs = 0;

  constructor(
    config: Config,
    readonly store: Store,
    /** Null where the browser can't draw one. */
    readonly scene: Scene | null,
  ) {
    this.look = new Look(scene?.map ?? null);
    this.stream = connect(`${location.origin.replace(/^http/, "ws")}/ws`, {
      city: config.city,
      view: this.look.first(),
      token,
      listener: this,
    });
    scene?.map.onMove(() => this.look.moved(this.stream));
  }

  get picture(): Picture {
    return this.stream.picture;
  }

  start(): void {
    window.addEventListener("online", () => this.stream.start());
    setInterval(() => this.tick(), TICK_MS);
    void canKill().then((yes) => {
      this.store.canKill.value = yes;
    });
  }

  // --- what the stream says

  ready(ready: Ready): void {
    if (ready.mode === "resume") this.resumes++;
    this.happen({ type: "ready", gateway: ready.gateway, fresh: ready.mode === "image" });
    this.look.know(ready.grid, this.stream);
  }

  reset(reason: string): void {
    this.resets++;
    // A picture that was wrong is told of as such, from the cut that showed it until the one that heals it.
    if (reason !== "mismatch")
      this.happen({ type: "reset", reason, lastCutAt: this.lastCutAt, tally: this.ledger.tally() });
  }

  link(link: Link, retryInMs: number | null): void {
    const now = performance.now();
    batch(() => {
      this.store.link.value = link;
      this.store.retryAt.value = retryInMs === null ? null : now + retryInMs;
      if (!isServing(link.state) && this.lastCutAt > 0) {
        this.lose();
      }
    });
  }

  /** A line that was left because even its image was wrong is told of as such. */
  private lose(): void {
    const since = { lastCutAt: this.lastCutAt, tally: this.ledger.tally() };
    this.happen({ type: "lost", ...since });
    if (this.store.difference.value?.healedAt === null)
      this.happen({ type: "reset", reason: "mismatch", ...since });
  }

  cut(cut: Cut): void {
    const now = performance.now();
    const moved = cut.cutMs > this.lastCutMs;
    this.lastCutMs = cut.cutMs;
    batch(() => this.verified(cut, now, moved));
  }

  private verified(cut: Cut, now: number, moved: boolean): void {
    const { store, picture } = this;
    this.cuts++;
    this.scene?.take(cut, picture, now);
    if (cut.image) this.ledger.restart();
    this.ledger.take(cut.feed);
    this.happen({ type: "verified", at: now, tally: this.ledger.tally() });
    this.lastCutAt = now;
    this.pauses.verified(now);
    if (!sameView(store.view.value, this.stream.view)) this.turnTo(this.stream.view);
    store.verifiedAt.value = now;
    const difference = store.difference.value;
    if (difference && difference.healedAt === null) store.difference.value = { ...difference, healedAt: now };
    this.rates.add(now, cut.bytes, moved && !cut.image ? Date.now() - cut.cutMs : null);
    const byStatus = [...picture.counts];
    store.held.value = { drivers: picture.drivers.n, byStatus, cutMs: cut.cutMs, stale: cut.stale };
    this.figures(cut, byStatus);
    this.followRide();
  }

  /** Of another part of the city the fleet has another history. */
  private turnTo(view: View): void {
    this.store.view.value = view;
    this.fleetHistory = new History();
  }

  differs(cut: Cut, own: Lanes): void {
    const at = performance.now();
    this.hashMismatches++;
    const { drivers, rides } = this.picture;
    const hashes = [hashText(own.a, own.b), hashText(cut.hashA, cut.hashB)] as const;
    const rows = [`${drivers.n}+${rides.size} rows`, `${cut.driversHeld}+${cut.ridesHeld} rows`] as const;
    const [text, told] = hashes[0] === hashes[1] ? rows : hashes;
    console.error(`hash differs at ${cut.loc}:${cut.ev}: own ${text}, the log's ${told}`);
    this.store.difference.value = { cutMs: cut.cutMs, own: text, told, at, healedAt: null };
  }

  private figures(cut: Cut, byStatus: readonly number[]): void {
    const { store } = this;
    const figures = this.pulse.look(this.picture);
    store.figures.value = figures;
    const { waiting, medianMs, p90Ms, served } = figures;
    store.pulseHistory.value = this.pulseHistory.add(cut.cutMs, [waiting, medianMs, p90Ms, served]);
    store.fleetHistory.value = this.fleetHistory.add(cut.cutMs, byStatus);
    this.untold.push(...lines(cut.feed));
    this.untold.splice(0, Math.max(0, this.untold.length - FEED_KEPT));
  }

  private followRide(): void {
    const { store } = this;
    const asked = store.ask.value;
    if (asked.step !== "riding") return;
    const row = this.picture.rides.get(asked.id);
    if (!row || row === asked.row) return;
    this.wish({ type: "seen", row });
    this.show(row);
  }

  /** A ride on the map: its taxi, and where it still has to go. */
  private show(row: RideRecord): void {
    void this.teller.follow(row);
    this.scene?.select(row.driver !== 0 && !hasEnded(row) ? row.driver : null);
    if (row.started !== 0) this.scene?.map.pin("pickup", null);
    if (hasEnded(row)) this.scene?.map.pin("dropoff", null);
  }

  private happen(event: Happening): void {
    this.store.telling.value = tell(this.store.telling.value, event);
  }

  private tick(): void {
    const now = performance.now();
    this.pauses.tick();
    this.store.now.value = now;
    this.store.rate.value = this.rates.read(now);
    if (++this.ticks % 2 === 0 && !this.store.feedPaused.value) this.tellSome();
  }

  /** A batch brings many events at once: they are told one after the other until the next one comes. */
  private tellSome(): void {
    const { store, untold } = this;
    if (untold.length === 0) return;
    const told = untold.splice(0, Math.ceil(untold.length / TELLING_TICKS));
    store.feed.value = [...told.reverse(), ...store.feed.value].slice(0, FEED_KEPT);
  }

  // --- what the user wishes

  async kill(): Promise<void> {
    const { store } = this;
    const gateway = store.telling.value.gateway;
    if (!store.canKill.value || store.telling.value.killing || gateway === "") return;
    store.notice.value = null;
    this.happen({ type: "kill", gateway });
    const problem = await killPart(gateway);
    if (problem === null) return;
    this.happen({ type: "spared" });
    store.notice.value = `${gateway} was not killed: ${problem}`;
  }

  wish(event: AskEvent): void {
    const { store, scene } = this;
    store.ask.value = ask(store.ask.value, event);
    const now = store.ask.value;
    if (event.type === "seen" || event.type === "told") return;
    if (now.step !== "riding") void this.teller.follow(null);
    scene?.map.setCrosshair(now.step === "choosing");
    scene?.map.pin("pickup", now.step === "off" ? null : (now.pickup?.place ?? null));
    scene?.map.pin("dropoff", now.step === "off" ? null : (now.dropoff?.place ?? null));
    if (now.step === "off" || now.step === "choosing") scene?.select(null);
  }

  pick(place: Place): void {
    if (this.store.ask.value.step !== "choosing") return;
    this.wish({ type: "pick", stop: { place, street: this.scene?.map.streetAt(place) ?? null } });
  }

  async send(): Promise<void> {
    this.wish({ type: "send" });
    const asked = this.store.ask.value;
    if (asked.step !== "sending") return;
    const id = `web-${crypto.getRandomValues(new Uint32Array(2)).reduce((text, n) => text + n.toString(36), "")}`;
    const problem = await requestRide(id, asked.pickup.place, asked.dropoff.place);
    this.wish(problem === null ? { type: "accepted", id } : { type: "failed", problem });
  }

  /** Go to a taxi or a ride; nothing typed lets go of what was found. */
  find(text: string): void {
    const { store, scene, picture } = this;
    const where = store.view.value === null ? "the city" : "this view";
    const found = text.trim() === "" ? null : find(text, picture, where);
    store.found.value = found;
    if (found?.what === "nothing") return;
    const driver = found?.what === "taxi" ? found.driver : (found?.ride.driver ?? 0);
    scene?.select(driver || null);
    const place = scene?.place(driver) ?? (found?.what === "ride" ? degrees(found.ride.pickup) : null);
    if (place) scene?.map.fly(place, FOUND_ZOOM);
    if (found?.what === "ride") this.open(found.ride);
  }

  /** A ride that was found, in the panel: unless there is one of this page's own. */
  private open(row: RideRecord): void {
    const stop = (place: Place) => ({ place, street: this.scene?.map.streetAt(place) ?? null });
    this.wish({
      type: "found",
      row,
      pickup: stop(degrees(row.pickup)),
      dropoff: stop(degrees(row.dropoff)),
    });
    const now = this.store.ask.value;
    if (now.step === "riding" && now.id === row.id) this.show(row);
  }

  filter(status: number | null): void {
    this.store.statusFilter.value = status;
    this.scene?.filter(status === null ? null : [status]);
  }
}

function degrees([lng, lat]: readonly [number, number]): Place {
  return [lng / 1e5, lat / 1e5];
}
