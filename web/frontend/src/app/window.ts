// SPDX-License-Identifier: Apache-2.0
/** `window.taxistream`: what the page knows, for tests and the curious. Reading it changes nothing. */

import { cursorText, hashText } from "../stream";
import type { Session } from "./session";

export interface Drawn {
  readonly driver: number;
  readonly status: number;
  readonly lng: number;
  readonly lat: number;
  /** CSS pixels from the map's corner. */
  readonly x: number;
  readonly y: number;
}

function snapshot(session: Session) {
  const { picture, store, ledger } = session;
  const { gateway, story } = store.telling.value;
  return {
    state: store.link.value.state,
    health: store.health.value,
    gateway,
    cursor: picture.cursor && cursorText(picture.cursor),
    /** West, south, east, north of what the rows are of; null is the whole city. */
    view: session.stream.view,
    trusted: session.stream.trusted,
    cutMs: picture.cutMs,
    hash: hashText(picture.hash.a, picture.hash.b),
    cuts: session.cuts,
    hashMismatches: session.hashMismatches,
    resumes: session.resumes,
    resets: session.resets,
    ...ledger.tally(),
    healths: [...store.healths],
    lagMs: store.rate.value?.lagMs ?? null,
    drivers: picture.drivers.n,
    byStatus: [...picture.counts],
    rides: picture.rides.size,
    waiting: store.figures.value?.waiting ?? 0,
    story,
    frames: session.scene?.frames ?? 0,
    mapReady: (session.scene?.map.camera ?? null) !== null,
  };
}

function drawn(session: Session, drivers?: readonly number[], atMost = 50): Drawn[] {
  const { scene, picture } = session;
  if (!scene) return [];
  const asked = drivers ?? [...picture.drivers.slots.keys()].sort((a, b) => a - b).slice(0, atMost);
  return asked.flatMap((driver) => {
    const place = scene.place(driver);
    const slot = picture.drivers.slots.get(driver);
    if (!place || slot === undefined) return [];
    const { x, y } = scene.map.project(place);
    return [{ driver, status: picture.drivers.status[slot]!, lng: place[0], lat: place[1], x, y }];
  });
}

function ride(session: Session, id: string) {
  const row = session.picture.rides.get(id);
  if (!row) return null;
  const { words: _words, lanes: _lanes, ...shown } = row;
  return shown;
}

/** Put the snapshot where tests look for it. */
export function expose(session: Session): void {
  const view = Object.freeze({
    snapshot: () => snapshot(session),
    /** The longest time without a verified cut that ended after `since` (`performance.now()`), or that goes on. */
    longestPause: (since = 0) => session.pauses.longestMs(since),
    /** Where drivers are drawn now: those asked for, or the first by number. */
    drawn: (drivers?: readonly number[], atMost?: number) => drawn(session, drivers, atMost),
    ride: (id: string) => ride(session, id),
    /** The ride asked for on this page. */
    asked: () => session.store.ask.value,
    /** Where a place lies on the map, in CSS pixels. */
    project: (lng: number, lat: number) => session.scene?.map.project([lng, lat]) ?? null,
    view: () => session.scene?.map.view() ?? null,
  });
  Object.defineProperty(window, "taxistream", { value: view });
}
