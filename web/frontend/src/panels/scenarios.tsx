// SPDX-License-Identifier: Apache-2.0
/** Change the city: how much demand there is, and what takes place out of the ordinary. */

import type { Store } from "../app/store";
import { span } from "../city/format";
import { DEMAND_STEPS, demandStep, leftMs, otherPlans, type ScenarioPlan } from "../city/scenario_plans";
import type { PanelProps } from "./props";

/** Nothing where scenarios cannot be started. */
export function Scenarios({ store, actions }: PanelProps) {
  const plans = store.scenarioPlans.value;
  if (plans === null) return null;
  const names = new Set(plans.map(({ name }) => name));
  const steps = DEMAND_STEPS.filter(({ name }) => name === null || names.has(name));
  return (
    <>
      {steps.length > 1 && (
        <div class="sect">
          <h3 class="title" id="demand">
            Demand
          </h3>
          <fieldset class="row steps-of" aria-labelledby="demand">
            {steps.map(({ name, factor }) => {
              const isOn = demandStep(store.scenarios.value) === name;
              return (
                <button
                  key={factor}
                  type="button"
                  class={isOn ? "btn s on" : "btn s"}
                  aria-pressed={isOn}
                  aria-label={`Demand × ${factor}`}
                  onClick={() => actions.setDemand(name)}
                >
                  × {factor}
                </button>
              );
            })}
          </fieldset>
          <p class="note below">Times the usual demand, for an hour of the city.</p>
        </div>
      )}
      <div class="sect">
        <h3 class="title">Scenarios</h3>
        <ul class="parts scenarios">
          {otherPlans(plans).map((plan) => (
            <li key={plan.name}>
              <ScenarioRow store={store} actions={actions} plan={plan} />
            </li>
          ))}
        </ul>
      </div>
    </>
  );
}

function ScenarioRow({ store, actions, plan }: PanelProps & { plan: ScenarioPlan }) {
  const { name, title, about, place } = plan;
  const isUnderWay = store.scenarios.value.some((one) => one.name === name);
  const words = isUnderWay ? "Stop" : "Start";
  return (
    <>
      <p title={about}>
        <b>{title}</b>
        <small>
          {left(store, name) ?? [place, `${Math.round(plan.lasts_s / 60)} min`].filter(Boolean).join(" · ")}
        </small>
      </p>
      <div>
        <button
          type="button"
          class={isUnderWay ? "btn s on" : "btn s"}
          aria-label={`${words}: ${title}`}
          onClick={() => actions.actOnScenario(name, isUnderWay ? "stop" : "start")}
        >
          {words}
        </button>
      </div>
    </>
  );
}

/** How much of it is still to come, if it is under way. */
function left(store: Store, name: string): string | null {
  const scenario = store.scenarios.value.find((one) => one.name === name);
  const held = store.held.value;
  if (!scenario || !held) return null;
  return `under way, ${span(leftMs(scenario, held.cutMs, store.cityTime.value))} left`;
}
