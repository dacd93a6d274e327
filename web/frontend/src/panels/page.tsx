// SPDX-License-Identifier: Apache-2.0
/** The whole page around the map, wide or small. */

import type { Actions } from "../app/actions";
import type { Store } from "../app/store";
import { Announcer, Credit, EmptyView, MapTroubleLine, Tools, Zoom } from "./chrome";
import { ErrorWall } from "./error_wall";
import { Events } from "./events";
import { Headline } from "./headline";
import { PulsePanel } from "./pulse";
import { RidePanel } from "./ride";
import { Sheet } from "./sheet";
import { Tour } from "./tour";

/** What a panel is given: what it shows, and what it may do. */
export interface PanelProps {
  readonly store: Store;
  readonly actions: Actions;
}

export function Page({ store, actions, attribution }: PanelProps & { attribution: string }) {
  const panel = { store, actions };
  // Without a map there is nothing to click on and nothing to zoom.
  const hasMap = store.mapTrouble.value !== "missing";
  return (
    <ErrorWall store={store}>
      <Headline {...panel} />
      {store.small.value ? (
        <Sheet {...panel} attribution={attribution} />
      ) : (
        <>
          {hasMap && <Tools {...panel} />}
          <PulsePanel {...panel} />
          <RidePanel {...panel} />
          <Events {...panel} />
          {hasMap && <Tour {...panel} />}
          {hasMap && <Zoom actions={actions} />}
          <Credit html={attribution} />
        </>
      )}
      <EmptyView {...panel} />
      <MapTroubleLine store={store} />
      <Announcer store={store} />
    </ErrorWall>
  );
}
