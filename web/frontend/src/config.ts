// SPDX-License-Identifier: Apache-2.0

/** A city, as far as the page's shell knows it before the stream speaks (web/page.py). */
export interface Config {
  readonly city: string;
  readonly title: string;
  /** The name of its own land in the layer `land`. */
  readonly land: string;
  /** West, south, east, north. */
  readonly bbox: [number, number, number, number];
  readonly center: readonly [number, number];
  readonly zoom: number;
  /** HTML, to be shown on every map. */
  readonly attribution: string;
  readonly basemap: string;
}

/** The cities that the gateway shows, at least one. The page opens with the first, unless the address names another. */
export function readCities(): Config[] {
  const element = document.getElementById("config");
  if (!element?.textContent) throw new Error("the page came without its configuration");
  const { cities } = JSON.parse(element.textContent) as { cities: Config[] };
  return cities.map((city) => ({ ...city, basemap: at(city.basemap) }));
}

/** The address of what the gateway serves, given relative to the page: a proxy may serve both under a path. */
export function at(path: string): string {
  return new URL(path, document.baseURI).href;
}
