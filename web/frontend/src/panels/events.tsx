// SPDX-License-Identifier: Apache-2.0
/** What just happened? The feed in words, newest first, at a pace that can be read. */

import { useSignal } from "@preact/signals";
import type { Actions } from "../app/actions";
import type { Store } from "../app/store";
import type { FeedRow } from "../city/feed";
import { clock, count, dollars } from "../city/format";
import type { Group, Line } from "../city/words";
import type { CityTime } from "../stream";
import { Glyph, IconButton } from "./glyphs";
import type { PanelProps } from "./props";

const ROWS = 6;
const GROUPS: readonly (readonly [Group, string])[] = [
  ["requests", "Requests"],
  ["offers", "Offers"],
  ["pickups", "Pickups"],
  ["trips", "Trips"],
  ["ends", "Ends"],
  ["system", "System"],
];

export function Events({ store, actions, rows = ROWS }: PanelProps & { rows?: number }) {
  const open = useSignal(true);
  const filtering = useSignal(false);
  const paused = store.feedPaused;
  return (
    <section class="panel events" aria-label="Events">
      <div class="row spread events-head">
        <h2 class="title">
          Events
          {paused.value && <span class="held">{held(store.feedWaiting.value)}</span>}
        </h2>
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
      {open.value && <Feed store={store} actions={actions} rows={rows} />}
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

/** Events that wait while the feed is paused. */
function held(n: number): string {
  return n === 0 ? "paused" : `paused, ${count(n)} more`;
}

function Feed({ store, actions, rows }: PanelProps & { rows: number }) {
  const chosen = store.feedGroups.value;
  const shown = store.feed.value.filter(({ line }) => !chosen || chosen.has(line.group)).slice(0, rows);
  return (
    <ol class="feed" aria-live="off">
      {shown.map((row) => (
        <li key={row.key}>
          <FeedLine row={row} actions={actions} cityTime={store.cityTime.value} />
        </li>
      ))}
      {shown.length === 0 && <li class="none">{chosen ? "Nothing of this kind yet" : "No event yet"}</li>}
    </ol>
  );
}

/** A row opens its ride, if there is one. */
type FeedLineProps = { row: FeedRow; actions: Actions; cityTime: CityTime };

function FeedLine({ row, actions, cityTime }: FeedLineProps) {
  const { ride } = row;
  if (ride === null)
    return (
      <div class="feed-row">
        <FeedWords row={row} cityTime={cityTime} />
      </div>
    );
  return (
    <button type="button" class="feed-row" title="Open this ride" onClick={() => actions.showRide(ride)}>
      <FeedWords row={row} cityTime={cityTime} />
    </button>
  );
}

/** A row's content: what happened, where, for how much, and how many others were like it. */
export function FeedWords({ row, cityTime }: { row: FeedRow; cityTime: CityTime }) {
  const { line, where, fareCents, more } = row;
  // The places may be cut off, the fare may not.
  const notes = [fareCents === null ? null : dollars(fareCents), where].filter((note) => note !== null);
  return (
    <>
      <span class="at">
        <time>{clock(cityTime.at(line.atMs))}</time>
        {more > 0 && (
          <small title={`and ${count(more)} more of this kind`}>
            +{count(more)}
            <span class="unseen"> more of this kind</span>
          </small>
        )}
      </span>
      <Glyph name={line.glyph} />
      <span class="words">
        <Words line={line} />
        {notes.length > 0 && <small>{notes.join(" · ")}</small>}
      </span>
    </>
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
