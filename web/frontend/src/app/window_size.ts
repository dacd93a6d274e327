// SPDX-License-Identifier: Apache-2.0
/** Which of its layouts the page has: wide, or one sheet beside the map. `small.css` has the same conditions. */

import { followMedia } from "./safely";
import type { Store } from "./store";

const SMALL_WIDTH_PX = 720;
const LOW_HEIGHT_PX = 520;
const LOW_WIDTH_PX = 560;
const ROOMY_WIDTH_PX = 1120;

/** By day or by night, as the system says. */
export function followLight(isDay: Store["isDay"]): void {
  followMedia(
    "(prefers-color-scheme: light)",
    () => false,
    (matches) => {
      isDay.value = matches;
    },
  );
}

export function followWindowSize(store: Pick<Store, "small" | "low" | "roomy">): void {
  followMedia(
    `(max-width: ${SMALL_WIDTH_PX}px), (max-height: ${LOW_HEIGHT_PX}px)`,
    () => window.innerWidth <= SMALL_WIDTH_PX || window.innerHeight <= LOW_HEIGHT_PX,
    (small) => {
      store.small.value = small;
    },
  );
  followMedia(
    `(max-height: ${LOW_HEIGHT_PX}px) and (min-width: ${LOW_WIDTH_PX}px)`,
    () => window.innerHeight <= LOW_HEIGHT_PX && window.innerWidth >= LOW_WIDTH_PX,
    (low) => {
      store.low.value = low;
    },
  );
  followMedia(
    `(min-width: ${ROOMY_WIDTH_PX}px)`,
    () => window.innerWidth >= ROOMY_WIDTH_PX,
    (roomy) => {
      store.roomy.value = roomy;
    },
  );
}
