// SPDX-License-Identifier: Apache-2.0
/**
 * Keys: K kills, P shows the proof, A asks, / finds, Esc leaves what is open. Space pauses the events, or drives the
 * presentation.
 */

import { FIND_ID } from "../panels/find";
import type { Actions } from "./actions";
import type { Store } from "./store";

/** Until `end` is aborted. */
export function listenToKeys(store: Store, actions: Actions, end?: AbortSignal): void {
  const keys: Record<string, () => void> = {
    k: actions.kill,
    p: () => actions.showProof(!store.proof.value),
    a: actions.askForRide,
    "/": () => document.getElementById(FIND_ID)?.focus(),
    escape: () => {
      actions.closePanel();
      actions.find("");
    },
    " ": () => {
      if (store.scene.value !== null) actions.nextScene();
      else store.feedPaused.value = !store.feedPaused.value;
    },
  };
  window.addEventListener(
    "keydown",
    (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
      const inField = event.target instanceof HTMLElement && event.target.closest("input, textarea, select");
      const presses = event.key === " " && event.target instanceof HTMLButtonElement;
      const act = keys[event.key.toLowerCase()];
      if (!act || inField || presses) return;
      if (event.key === " " || event.key === "/") event.preventDefault();
      act();
    },
    end && { signal: end },
  );
}
