// SPDX-License-Identifier: Apache-2.0

import { effect } from "@preact/signals";
import { render } from "preact";
import { errorWords } from "./app/error_words";
// First: it catches errors of all other modules.
import { reportErrorsTo, showFatal } from "./app/fatal";
import { listenToKeys } from "./app/keys";
import { namedPlace } from "./app/place_link";
import { attempt } from "./app/safely";
import { Session } from "./app/session";
import { Store } from "./app/store";
import { followAddress } from "./app/token";
import { expose } from "./app/window";
import { followWindowSize } from "./app/window_size";
import { type Config, readConfig } from "./config";
import type { MapTrouble } from "./map/health";
import { Scene } from "./map/scene";
import { Page } from "./panels/page";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/layout.css";
import "./styles/panels.css";
import "./styles/small.css";

const LOOK_AROUND_MS = 1_000;
/** What the panels cover, so that a selection is never under one. */
const PADDING = {
  wide: { top: 80, bottom: 32, left: 0, right: 0 },
  open: { top: 80, bottom: 32, left: 0, right: 352 },
  sheet: { top: 88, bottom: 288, left: 0, right: 0 },
  low: { top: 88, bottom: 24, left: 0, right: 352 },
};

const store = new Store();

try {
  start(readConfig());
  reportErrorsTo((words) => {
    store.pageError.value ??= words;
  });
} catch (error) {
  showFatal(errorWords(error));
  throw error;
}

function start(config: Config): void {
  const app = document.getElementById("app")!;
  const box = document.createElement("div");
  box.className = "map";
  const panels = document.createElement("main");
  panels.className = "panels";
  app.replaceChildren(panels, box);
  followWindowSize(store);

  const scene = draw(box, config);
  const session = new Session(config, store, scene);
  if (scene) followMap(session, scene);
  effect(() => {
    box.dataset["health"] = store.health.value;
    store.noteHealth(store.health.value);
  });
  effect(() => {
    box.dataset["trouble"] = store.mapTrouble.value ?? "";
  });
  render(<Page store={store} actions={session.actions} attribution={config.attribution} />, panels);
  listenToKeys(store, session.actions);
  expose({ stream: session.stream, store, presenter: session.presenter, opening: session.opening, scene });
  session.start();
  followAddress();
}

function followMap(session: Session, scene: Scene): void {
  scene.map.onClick((place) => session.pick(place));
  effect(() => scene.map.setPadding(PADDING[paddingNow()]));
  setInterval(() => {
    const elsewhere = (store.held.value?.drivers ?? 0) > 0 || store.view.value !== null;
    store.emptyView.value = elsewhere && scene.within(scene.map.view().bounds) === 0;
  }, LOOK_AROUND_MS);
}

function paddingNow(): keyof typeof PADDING {
  if (store.small.value) return store.low.value ? "low" : "sheet";
  return store.ask.value.step === "off" ? "wide" : "open";
}

function canDraw(): boolean {
  return attempt(() => document.createElement("canvas").getContext("webgl2") !== null, false);
}

/** The map with its taxis; without one the figures are still live. */
function draw(box: HTMLElement, config: Config): Scene | null {
  try {
    const report = (trouble: MapTrouble | null) => {
      store.mapTrouble.value = trouble;
    };
    return new Scene(box, config, report, namedPlace(location.hash) ?? config);
  } catch (error) {
    console.warn("no map:", error);
    box.replaceChildren();
    store.mapTrouble.value = canDraw() ? "failed" : "missing";
    return null;
  }
}
