// SPDX-License-Identifier: Apache-2.0
/** What moves on the map: takes updates, keeps the motion, and draws a frame whenever the browser asks for one. */

import type { Hit } from "../app/map_port";
import type { NamedPlace } from "../app/place_link";
import { isWaiting } from "../city/rides";
import type { Config } from "../config";
import type { Replica } from "../stream";
import { changedDrivers, goneDrivers, type Update } from "../stream";
import { type Camera, CityMap, type Place } from "./city_map";
import { LogClock } from "./clock";
import { type Canvas, MapHealth, type MapTrouble } from "./health";
import { type Box, Instances, inside, type Rider } from "./instances";
import { latOf, lngOf, mercatorX, mercatorY } from "./mercator";
import { DELAY_MS, Motion } from "./motion";
import { FULL_LOOK, LOOKS, type Look, pace } from "./pace";
import { TaxiLayer } from "./taxi_layer";

const DIM = 0.42;
const MARGIN = 0.1;
const PULSE_MS = 400;
const ALL_STATUSES = 0x7f;
const HALF_METRES = 2;
const CHECK_MS = 1_000;
/** How near a click has to be: where taxis are many and small, less than a finger. */
const HIT_PX = { city: 10, street: 22 };
const STREET_ZOOM = 15;
/** Nearer, no neighbourhood is named. */
const NAMED_ZOOM_MAX = 15.4;
/** By then a map has loaded its streets, or will not. */
const LOADED_MS = 20_000;

export class Scene {
  readonly map: CityMap;
  readonly motion: Motion;
  /** Null while its context is lost. */
  private layer: TaxiLayer | null = null;
  private readonly clock = new LogClock();
  private readonly instances = new Instances();
  private riders: readonly Rider[] = [];
  private selected: number | null = null;
  private selectedAt = 0;
  private followed: number | null = null;
  private shown = ALL_STATUSES;
  private uploadedShowMs = 0;
  private uploadedFor: Camera | null = null;
  private drawnAt = 0;
  private readonly health = new MapHealth();
  private trouble: MapTrouble | null = null;
  private startedAt = 0;
  private dirty = false;
  private look: Look;
  private readonly checking: ReturnType<typeof setInterval>;
  private isRemoved = false;
  frames = 0;

  /** Throws where the browser has no WebGL 2. `onTrouble` is called whenever the trouble changes. */
  constructor(
    private readonly box: HTMLElement,
    config: Config,
    private readonly onTrouble: (trouble: MapTrouble | null) => void,
    start: NamedPlace = config,
    private isDay = false,
  ) {
    this.look = { ...FULL_LOOK, fixed: new URLSearchParams(location.search).get("look") === "full" };
    this.motion = new Motion(...config.center);
    const events = {
      drawn: () => this.attempt(() => this.draw()),
      lost: (canvas: Canvas) => this.lose(canvas),
      restored: (canvas: Canvas) => this.restore(canvas),
      loaded: (source: string, loaded: boolean) => {
        this.health.load(source, loaded);
        this.reportTrouble();
      },
    };
    this.map = new CityMap(box, config, events, start, isDay);
    const canvas = this.map.taxiCanvas;
    this.layer = new TaxiLayer(canvas);
    canvas.addEventListener("webglcontextlost", (event) => {
      event.preventDefault();
      this.layer = null;
      this.lose("taxis");
    });
    canvas.addEventListener("webglcontextrestored", () =>
      this.attempt(() => {
        this.layer = new TaxiLayer(canvas);
        this.restore("taxis");
      }),
    );
    const frame = (now: number) => {
      if (this.isRemoved) return;
      requestAnimationFrame(frame);
      this.attempt(() => this.frame(now));
    };
    requestAnimationFrame(frame);
    this.startedAt = performance.now();
    this.checking = setInterval(() => this.check(), CHECK_MS);
  }

  /** Take it off the page for good: nothing is drawn or reported any more. */
  remove(): void {
    this.isRemoved = true;
    clearInterval(this.checking);
    this.map.remove();
    this.box.replaceChildren();
  }

  private frame(now: number): void {
    const place = this.followed === null ? null : this.place(this.followed);
    if (place) this.map.centre(place);
    if (performance.now() - this.drawnAt > 4) this.draw();
    this.look = pace(this.look, now);
    document.documentElement.dataset["look"] = LOOKS[this.look.level]!;
  }

