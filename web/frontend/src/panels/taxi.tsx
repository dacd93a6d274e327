// SPDX-License-Identifier: Apache-2.0
/** A taxi: what its row says, the ride it has, and the way before it. */

import { arrivesInMs, type TaxiShown } from "../app/ways";
import { span, taxi } from "../city/format";
import { RIDE, STATUS_NAMES } from "../city/rides";
import { far } from "../city/route";
import { shortRide } from "../city/words";
import { fullMs, type RideRecord } from "../stream";
import { Glyph } from "./glyphs";
import type { PanelProps } from "./page";
import { FollowButton, Title } from "./ride";
import { glyphOf } from "./timeline";

const KMH = 3.6;

export function TaxiPanel({ store, actions }: PanelProps) {
  const shown = store.taxi.value;
  if (shown === null) return null;
  const name = taxi(shown.driver);
  const status = STATUS_NAMES.find((one) => one.status === shown.status);
  const way = store.way.value?.driver === shown.driver ? store.way.value : null;
  return (
    <section class="panel detail" aria-label={`Taxi ${name}`}>
      <div class="sect">
        <Title actions={actions} text={`Taxi ${name}`} />
        <p class="label row">
          {status && <Glyph name={status.glyph} />}
          {status?.name ?? "Unknown"}
        </p>
      </div>
      <dl class="sect quote">
        <div>
          <dt class="note">Speed</dt>
          <dd class="big">
            {Math.round(shown.speedMps * KMH)}
            <span class="unit"> km/h</span>
          </dd>
        </div>
        {way && (
          <div>
            <dt class="note">{way.to === "pickup" ? "At the pickup in" : "At the drop-off in"}</dt>
            <dd class="big">{span(arrivesInMs(way, store.now.value))}</dd>
            <dd class="note">estimated, {far(way.route.length_m)}</dd>
          </div>
        )}
      </dl>
      <div class="sect">
        <h3 class="title">Ride</h3>
        {shown.ride ? (
          <RideLine shown={shown} ride={shown.ride} store={store} actions={actions} />
        ) : (
          <p class="label">None now</p>
        )}
      </div>
      <div class="sect row wrap">
        <FollowButton store={store} actions={actions} />
        <button type="button" class="btn s" onClick={() => actions.showTaxi(shown.driver)}>
          Go there
        </button>
      </div>
    </section>
  );
}

function RideLine({ ride, store, actions }: PanelProps & { shown: TaxiShown; ride: RideRecord }) {
  const cutMs = store.held.value?.cutMs ?? 0;
  const since = ride.started || ride.arrived || ride.assigned || ride.requested;
  const where = store.neighbourhoods.value?.way(ride);
  return (
    <button type="button" class="ride-line" title="Open this ride" onClick={() => actions.showRide(ride)}>
      <Glyph name={glyphOf(ride)} />
      <span>
        <b>{shortRide(ride.id)}</b> {PHASES[ride.state] ?? ""} for{" "}
        {span(store.cityTime.value.between(fullMs(since, cutMs), cutMs))}
        {where && <small>{where}</small>}
      </span>
    </button>
  );
}

const PHASES: Record<number, string> = {
  [RIDE.offered]: "is offered, and has waited",
  [RIDE.assigned]: "is waiting, accepted",
  [RIDE.arrived]: "gets in, taxi there",
  [RIDE.onTrip]: "on board",
};
