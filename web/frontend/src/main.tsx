// SPDX-License-Identifier: Apache-2.0
import { effect } from "@preact/signals";
import { render } from "preact";
import { listenToKeys } from "./app/keys";
import { Session } from "./app/session";
import { Store } from "./app/store";
import { followAddress } from "./app/token";
import { expose } from "./app/window";
import { readConfig } from "./config";
import { Scene } from "./map/scene";
import { Page } from "./panels/page";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/layout.css";
import "./styles/panels.css";
import "./styles/small.css";

const SMALL = "(max-width: 720px)";
const LOOK_AROUND_MS = 1_000;
const SHEET_PADDING = { top: 88, bottom: 288, left: 0, right: 0 };

const config = readConfig();
const store = new Store();

const app = document.getElementById("app")!;
const box = document.createElement("div");
box.className = "map";
const panels = document.createElement("main");
panels.className = "panels";
app.append(panels, box);

const small = matchMedia(SMALL);
const measure = () => {
  store.small.value = small.matches;
};
small.addEventListener("change", measure);
measure();

const scene = draw();
const session = new Session(config, store, scene);
if (scene) {
  scene.map.onClick((place) => session.pick(place));
  effect(() =>
    scene.map.setPadding(store.small.value ? SHEET_PADDING : { top: 0, bottom: 0, left: 0, right: 0 }),
  );
  setInterval(() => {
    const elsewhere = (store.held.value?.drivers ?? 0) > 0 || store.view.value !== null;
    store.emptyView.value = elsewhere && scene.within(scene.map.view().bounds) === 0;
  }, LOOK_AROUND_MS);
}

effect(() => {
  box.dataset["health"] = store.health.value;
  store.note(store.health.value);
});
render(<Page session={session} config={config} />, panels);
listenToKeys(session);
expose(session);
session.start();
followAddress();

/** The map with its taxis; without one the figures are still live. */
function draw(): Scene | null {
  try {
    return new Scene(box, config, (trouble) => {
      store.mapTrouble.value = trouble;
    });
  } catch (error) {
    console.warn("no map:", error);
    store.mapTrouble.value = "missing";
    return null;
  }
}