  /** An error in drawing ends the drawing: the figures beside the map stay live. */
  private attempt(draw: () => void): void {
    if (this.trouble === "failed" || this.isRemoved) return;
    try {
      draw();
    } catch (error) {
      console.error("the map stopped:", error);
      this.health.fail();
      this.reportTrouble();
    }
  }

  private lose(canvas: Canvas): void {
    if (this.isRemoved) return;
    console.warn(`the WebGL context of the ${canvas} is lost`);
    this.health.lose(canvas, performance.now());
    this.reportTrouble();
  }

  private restore(canvas: Canvas): void {
    this.health.restore(canvas);
    this.dirty = true;
    this.map.redraw();
    this.reportTrouble();
  }

  private check(): void {
    this.health.load("everything", this.map.isReady || performance.now() - this.startedAt < LOADED_MS);
    const aligned = this.health.isLost("ground") ? null : this.map.isAligned();
    if (aligned !== null) this.health.noteAlignment(aligned);
    if (aligned === false) this.map.redraw();
    this.reportTrouble();
  }

  private reportTrouble(): void {
    if (this.isRemoved) return;
    this.box.dataset["lost"] = this.health.lostNames();
    const trouble = this.health.trouble(performance.now());
    if (trouble === this.trouble) return;
    this.trouble = trouble;
    this.onTrouble(trouble);
  }

  /** Follow an update that was just applied to the replica. Never throws. */
  take(update: Update, replica: Replica, now: number): void {
    this.attempt(() => this.takeRows(update, replica, now));
  }

  private takeRows(update: Update, replica: Replica, now: number): void {
    if (!update.stale) this.clock.heard(update.cutMs, now);
    const showMs = this.showMs(now);
    this.motion.speed = replica.cityTime.speed;
    if (update.image) this.motion.retain(replica.drivers.slots);
    else this.removeGone(update, replica);
    for (const driver of changedDrivers(update)) this.steer(driver, replica, showMs);
    this.riders = [...replica.rides.values()].filter(isWaiting).map(({ id, pickup: [lng, lat] }) => ({
      id,
      x: mercatorX(lng / 1e5) - this.motion.originX,
      y: mercatorY(lat / 1e5) - this.motion.originY,
    }));
    this.dirty = true;
  }

  select(driver: number | null): void {
    if (driver === this.selected) return;
    this.selected = driver;
    this.selectedAt = performance.now();
    this.dirty = true;
  }

  /** Show only these statuses; null shows all. */
  filter(statuses: readonly number[] | null): void {
    this.shown = statuses?.reduce((mask, status) => mask | (1 << status), 0) ?? ALL_STATUSES;
    this.dirty = true;
  }

  /** Where a driver is drawn now. */
  place(driver: number): Place | null {
    const slot = this.motion.slots.get(driver);
    if (slot === undefined) return null;
    const [x, y] = this.motion.at(slot, this.showMs(performance.now()));
    return [lngOf(x), latOf(y)];
  }

  /** How much of a driver's glyph is drawn, 0 … 1. */
  opacity(driver: number): number {
    const slot = this.motion.slots.get(driver);
    return slot === undefined ? 0 : this.motion.opacity(slot, this.showMs(performance.now()));
  }

  /** What is drawn at a point: a name, the nearest taxi or waiting rider, or the city's land. */
  hit(point: { readonly x: number; readonly y: number }): Hit | null {
    const name = this.map.nameAt(point);
    if (name !== null) return { what: "area", name };
    return this.nearest(point) ?? (this.isNamedLand(point) ? { what: "land" } : null);
  }

  private isNamedLand(point: { readonly x: number; readonly y: number }): boolean {
    return this.map.view().zoom < NAMED_ZOOM_MAX && this.map.isLand(point);
  }

  private nearest({ x, y }: { readonly x: number; readonly y: number }): Hit | null {
    const showMs = this.showMs(performance.now());
    const { motion } = this;
    const reach = this.map.view().zoom < STREET_ZOOM ? HIT_PX.city : HIT_PX.street;
    let best: { d: number; hit: Hit } = { d: reach, hit: { what: "taxi", driver: 0 } };
    const offer = (place: Place, hit: Hit) => {
      const at = this.map.projectDrawn(place);
      const d = at ? Math.hypot(at.x - x, at.y - y) : reach;
      if (d < best.d) best = { d, hit };
    };
    const box = grown(this.boxOf(this.map.view().bounds), MARGIN);
    for (const { id, x: riderX, y: riderY } of this.riders)
      if (inside(box, riderX, riderY))
        offer([lngOf(riderX + motion.originX), latOf(riderY + motion.originY)], { what: "ride", id });
    for (let slot = 0; slot < motion.n; slot++) {
      if (!inside(box, motion.toX[slot]!, motion.toY[slot]!) || !(this.shown & (1 << motion.status[slot]!)))
        continue;
      const [worldX, worldY] = motion.at(slot, showMs);
      offer([lngOf(worldX), latOf(worldY)], { what: "taxi", driver: motion.id[slot]! });
    }
    return best.d < reach ? best.hit : null;
  }

