// SPDX-License-Identifier: Apache-2.0
/** The switch for what the map shows beneath the taxis. */

import { LAYERS } from "../city/heat";
import type { PanelProps } from "./props";

export function Layers({ store, actions }: PanelProps) {
  const chosen = store.layer.value;
  const shown = LAYERS.find(({ id }) => id === chosen);
  return (
    <fieldset class="layers" aria-label="Layer of the map">
      {[{ id: null, name: "No layer" }, ...LAYERS].map(({ id, name }) => (
        <button
          key={name}
          type="button"
          class={chosen === id ? "chip on" : "chip"}
          aria-pressed={chosen === id}
          onClick={() => actions.showLayer(id)}
        >
          {name}
        </button>
      ))}
      {shown && (
        <p class="note" role="status">
          {shown.about}
        </p>
      )}
      {shown && (shown.id === "waits" || shown.id === "speeds") && <Scale store={store} />}
    </fieldset>
  );
}

/** What the colours mean. */
function Scale({ store }: Pick<PanelProps, "store">) {
  const scale = store.layerScale.value;
  if (!scale) return <p class="note">Too little was seen yet.</p>;
  return (
    <p class="note">
      <span class="scale" aria-hidden="true" />
      <span class="row spread">
        <span>{scale[0]}</span>
        <span>{scale[1]}</span>
      </span>
    </p>
  );
}
