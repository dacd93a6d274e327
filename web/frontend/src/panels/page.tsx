// SPDX-License-Identifier: Apache-2.0
/** The whole page around the map, wide or small. */

import type { Session } from "../app/session";
import type { Config } from "../config";
import { Announcer, Credit, EmptyView, MapTroubleLine, Tools, Zoom } from "./chrome";
import { Events } from "./events";
import { Headline } from "./headline";
import { PulsePanel } from "./pulse";
import { RidePanel } from "./ride";
import { Sheet } from "./sheet";
import { Tour } from "./tour";

export function Page({ session, config }: { session: Session; config: Config }) {
  const { store } = session;
  // Without a map there is nothing to click on and nothing to zoom.
  const hasMap = store.mapTrouble.value !== "missing";
  return (
    <>
      <Headline session={session} />
      {store.small.value ? (
        <Sheet session={session} attribution={config.attribution} />
      ) : (
        <>
          {hasMap && <Tools session={session} />}
          <PulsePanel session={session} />
          <RidePanel session={session} />
          <Events store={store} />
          {hasMap && <Tour session={session} />}
          {hasMap && <Zoom session={session} />}
          <Credit html={config.attribution} />
        </>
      )}
      <EmptyView session={session} />
      <MapTroubleLine store={store} />
      <Announcer store={store} />
    </>
  );
}
