// SPDX-License-Identifier: Apache-2.0
/** Presenter's mode (`/?present`): large type, and three steps that the space bar drives. */

import type { Actions } from "./actions";
import { attempt } from "./safely";
import type { Store } from "./store";

/** Where the presentation is; each step but the first does something when it begins. */
export const SCENES = ["watch", "proof", "kill"] as const;
export type Scene = (typeof SCENES)[number];

export function isPresenting(search: string): boolean {
  return attempt(() => new URLSearchParams(search).has("present"), false);
}

/** Go to the next step; after the last one it begins again. Where nothing can be killed, it has two. */
export function nextScene(store: Store, actions: Actions): void {
  const now = store.scene.value;
  if (now === null) return;
  const scenes = SCENES.filter((scene) => scene !== "kill" || store.canKill.value);
  const next = scenes[(scenes.indexOf(now) + 1) % scenes.length]!;
  store.scene.value = next;
  if (next === "watch") {
    actions.showProof(false);
    actions.watch();
  } else if (next === "proof") actions.showProof(true);
  else actions.kill();
}
