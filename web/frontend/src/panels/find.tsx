// SPDX-License-Identifier: Apache-2.0
/** Find a taxi, a ride or a neighbourhood (key /): the map goes there, and its panel opens. */

import { Icon } from "./glyphs";
import type { PanelProps } from "./props";

export const FIND_ID = "find";

export function Find({ store, actions }: PanelProps) {
  const { found } = store;
  const nothing = found.value?.what === "nothing" ? found.value.words : null;
  return (
    <search class="find">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          const typed = new FormData(event.currentTarget).get("what");
          actions.find(typeof typed === "string" ? typed : "");
        }}
      >
        <Icon name="search" />
        <input
          id={FIND_ID}
          name="what"
          type="search"
          autocomplete="off"
          spellcheck={false}
          maxLength={80}
          aria-label="Find a taxi, a ride or a neighbourhood"
          aria-keyshortcuts="/"
          placeholder="Find a taxi or ride"
          title="Find a taxi, a ride or a neighbourhood (/)"
          onKeyDown={(event) => {
            if (event.key !== "Escape") return;
            event.currentTarget.value = "";
            event.currentTarget.blur();
            actions.find("");
          }}
        />
        <kbd class="key">/</kbd>
        <p class="note" role="status">
          {nothing}
        </p>
      </form>
    </search>
  );
}
