// SPDX-License-Identifier: Apache-2.0

import type { Actions } from "../app/actions";
import type { Store } from "../app/store";

/** What a panel is given: what it shows, and what it may do. */
export interface PanelProps {
  readonly store: Store;
  readonly actions: Actions;
}