  /** By day or by night, as the reader prefers. */
  setDay(isDay: boolean): void {
    if (isDay === this.isDay) return;
    this.isDay = isDay;
    this.map.setDay(isDay);
    this.dirty = true;
  }

  follow(driver: number | null): void {
    this.followed = driver;
  }

  /** Drivers drawn within a box. */
  within(bounds: readonly [number, number, number, number]): number {
    const box = this.boxOf(bounds);
    let n = 0;
    for (let slot = 0; slot < this.motion.n; slot++) {
      if (inside(box, this.motion.toX[slot]!, this.motion.toY[slot]!)) n++;
    }
    return n;
  }

  /** A driver that crosses from one tile of the view to another is gone in one block and set in the next. */
  private removeGone(update: Update, replica: Replica): void {
    for (const driver of goneDrivers(update)) {
      if (!replica.drivers.slots.has(driver)) this.motion.remove(driver);
    }
  }

  private steer(driver: number, replica: Replica, showMs: number): void {
    const rows = replica.drivers;
    const slot = rows.slots.get(driver)!;
    const fix = {
      lng: rows.lngE5[slot]! / 1e5,
      lat: rows.latE5[slot]! / 1e5,
      atMs: replica.fullMs(rows.at[slot]!),
      heading: rows.heading[slot]! / 256,
      moving: rows.speed[slot]! / HALF_METRES > 0.5,
      status: rows.status[slot]!,
    };
    this.motion.take(driver, fix, showMs);
  }

  private showMs(now: number): number {
    return this.clock.at(now) - DELAY_MS;
  }

  private draw(): void {
    const camera = this.map?.camera;
    const { layer } = this;
    if (!camera || !layer) return;
    const now = performance.now();
    const showMs = this.showMs(now);
    if (this.dirty || camera !== this.uploadedFor) this.upload(layer, showMs, camera);
    const { originX, originY } = this.motion;
    layer.draw({
      matrix: movedTo(camera.matrix, originX, originY),
      zoom: camera.zoom,
      scale: this.map.scale,
      sinceUploadMs: showMs - this.uploadedShowMs,
      dim: this.selected === null ? 0 : DIM,
      pulse: Math.max(0, 1 - (now - this.selectedAt) / PULSE_MS),
      glows: this.look.level < 2,
      isDay: this.isDay,
    });
    this.drawnAt = now;
    this.frames++;
  }

  private upload(layer: TaxiLayer, showMs: number, camera: Camera): void {
    const box = grown(this.boxOf(this.map.view().bounds), MARGIN);
    this.instances.fill(this.motion, this.riders, this.selected, showMs, this.shown, box);
    layer.upload(this.instances);
    this.uploadedShowMs = showMs;
    this.uploadedFor = camera;
    this.dirty = false;
  }

  private boxOf([west, south, east, north]: readonly [number, number, number, number]): Box {
    const { originX, originY } = this.motion;
    return {
      left: mercatorX(west) - originX,
      right: mercatorX(east) - originX,
      top: mercatorY(north) - originY,
      bottom: mercatorY(south) - originY,
    };
  }
}

/** Wider on each side by a share of its width: what drives into view before the next upload is in it. */
function grown({ left, right, top, bottom }: Box, share: number): Box {
  const [x, y] = [(right - left) * share, (bottom - top) * share];
  return { left: left - x, right: right + x, top: top - y, bottom: bottom + y };
}

/** The matrix for coordinates counted from an origin; the sum is made in 64 bits, so that nothing trembles. */
function movedTo(matrix: Float64Array, x: number, y: number): Float32Array {
  const moved = Float64Array.from(matrix);
  for (let row = 0; row < 4; row++) moved[12 + row]! += matrix[row]! * x + matrix[4 + row]! * y;
  return Float32Array.from(moved);
}
