// SPDX-License-Identifier: Apache-2.0
/** The panel of what is open: the charts, the proof, a ride, a taxi or a neighbourhood. */

import type { Store } from "../app/store";
import { AreaPanel } from "./area";
import { ChaosPanel } from "./chaos";
import { ChartsPanel } from "./charts";
import { ProofPanel } from "./proof";
import type { PanelProps } from "./props";
import { RidePanel } from "./ride";
import { TaxiPanel } from "./taxi";

/** Whether the charts, the proof, a ride, a taxi or a neighbourhood is open. */
export function isOpen({ ask, taxi, areaName, proof, charts }: Store): boolean {
  const isSelected = ask.value.step !== "off" || taxi.value !== null || areaName.value !== null;
  return charts.value || proof.value || isSelected;
}

/** One at a time: the charts and the proof come first, then what is asked for. */
export function Detail({ store, actions }: PanelProps) {
  if (store.charts.value) return <ChartsPanel store={store} actions={actions} />;
  if (store.proof.value) {
    const isChaos = store.chaos.value && store.canBreak.value && !store.roomy.value;
    return isChaos ? (
      <ChaosPanel store={store} actions={actions} place="detail" />
    ) : (
      <ProofPanel store={store} actions={actions} />
    );
  }
  const Panel = store.ask.value.step !== "off" ? RidePanel : store.areaName.value ? AreaPanel : TaxiPanel;
  return <Panel store={store} actions={actions} />;
}
