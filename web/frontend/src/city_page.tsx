// SPDX-License-Identifier: Apache-2.0
/** The page of one city, from its stream to its panels. Another one takes its place without a reload. */

import { effect } from "@preact/signals";
import { render } from "preact";
import { askAbout } from "./app/api";
import { listenToKeys } from "./app/keys";
import { namedCity, namedPlace } from "./app/place_link";
import { attempt } from "./app/safely";
import { Session } from "./app/session";
import { Store } from "./app/store";
import type { Inspected } from "./app/window";
import type { Config } from "./config";
import type { MapTrouble } from "./map/health";
import { Scene } from "./map/scene";
import { isOpen } from "./panels/detail";
import { Page } from "./panels/page";

const LOOK_AROUND_MS = 1_000;
/** What the panels cover, so that a selection is never under one. */
const PADDING = {
  wide: { top: 80, bottom: 32, left: 0, right: 0 },
  open: { top: 80, bottom: 32, left: 0, right: 352 },
  proof: { top: 80, bottom: 32, left: 0, right: 456 },
  sheet: { top: 88, bottom: 288, left: 0, right: 0 },
  low: { top: 88, bottom: 24, left: 0, right: 352 },
};

/** What outlives the page of a city. */
export interface Frame {
  readonly cities: readonly Config[];
  /** The element of the map, and that of the panels. */
  readonly box: HTMLElement;
  readonly panels: HTMLElement;
  /** The size of the window and the light are the same for all cities. */
  readonly size: Pick<Store, "small" | "low" | "roomy" | "isDay">;
}

/** The city that the address names; the first if it names none, or one that is not there. */
export function named(cities: readonly Config[]): Config {
  const name = namedCity(location.hash);
  return cities.find(({ city }) => city === name) ?? cities[0]!;
}

/** Everything that belongs to one city: its rows and figures, its map, its stream. */
export class CityPage {
  readonly config: Config;
  readonly store = new Store();
  readonly inspected: Inspected & { readonly city: string };
  private readonly session: Session;
  private readonly scene: Scene | null;
  private readonly end = new AbortController();

  constructor({ cities, box, panels, size }: Frame) {
    const { store } = this;
    const config = named(cities);
    this.config = config;
    askAbout(cities.length > 1 ? config.city : null);
    this.until(
      effect(() => {
        store.small.value = size.small.value;
        store.low.value = size.low.value;
        store.roomy.value = size.roomy.value;
        store.isDay.value = size.isDay.value;
      }),
    );
    const scene = draw(box, config, store);
    const session = new Session(config, store, scene);
    this.scene = scene;
    this.session = session;
    if (scene) this.until(...followMap(session, scene, store));
    this.until(
      effect(() => {
        box.dataset["health"] = store.health.value;
        store.noteHealth(store.health.value);
      }),
      effect(() => {
        box.dataset["trouble"] = store.mapTrouble.value ?? "";
      }),
    );
    this.noteAddress();
    document.title = `taxistream: ${config.title}, live`;
    const shown = { all: cities, shown: config.city };
    render(
      <Page store={store} actions={session.actions} attribution={config.attribution} cities={shown} />,
      panels,
    );
    listenToKeys(store, session.actions, this.end.signal);
    const { stream, presenter, opening } = session;
    this.inspected = { city: config.city, stream, store, presenter, opening, scene };
    session.start();
  }

  /** Say so if the address names a city that is not there, and stop saying so when it names this one. */
  noteAddress(): void {
    const { city, title } = this.config;
    const asked = namedCity(location.hash) ?? city;
    this.store.notice.value = asked === city ? null : `No city “${asked}” here: this is ${title}`;
  }

  /** Close the stream, the panels of rides and the map. */
  close(): void {
    this.session.stop();
    this.end.abort();
    this.scene?.remove();
  }

  /** Call these when the page of this city is closed. */
  private until(...disposals: (() => void)[]): void {
    for (const dispose of disposals) this.end.signal.addEventListener("abort", dispose);
  }
}

function followMap(session: Session, scene: Scene, store: Store): (() => void)[] {
  scene.map.onClick((place, at) => session.pick(place, at));
  const looking = setInterval(() => {
    const elsewhere = (store.held.value?.drivers ?? 0) > 0 || store.view.value !== null;
    store.emptyView.value = elsewhere && scene.within(scene.map.view().bounds) === 0;
  }, LOOK_AROUND_MS);
  const lighting = effect(() => scene.setDay(store.isDay.value));
  return [
    lighting,
    effect(() => scene.map.setPadding(PADDING[paddingNow(store)])),
    () => clearInterval(looking),
  ];
}

function paddingNow(store: Store): keyof typeof PADDING {
  if (store.small.value) return store.low.value ? "low" : "sheet";
  if (store.proof.value || store.charts.value) return "proof";
  return isOpen(store) ? "open" : "wide";
}

function canDraw(): boolean {
  return attempt(() => document.createElement("canvas").getContext("webgl2") !== null, false);
}

/** The map with its taxis; without one the figures are still live. */
function draw(box: HTMLElement, config: Config, store: Store): Scene | null {
  try {
    const report = (trouble: MapTrouble | null) => {
      store.mapTrouble.value = trouble;
    };
    return new Scene(box, config, report, namedPlace(location.hash) ?? config, store.isDay.value);
  } catch (error) {
    console.warn("no map:", error);
    box.replaceChildren();
    store.mapTrouble.value = canDraw() ? "failed" : "missing";
    return null;
  }
}
