// SPDX-License-Identifier: Apache-2.0
/** The tour, bottom centre: what to watch, what to break, what to try. */

import type { Session } from "../app/session";
import { end, type Step, tourStep } from "../app/tour";
import { IconButton } from "./glyphs";

const NAMES: Record<Step, string> = { watch: "Watch", kill: "Kill a gateway", ask: "Ask for a ride" };

export function Tour({ session }: { session: Session }) {
  const { store } = session;
  if (store.tourOver.value) return null;
  const canKill = store.canKill.value;
  const now = tourStep({
    openForMs: store.now.value - store.openedAt,
    canKill,
    killed: store.telling.value.story !== null,
    asking: store.ask.value.step !== "off",
  });
  const steps: Step[] = canKill ? ["watch", "kill", "ask"] : ["watch", "ask"];
  const act: Record<Step, () => void> = {
    watch: () => session.scene?.map.wholeCity(),
    kill: () => void session.kill(),
    ask: () => session.wish({ type: "begin" }),
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
