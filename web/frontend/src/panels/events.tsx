// SPDX-License-Identifier: Apache-2.0
/** What just happened? The feed in words, newest first. */

import { useSignal } from "@preact/signals";
import type { Store } from "../app/store";
import { clock } from "../city/format";
import type { Group, Line } from "../city/words";
import { Glyph, IconButton } from "./glyphs";

const ROWS = 8;
const GROUPS: readonly (readonly [Group, string])[] = [
  ["requests", "Requests"],
  ["offers", "Offers"],
  ["pickups", "Pickups"],
  ["trips", "Trips"],
  ["ends", "Ends"],
  ["system", "System"],
];

export function Events({ store, rows = ROWS }: { store: Store; rows?: number }) {
  const open = useSignal(true);
  const filtering = useSignal(false);
  const paused = store.feedPaused;
  return (
    <section class="panel events" aria-label="Events">
      <div class="row spread events-head">
        <h2 class="title">Events</h2>
        <div class="row tight">
          <IconButton
            icon={paused.value ? "play" : "pause"}
            label={paused.value ? "Go on" : "Pause"}
            pressed={paused.value}
            onClick={() => {
              paused.value = !paused.value;
            }}
          />
          <IconButton
            icon="filter"
            label="Filter"
            pressed={store.feedGroups.value !== null}
            expanded={filtering.value}
            onClick={() => {
              filtering.value = !filtering.value;
            }}
          />
          <IconButton
            icon={open.value ? "down" : "up"}
            label={open.value ? "Collapse" : "Expand"}
            expanded={open.value}
            onClick={() => {
              open.value = !open.value;
            }}
          />
        </div>
      </div>
      {open.value && filtering.value && <Groups store={store} />}
      {open.value && <Feed store={store} rows={rows} />}
    </section>
  );
}

function Groups({ store }: { store: Store }) {
  const chosen = store.feedGroups.value;
  const toggle = (group: Group) => {
    const next = new Set(chosen ?? []);
    if (!next.delete(group)) next.add(group);
    store.feedGroups.value = next.size === 0 ? null : next;
  };
  return (
    <fieldset class="groups" aria-label="Show only">
      {GROUPS.map(([group, name]) => (
        <button
          key={group}
          type="button"
          class={chosen?.has(group) ? "chip on" : "chip"}
          aria-pressed={chosen?.has(group) ?? false}
          onClick={() => toggle(group)}
        >
          {name}
        </button>
      ))}
    </fieldset>
  );
}

function Feed({ store, rows }: { store: Store; rows: number }) {
  const chosen = store.feedGroups.value;
  const shown = store.feed.value.filter(({ group }) => !chosen || chosen.has(group)).slice(0, rows);
  return (
    <ol class="feed" aria-live="off">
      {shown.map((line) => (
        <FeedLine key={line.offset} line={line} />
      ))}
      {shown.length === 0 && <li class="none">{chosen ? "Nothing of this kind yet" : "No event yet"}</li>}
    </ol>
  );
}

export function FeedLine({ line }: { line: Line }) {
  return (
    <li>
      <time>{clock(line.atMs)}</time>
      <Glyph name={line.glyph} />
      <span class="words">
        <Words line={line} />
      </span>
    </li>
  );
}

export function Words({ line }: { line: Line }) {
  return (
    <>
      {line.parts.map((part, i) =>
        // A sentence's parts never change places, so their index names them.
        typeof part === "string" ? part : <b key={i}>{part.name}</b>,
      )}
    </>
  );
}
