// SPDX-License-Identifier: Apache-2.0
/** A page without a browser: a store, a presenter fed with real updates, and a map that notes what it is asked. */

import type { Badge, Hit, MapPort, Place, WayLines } from "../../src/app/map_port";
import { Store } from "../../src/app/store";
import { StreamPresenter } from "../../src/app/stream_presenter";
import type { FeedRow } from "../../src/city/feed";
import type { Heat } from "../../src/city/heat";
import { type BBox, decodeUpdate, type Ready, Replica, type View } from "../../src/stream";
import { CUT_MS, type CutSpec, EPOCH, encodeUpdate, type RideSpec, type Row } from "../stream/encode";

export const ROWS: Row[] = [
  { id: 1, x: -7_398_000, y: 4_075_000, at: 5, status: 1 },
  { id: 2, x: -7_397_000, y: 4_076_000, at: 5, status: 5 },
];

export class FakeMap implements MapPort {
  readonly calls: unknown[][] = [];
  /** Drivers that are drawn. */
  places = new Map<number, Place>([[1, [-73.98, 40.75]]]);
  taken = 0;

  take(): void {
    this.taken++;
  }

  select(driver: number | null): void {
    this.calls.push(["select", driver]);
  }

  filter(statuses: readonly number[] | null): void {
    this.calls.push(["filter", statuses]);
  }

  place(driver: number): Place | null {
    return this.places.get(driver) ?? null;
  }

  /** What a click finds. */
  under: Hit | null = null;
  readonly heats: (Heat | null)[] = [];
  outlined: readonly Place[] | null = null;
  badges: readonly Badge[] = [];
  highlighted: number | null = null;
  lines: WayLines = { planned: null, ahead: null };

  hit(): Hit | null {
    return this.under;
  }

  follow(driver: number | null): void {
    this.calls.push(["follow", driver]);
  }

  moved = () => {};
  readonly map = {
    ways: (lines: WayLines) => {
      this.lines = lines;
    },
    onMoved: () => {},
    onDrag: () => {},
    view: () => ({ center: [-73.96, 40.75] as Place, zoom: 15, bounds: [-74.02, 40.7, -73.9, 40.8] as BBox }),
    isReady: true,
    isTouched: false,
    isMoving: false,
    open: (place: Place, zoom: number) => this.calls.push(["open", ...place, zoom]),
    fly: (place: Place, zoom: number) => this.calls.push(["fly", ...place, zoom]),
    fit: (places: readonly Place[]) => this.calls.push(["fit", ...places]),
    heat: (heat: Heat | null) => this.heats.push(heat),
    outline: (polygon: readonly Place[] | null) => {
      this.outlined = polygon;
    },
    candidates: (badges: readonly Badge[], highlighted: number | null) => {
      this.badges = badges;
      this.highlighted = highlighted;
    },
    zoomBy: (steps: number) => this.calls.push(["zoomBy", steps]),
    wholeCity: () => this.calls.push(["wholeCity"]),
    setCrosshair: (on: boolean) => this.calls.push(["crosshair", on]),
    pin: (id: string, place: Place | null) => this.calls.push(["pin", id, place]),
    streetAt: ([lng]: Place) => (lng < -73.95 ? "Broadway" : null),
    onMove: (then: () => void) => {
      this.moved = then;
    },
  };

  /** What was asked of it since the last look. */
  asked(): unknown[][] {
    return this.calls.splice(0);
  }
}

/** A presenter, its store, and the stream before it. Time does not pass unless a test moves it. */
export class FakePage {
  readonly store = new Store();
  readonly map = new FakeMap();
  readonly replica = new Replica();
  readonly readies: Ready[] = [];
  now = 10_000;
  wallAheadMs = 0;
  view: View = null;
  rowsSeen = 0;
  readonly rowsShown: FeedRow[] = [];
  readonly presenter = new StreamPresenter(this.store, {
    map: this.map,
    view: () => this.view,
    onReady: (ready) => this.readies.push(ready),
    onRows: () => this.rowsSeen++,
    onFeedRow: (row) => this.rowsShown.push(row),
    now: () => this.now,
    wallMs: () => CUT_MS + 250 + this.wallAheadMs,
  });
  private at: [number, number] = [0, 0];

  /** A gateway serves the page. */
  ready(gateway: string, mode: "image" | "resume" = "image"): void {
    this.presenter.ready({ gateway, mode, epoch: EPOCH } as Ready);
  }

  image(rows = ROWS, rides: RideSpec[] = []): void {
    this.apply({ image: true, to: [10, 5], rows, rides });
  }

  /** An update that follows the last one. The rows after it are `held`, or those of the update alone. */
  next(changes: Partial<CutSpec> & { held: { rows: Row[]; rides: RideSpec[] } }): void {
    const [loc, ev] = this.at;
    this.apply({ from: this.at, to: [loc + 1, ev + 1], cutMs: CUT_MS + loc, ...changes });
  }

  /** A tenth of a second passes. */
  tick(times = 1): void {
    for (let i = 0; i < times; i++) {
      this.now += 100;
      this.presenter.tick();
    }
  }

  private apply(spec: CutSpec): void {
    const update = decodeUpdate(encodeUpdate(spec));
    const outcome = this.replica.apply(update, EPOCH);
    this.at = spec.to;
    if (outcome.kind === "mismatch") this.presenter.mismatch(update, outcome.own, this.replica);
    else if (outcome.kind === "applied") this.presenter.update(update, this.replica);
    else throw new Error(outcome.kind);
  }
}
