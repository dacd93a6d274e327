// SPDX-License-Identifier: Apache-2.0
/** Starts and stops scenarios, and sets how much demand there is. */

import { demandChange } from "../city/scenario_plans";
import { changeScenario } from "./api";
import type { Store } from "./store";

/** Ask for it, note it on the time lines, and say so if it was refused. */
export async function actOnScenario(
  store: Store,
  name: string,
  action: "start" | "stop",
  change: typeof changeScenario = changeScenario,
): Promise<void> {
  const title = store.scenarioPlans.value?.find((plan) => plan.name === name)?.title ?? name;
  store.notice.value = null;
  const problem = await change(name, action);
  if (problem === null) store.noteMark(`${title}, ${action === "start" ? "started" : "stopped"}`);
  else store.notice.value = `${title} was not ${action === "start" ? "started" : "stopped"}: ${problem}`;
}

/** Have the demand of a step; null is the usual one. */
export async function setDemand(
  store: Store,
  step: string | null,
  change: typeof changeScenario = changeScenario,
): Promise<void> {
  for (const { name, action } of demandChange(store.scenarios.value, step))
    await actOnScenario(store, name, action, change);
}
