// SPDX-License-Identifier: Apache-2.0
/** What moves on the map: takes cuts, keeps the motion, and draws a frame whenever the browser asks for one. */

import { isWaiting } from "../city/rides";
import type { Config } from "../config";
import type { Picture } from "../stream";
import { type Cut, goneDrivers, toldDrivers } from "../stream";
import { type Camera, CityMap, type Place } from "./city_map";
import { LogClock } from "./clock";
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

export type MapTrouble = "missing" | "lost" | null;

export class Scene {
  readonly map: CityMap;
  readonly motion: Motion;
  private layer: TaxiLayer;
  private readonly clock = new LogClock();
  private readonly instances = new Instances();
  private riders: readonly Rider[] = [];
  private selected: number | null = null;
  private selectedAt = 0;
  private shown = ALL_STATUSES;
  private uploadedShowMs = 0;
  private uploadedFor: Camera | null = null;
  private drawnAt = 0;
  private lost = false;
  private dirty = false;
  private look: Look;
  frames = 0;

  /** Throws where the browser has no WebGL 2. */
  constructor(box: HTMLElement, config: Config, trouble: (what: MapTrouble) => void) {
    this.look = { ...FULL_LOOK, fixed: new URLSearchParams(location.search).get("look") === "full" };
    this.motion = new Motion(...config.center);
    this.map = new CityMap(box, config, () => this.draw());
    const canvas = this.map.taxiCanvas;
    this.layer = new TaxiLayer(canvas);
    canvas.addEventListener("webglcontextlost", (event) => {
      event.preventDefault();
      this.lost = true;
      trouble("lost");
    });
    canvas.addEventListener("webglcontextrestored", () => {
      this.layer = new TaxiLayer(canvas);
      this.lost = false;
      this.dirty = true;
      trouble(null);
    });
    const frame = (now: number) => {
      requestAnimationFrame(frame);
      if (performance.now() - this.drawnAt > 4) this.draw();
      this.look = pace(this.look, now);
      document.documentElement.dataset["look"] = LOOKS[this.look.level]!;
    };
    requestAnimationFrame(frame);
  }

  /** Follow a cut that was just applied to the picture. */
  take(cut: Cut, picture: Picture, now: number): void {
    if (!cut.stale) this.clock.heard(cut.cutMs, now);
    const showMs = this.showMs(now);
    if (cut.image) this.motion.retain(picture.drivers.slots);
    else this.removeGone(cut, picture);
    for (const driver of toldDrivers(cut)) this.steer(driver, picture, showMs);
    this.riders = [...picture.rides.values()].filter(isWaiting).map(({ pickup: [lng, lat] }) => ({
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

  /** Drivers drawn within a box. */
  within(bounds: readonly [number, number, number, number]): number {
    const box = this.box(bounds);
    let n = 0;
    for (let slot = 0; slot < this.motion.n; slot++) {
      if (inside(box, this.motion.toX[slot]!, this.motion.toY[slot]!)) n++;
    }
    return n;
  }

  /** Who crosses from one tile of the view to another is gone in one block and set in the next: it drives on. */
  private removeGone(cut: Cut, picture: Picture): void {
    for (const driver of goneDrivers(cut)) {
      if (!picture.drivers.slots.has(driver)) this.motion.remove(driver);
    }
  }

  private steer(driver: number, picture: Picture, showMs: number): void {
    const rows = picture.drivers;
    const slot = rows.slots.get(driver)!;
    const fix = {
      lng: rows.lngE5[slot]! / 1e5,
      lat: rows.latE5[slot]! / 1e5,
      atMs: picture.fullMs(rows.at[slot]!),
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
    if (!camera || this.lost || !this.layer) return;
    const now = performance.now();
    const showMs = this.showMs(now);
    if (this.dirty || camera !== this.uploadedFor) this.upload(showMs, camera);
    const { originX, originY } = this.motion;
    this.layer.draw({
      matrix: movedTo(camera.matrix, originX, originY),
      zoom: camera.zoom,
      scale: this.map.scale,
      sinceUploadMs: showMs - this.uploadedShowMs,
      dim: this.selected === null ? 0 : DIM,
      pulse: Math.max(0, 1 - (now - this.selectedAt) / PULSE_MS),
      glows: this.look.level < 2,
    });
    this.drawnAt = now;
    this.frames++;
  }

  private upload(showMs: number, camera: Camera): void {
    const box = grown(this.box(this.map.view().bounds), MARGIN);
    this.instances.fill(this.motion, this.riders, this.selected, showMs, this.shown, box);
    this.layer.upload(this.instances);
    this.uploadedShowMs = showMs;
    this.uploadedFor = camera;
    this.dirty = false;
  }

  private box([west, south, east, north]: readonly [number, number, number, number]): Box {
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
