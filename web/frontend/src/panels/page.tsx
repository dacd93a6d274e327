// SPDX-License-Identifier: Apache-2.0
/** The whole page around the map, wide or small. */

import { ChaosPanel } from "./chaos";
import { Announcer, Credit, EmptyView, MapTroubleLine, Tools, Zoom } from "./chrome";
import { type Cities, CitySwitch } from "./cities";
import { Detail, isOpen } from "./detail";
import { ErrorWall } from "./error_wall";
import { Events } from "./events";
import { Headline } from "./headline";
import type { PanelProps } from "./props";
import { PulsePanel } from "./pulse";
import { SceneLine } from "./scene";
import { Sheet } from "./sheet";
import { Tour } from "./tour";

interface PageProps extends PanelProps {
  readonly attribution: string;
  readonly cities: Cities;
}

export function Page({ store, actions, attribution, cities }: PageProps) {
  const panel = { store, actions };
  // Without a map there is nothing to click on and nothing to zoom.
  const hasMap = store.mapTrouble.value !== "missing";
  return (
    <ErrorWall store={store}>
      {store.small.value ? (
        <div class="layout">
          <Headline {...panel} />
          <CitySwitch cities={cities} />
          <InTheMiddle {...panel} />
          <Sheet {...panel} attribution={attribution} />
        </div>
      ) : (
        <Wide {...panel} attribution={attribution} cities={cities} hasMap={hasMap} />
      )}
      <Announcer store={store} />
    </ErrorWall>
  );
}

/** The order is that of the tab stops. */
function Wide({ hasMap, attribution, cities, ...panel }: PageProps & { hasMap: boolean }) {
  const { store } = panel;
  const open = isOpen(store);
  /** Whether the right edge has room for the map's buttons. */
  const isAside = !open && store.scene.value === null;
  const classes = {
    layout: true,
    open,
    proving: store.proof.value || store.charts.value,
    presenting: store.scene.value !== null,
  };
  return (
    <div
      class={Object.entries(classes)
        .flatMap(([name, on]) => (on ? [name] : []))
        .join(" ")}
    >
      <div class="top">
        <Headline {...panel} />
        <CitySwitch cities={cities} />
        <Tools {...panel} />
      </div>
      {store.proof.value && store.canBreak.value && store.roomy.value ? (
        <ChaosPanel {...panel} place="left" />
      ) : (
        <PulsePanel {...panel} />
      )}
      <div class="side">
        {isAside && hasMap && <Zoom {...panel} />}
        <Detail {...panel} />
        {!open && <Events {...panel} />}
      </div>
      {hasMap && (
        <div class="centre">
          {!isAside && <Zoom {...panel} />}
          {store.scene.value === null ? <Tour {...panel} /> : <SceneLine {...panel} />}
        </div>
      )}
      <InTheMiddle {...panel} />
      <Credit html={attribution} />
    </div>
  );
}

/** What the map itself has to say. */
function InTheMiddle(panel: PanelProps) {
  const trouble = panel.store.mapTrouble.value;
  if (trouble !== null && trouble !== "unloaded") return <MapTroubleLine store={panel.store} />;
  return <EmptyView {...panel} />;
}
