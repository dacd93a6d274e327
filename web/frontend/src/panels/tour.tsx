// SPDX-License-Identifier: Apache-2.0
/** The tour, bottom centre: what to watch, what to break, what to try. */

import { end, type Step, tourStep } from "../app/tour";
import { IconButton } from "./glyphs";
import type { PanelProps } from "./props";

const NAMES: Record<Step, string> = { watch: "Watch", kill: "Kill a gateway", ask: "Ask for a ride" };

export function Tour({ store, actions }: PanelProps) {
  if (store.tourOver.value) return null;
  const canKill = store.canKill.value;
  const now = tourStep({
    openForMs: store.now.value - store.openedAt,
    canKill,
    killed: store.outage.value.report?.connectionLost === true,
    asking: store.ask.value.step !== "off",
  });
  const steps: Step[] = canKill ? ["watch", "kill", "ask"] : ["watch", "ask"];
  const act: Record<Step, () => void> = {
    watch: actions.watch,
    kill: actions.kill,
    ask: actions.askForRide,
  };
  return (
    <nav class="panel tour" aria-label="Tour">
      <ol>
        {steps.map((step, i) => (
          <li key={step}>
            <button
              type="button"
              class={step === now ? "on" : ""}
              aria-current={step === now ? "step" : undefined}
              onClick={act[step]}
            >
              <i>{i + 1}</i>
              {NAMES[step]}
            </button>
          </li>
        ))}
      </ol>
      <IconButton
        icon="close"
        label="Dismiss the tour"
        onClick={() => {
          end();
          store.tourOver.value = true;
        }}
      />
    </nav>
  );
}
