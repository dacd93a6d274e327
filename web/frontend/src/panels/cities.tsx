// SPDX-License-Identifier: Apache-2.0
/** Switches to another city. The address keeps the city, so going back in the browser returns to the one before. */

import { cityFragment } from "../app/place_link";
import type { Config } from "../config";

export interface Cities {
  readonly all: readonly Pick<Config, "city" | "title">[];
  /** The city that is shown. */
  readonly shown: string;
}

export function CitySwitch({ cities }: { cities: Cities }) {
  if (cities.all.length < 2) return null;
  return (
    <div class="panel cities">
      <select
        aria-label="City"
        title="Show another city"
        value={cities.shown}
        onChange={({ currentTarget }) => {
          location.hash = cityFragment(currentTarget.value);
        }}
      >
        {cities.all.map(({ city, title }) => (
          <option key={city} value={city}>
            {title}
          </option>
        ))}
      </select>
    </div>
  );
}
