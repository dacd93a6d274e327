// SPDX-License-Identifier: Apache-2.0
/** The button that kills the gateway which serves this page. */

import { killPart } from "./api";
import type { Store } from "./store";

/** Kill it, and say so if that failed. `kill` returns null, or a problem in words. */
export async function killGateway(store: Store, kill: typeof killPart = killPart): Promise<void> {
  const { gateway, killing } = store.outage.value;
  if (!store.canKill.value || killing !== null || gateway === "") return;
  store.notice.value = null;
  store.noteOutage({ type: "kill", gateway });
  const problem = await kill(gateway);
  if (problem === null) return;
  store.noteOutage({ type: "not_killed" });
  store.notice.value = `${gateway} was not killed: ${problem}`;
}
