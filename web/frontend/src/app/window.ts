// SPDX-License-Identifier: Apache-2.0
/** `window.taxistream`: what the page knows, for tests and the curious. Reading it changes nothing. */

import type { Scene } from "../map/scene";
import { type CityStream, cursorText, hashText } from "../stream";
import type { Opening } from "./opening";
import { attempt } from "./safely";
import type { Store } from "./store";
import type { StreamPresenter } from "./stream_presenter";

export interface Drawn {
  readonly driver: number;
  readonly status: number;
  readonly lng: number;
  readonly lat: number;
  /** CSS pixels from the map's corner. */
  readonly x: number;
  readonly y: number;
  /** 0 … 1: a taxi that was put somewhere fades in there. */
  readonly opacity: number;
}

/** What `window.taxistream` reads. */
export interface Inspected {
  readonly stream: Pick<CityStream, "replica" | "view" | "trusted">;
  readonly store: Store;
  readonly presenter: StreamPresenter;
  readonly opening: Pick<Opening, "isOver"> | null;
  /** Null where the browser cannot draw one. */
  readonly scene: Scene | null;
}

function snapshot({ stream, store, presenter, opening, scene }: Inspected) {
  const { replica } = stream;
  const { gateway, report } = store.outage.value;
  return {
    state: store.link.value.state,
    health: store.health.value,
    gateway,
    cursor: replica.cursor && cursorText(replica.cursor),
    /** West, south, east, north of what the rows are of; null is the whole city. */
    view: stream.view,
    trusted: stream.trusted,
    cutMs: replica.cutMs,
    hash: hashText(replica.hash.a, replica.hash.b),
    cuts: presenter.updates,
    hashMismatches: presenter.mismatches,
    resumes: presenter.resumes,
    resets: presenter.resets,
    ...presenter.ledger.tally(),
    healths: [...store.healths],
    lagMs: store.rate.value?.lagMs ?? null,
    drivers: replica.drivers.n,
    byStatus: [...replica.counts],
    rides: replica.rides.size,
    waiting: store.figures.value?.waiting ?? 0,
    outage: report,
    stall: store.stalls.value?.report ?? null,
    frames: scene?.frames ?? 0,
    mapReady: scene?.map.isReady === true && scene.map.camera !== null && opening?.isOver === true,
    mapTrouble: store.mapTrouble.value,
    faults: store.faults.value.map(({ code, text }) => ({ code, text })),
  };
}

function drawn({ scene, stream }: Inspected, drivers?: readonly number[], atMost = 50): Drawn[] {
  const { replica } = stream;
  if (!scene) return [];
  const asked = drivers ?? [...replica.drivers.slots.keys()].sort((a, b) => a - b).slice(0, atMost);
  return asked.flatMap((driver) => {
    const place = scene.place(driver);
    const slot = replica.drivers.slots.get(driver);
    if (!place || slot === undefined) return [];
    const at = scene.map.projectDrawn(place);
    if (!at) return [];
    return [
      {
        driver,
        status: replica.drivers.status[slot]!,
        lng: place[0],
        lat: place[1],
        ...at,
        opacity: scene.opacity(driver),
      },
    ];
  });
}

function ride({ stream }: Inspected, id: string) {
  const row = stream.replica.rides.get(id);
  if (!row) return null;
  const { words: _words, lanes: _lanes, ...shown } = row;
  return shown;
}

/** Put the snapshot where tests look for it. `now`: the page as it is now, because its city may change. */
export function expose(now: () => Inspected & { readonly city: string }): void {
  const view = Object.freeze({
    snapshot: () => ({ city: now().city, ...snapshot(now()) }),
    /** The longest time without a verified update that ended after `since` (`performance.now()`), or that goes on. */
    longestPause: (since = 0) => now().presenter.pauses.longestMs(since),
    /** Where drivers are drawn now: those asked for, or the first by number. */
    drawn: (drivers?: readonly number[], atMost?: number) => drawn(now(), drivers, atMost),
    ride: (id: string) => ride(now(), id),
    /** The ride asked for on this page. */
    asked: () => now().store.ask.value,
    /** Where a place lies on the map, in CSS pixels. */
    project: (lng: number, lat: number) => now().scene?.map.project([lng, lat]) ?? null,
    view: () => now().scene?.map.view() ?? null,
  });
  attempt(() => Object.defineProperty(window, "taxistream", { value: view }), undefined);
}
