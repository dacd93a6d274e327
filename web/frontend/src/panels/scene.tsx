// SPDX-License-Identifier: Apache-2.0
/** What the presenter's step is about, in one large line. */

import { SCENES, type Scene } from "../app/present";
import type { PanelProps } from "./props";

const LINES: Record<Scene, string> = {
  watch: "Every taxi, as the log has it",
  proof: "The rows are compared after every update",
  kill: "Its gateway is killed, and another one continues",
};

export function SceneLine({ store, actions }: PanelProps) {
  const scene = store.scene.value;
  if (scene === null) return null;
  const scenes = SCENES.filter((one) => one !== "kill" || store.canKill.value);
  return (
    <button type="button" class="panel scene" aria-keyshortcuts="Space" onClick={actions.nextScene}>
      <span class="mid">{LINES[scene]}</span>
      <span class="note">
        {scenes.indexOf(scene) + 1} of {scenes.length} · space for the next
      </span>
    </button>
  );
}
