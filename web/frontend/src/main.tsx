// SPDX-License-Identifier: Apache-2.0

import { signal } from "@preact/signals";
import { errorWords } from "./app/error_words";
// First: it catches errors of all other modules.
import { reportErrorsTo, showFatal } from "./app/fatal";
import { followAddress } from "./app/token";
import { expose } from "./app/window";
import { followLight, followWindowSize } from "./app/window_size";
import { CityPage, named } from "./city_page";
import { type Config, readCities } from "./config";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/layout.css";
import "./styles/panels.css";
import "./styles/proof.css";
import "./styles/small.css";

/** The size of the window and the light are the same for all cities. */
const size = { small: signal(false), low: signal(false), roomy: signal(true), isDay: signal(false) };
/** The page of the city that is shown. */
let page: CityPage;

try {
  start(readCities());
  reportErrorsTo((words) => {
    page.store.pageError.value ??= words;
  });
} catch (error) {
  showFatal(errorWords(error));
  throw error;
}

function start(cities: readonly Config[]): void {
  const app = document.getElementById("app")!;
  const box = document.createElement("div");
  box.className = "map";
  const panels = document.createElement("main");
  panels.className = "panels";
  app.replaceChildren(panels, box);
  followWindowSize(size);
  followLight(size.isDay);
  const frame = { cities, box, panels, size };
  page = new CityPage(frame);
  expose(() => page.inspected);
  followAddress();
  window.addEventListener("hashchange", () => {
    if (named(cities).city === page.config.city) {
      page.noteAddress();
      return;
    }
    page.close();
    page = new CityPage(frame);
  });
}
