// SPDX-License-Identifier: Apache-2.0
/** What surrounds the map: tools, zoom, credit, the empty view, and the sentences for a map that cannot be drawn. */

import { MAP_WORDS } from "../app/faults";
import type { Store } from "../app/store";
import { count } from "../city/format";
import { awayWords, cause, stallWords } from "../city/words";
import { Find } from "./find";
import { Icon, IconButton } from "./glyphs";
import { lastReport, type Report } from "./headline";
import { Layers } from "./layers";
import type { PanelProps } from "./props";

export function Tools({ store, actions }: PanelProps) {
  const proof = store.proof.value;
  const on = store.ask.value.step !== "off" && !proof;
  const words = store.ownRide.value ? "Your ride" : "Ask for a ride";
  return (
    <nav class="panel tools" aria-label="Tools">
      <Find store={store} actions={actions} />
      <button
        type="button"
        class={on ? "btn quiet on" : "btn quiet"}
        aria-pressed={on}
        aria-keyshortcuts="a"
        aria-label={words}
        title={`${words} (A)`}
        onClick={on ? actions.closePanel : actions.askForRide}
      >
        <Icon name="pin" />
        <span class="t">{words}</span>
      </button>
      <ProofButton store={store} actions={actions} look="quiet" />
    </nav>
  );
}

/** `look`: its class beside those of every button. */
export function ProofButton({ store, actions, look }: PanelProps & { look: string }) {
  const on = store.proof.value;
  return (
    <button
      type="button"
      class={on ? `btn ${look} on` : `btn ${look}`}
      aria-pressed={on}
      aria-keyshortcuts="p"
      aria-label="Proof"
      title="Proof (P)"
      onClick={() => actions.showProof(!on)}
    >
      <Icon name="shield" />
      <span class="t">Proof</span>
    </button>
  );
}

export function Zoom({ store, actions }: PanelProps) {
  const open = store.layersOpen.value;
  return (
    <fieldset class="panel zoom" aria-label="Map view">
      {open && <Layers store={store} actions={actions} />}
      <IconButton
        icon="layers"
        label="Layers"
        pressed={store.layer.value !== null}
        expanded={open}
        onClick={() => {
          store.layersOpen.value = !open;
        }}
      />
      <IconButton icon="plus" label="Zoom in" onClick={() => actions.zoomBy(1)} />
      <IconButton icon="minus" label="Zoom out" onClick={() => actions.zoomBy(-1)} />
      <IconButton icon="whole" label="Whole city" onClick={actions.showWholeCity} />
    </fieldset>
  );
}

/**
 * What this is, and the makers of the map's data: always in sight. The HTML is the city's own
 * (taxi/cities/…/city.json).
 */
export function Credit({ html }: { html: string }) {
  return (
    <p class="credit">
      <span class="brand">taxistream, </span>simulated · <span dangerouslySetInnerHTML={{ __html: html }} />
    </p>
  );
}

export function EmptyView({ store, actions }: PanelProps) {
  if (!store.emptyView.value || store.ask.value.step !== "off") return null;
  const drivers = store.held.value?.drivers ?? 0;
  // If only the map's part was requested, it is not known how many drive elsewhere.
  const others = store.view.value === null ? `${count(drivers)} drive` : "Others drive";
  return (
    <div class="panel middle">
      <p class="mid">No taxi in this view</p>
      <p class="label">{others} elsewhere in the city.</p>
      <button type="button" class="btn" onClick={actions.showWholeCity}>
        <Icon name="whole" />
        Show the whole city
      </button>
    </div>
  );
}

/** In the middle of a map that does not show what it should. */
export function MapTroubleLine({ store }: { store: Store }) {
  const trouble = store.mapTrouble.value;
  if (trouble === null || trouble === "unloaded") return null;
  return (
    <p class="panel middle trouble" role="alert">
      {MAP_WORDS[trouble]}.
    </p>
  );
}

/** Reads changes of state to people who do not see them; never the ticking figures. */
export function Announcer({ store }: { store: Store }) {
  const { killing } = store.outage.value;
  const report = lastReport(store);
  const words = killing
    ? `Killing ${killing}`
    : store.health.value === "troubled"
      ? store.faults.value[0]?.text
      : store.health.value !== "fine"
        ? HEALTH_WORDS[store.health.value]
        : report
          ? announced(report)
          : "The rows are verified";
  return (
    <p class="unseen" role="status" aria-live="polite">
      {words}
    </p>
  );
}

function announced(report: Report): string {
  const counts = `${report.missed} missed, ${report.repeated} repeated`;
  if (report.what === "stall") return `${stallWords(report)}. ${counts}`;
  if (report.away) {
    const since = report.fresh ? "Full update since" : `${count(report.events)} events since. ${counts}`;
    return `${awayWords(report.away)}. ${since}`;
  }
  const lost = cause(report);
  if (report.fresh) return `${lost}, full update from ${report.resumedOn}`;
  return `${lost}, resumed on ${report.resumedOn}. ${counts}`;
}

const HEALTH_WORDS: Record<string, string> = {
  starting: "Asking a gateway for the city",
  reconnecting: "The connection to the gateway is lost, reconnecting",
  stale: "The log has stopped moving",
  differs: "The hash of this page's rows differs from the gateway's",
  refused: "The gateway refused this page",
};
