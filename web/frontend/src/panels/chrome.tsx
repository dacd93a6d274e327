// SPDX-License-Identifier: Apache-2.0
/** What surrounds the map: tools, zoom, credit, the empty view, and the sentences for a map that can't be drawn. */

import type { Session } from "../app/session";
import type { Store } from "../app/store";
import { count } from "../city/format";
import type { Story } from "../city/story";
import { cause } from "../city/words";
import { Find } from "./find";
import { Icon, IconButton } from "./glyphs";

export function Tools({ session }: { session: Session }) {
  const on = session.store.ask.value.step !== "off";
  return (
    <nav class="panel tools" aria-label="Tools">
      <Find session={session} />
      <button
        type="button"
        class={on ? "btn quiet on" : "btn quiet"}
        aria-pressed={on}
        aria-keyshortcuts="a"
        title="Ask for a ride (A)"
        onClick={() => session.wish({ type: on ? "cancel" : "begin" })}
      >
        <Icon name="pin" />
        <span class="t">Ask for a ride</span>
      </button>
    </nav>
  );
}

export function Zoom({ session }: { session: Session }) {
  const map = () => session.scene?.map;
  return (
    <fieldset class="panel zoom" aria-label="Map view">
      <IconButton icon="plus" label="Zoom in" onClick={() => map()?.zoomBy(1)} />
      <IconButton icon="minus" label="Zoom out" onClick={() => map()?.zoomBy(-1)} />
      <IconButton icon="whole" label="Whole city" onClick={() => map()?.wholeCity()} />
    </fieldset>
  );
}

/** The makers of the map's data, always in sight. The HTML is the city's own (cities/…/city.json). */
export function Credit({ html }: { html: string }) {
  return <p class="credit" dangerouslySetInnerHTML={{ __html: html }} />;
}

export function EmptyView({ session }: { session: Session }) {
  const { store } = session;
  if (!store.emptyView.value || store.ask.value.step !== "off") return null;
  const drivers = store.held.value?.drivers ?? 0;
  // Asked for only what the map shows, nobody knows how many drive elsewhere.
  const others = store.view.value === null ? `${count(drivers)} drive` : "Others drive";
  return (
    <div class="panel middle">
      <p class="mid">No taxi in this view</p>
      <p class="label">{others} elsewhere in the city.</p>
      <button type="button" class="btn" onClick={() => session.scene?.map.wholeCity()}>
        <Icon name="whole" />
        Show the whole city
      </button>
    </div>
  );
}

export function MapTroubleLine({ store }: { store: Store }) {
  const trouble = store.mapTrouble.value;
  if (trouble === null) return null;
  const words =
    trouble === "lost"
      ? "Map paused: the graphics context is gone, trying again"
      : "This browser has no WebGL 2, which the map needs. The figures beside it stay live.";
  return (
    <p class="panel middle trouble" role="alert">
      {words}
    </p>
  );
}

/** Says changes of state to those who can't see them; never the ticking figures. */
export function Announcer({ store }: { store: Store }) {
  const { killing, story } = store.telling.value;
  const words = killing
    ? `Killing ${killing}`
    : store.health.value !== "fine"
      ? HEALTH_WORDS[store.health.value]
      : story
        ? announced(story)
        : "The picture is verified";
  return (
    <p class="unseen" role="status" aria-live="polite">
      {words}
    </p>
  );
}

function announced(story: Story): string {
  const lost = cause(story);
  if (story.fresh) return `${lost}, fresh picture from ${story.resumedOn}`;
  return `${lost}, resumed on ${story.resumedOn}. ${story.missed} missed, ${story.repeated} repeated`;
}

const HEALTH_WORDS: Record<string, string> = {
  starting: "Asking a gateway for the city",
  reconnecting: "The line to the gateway is lost, reconnecting",
  stale: "The log has stopped moving",
  differs: "The hash of this picture differs from the log's",
  refused: "The gateway turned this page away",
};
