// SPDX-License-Identifier: Apache-2.0

/** What the page's shell knows before the stream speaks (web/page.py). */
export interface Config {
  readonly city: string;
  readonly title: string;
  /** West, south, east, north. */
  readonly bbox: [number, number, number, number];
  readonly center: readonly [number, number];
  readonly zoom: number;
  /** HTML, to be shown on every map. */
  readonly attribution: string;
  readonly basemap: string;
}

export function readConfig(): Config {
  const element = document.getElementById("config");
  if (!element?.textContent) throw new Error("the page came without its configuration");
  const config = JSON.parse(element.textContent) as Config;
  return { ...config, basemap: at(config.basemap) };
}

/** The address of what the gateway serves, given relative to the page: a proxy may serve both under a path. */
export function at(path: string): string {
  return new URL(path, document.baseURI).href;
}
