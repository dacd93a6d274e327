// SPDX-License-Identifier: Apache-2.0
/** A taxi: what its row says, the ride it has, and the way before it. */

import type { Store } from "../app/store";
import { arrivesInMs, type TaxiShown } from "../app/ways";
import { clock, count, dollars, span, taxi } from "../city/format";
import { RIDE, STATUS_NAMES } from "../city/rides";
import { far } from "../city/route";
import { shortRide } from "../city/words";
import { fullMs, type RideRecord } from "../stream";
import { Glyph } from "./glyphs";
import type { PanelProps } from "./props";
import { FollowButton } from "./ride";
import { glyphOf } from "./timeline";
import { Title } from "./title";

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
      <Today store={store} />
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

/** What the log says of this driver, as far back as the gateway that answered has read it. */
function Today({ store }: { store: Store }) {
  const details = store.taxiDetails.value;
  if (details?.driver !== store.taxi.value?.driver || !details) return null;
  const at = (ms: number) => clock(store.cityTime.value.at(ms)).slice(0, 5);
  const { shift_since_ms: since, on_shift: isOn, leaving, trips, counted_since_ms: from } = details;
  const shift = isOn ? `since ${at(since ?? from)}${since === null ? " or earlier" : ""}` : "off shift";
  return (
    <dl class="sect figures">
      <div>
        <dt class="note">Shift</dt>
        <dd class="label str">{shift}</dd>
        {leaving && <dd class="note">ends with this ride</dd>}
      </div>
      <div>
        <dt class="note">Trips</dt>
        <dd class="label str">{count(trips)}</dd>
        <dd class="note">{far(details.distance_m)}</dd>
      </div>
      <div>
        <dt class="note">Earned</dt>
        <dd class="label str">{dollars(details.earned_cents)}</dd>
      </div>
      <div class="whole-row">
        <dt class="unseen">Source</dt>
        <dd class="note">
          Trips and fares since {at(from)}: what the answering gateway has read of the log.
        </dd>
      </div>
    </dl>
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
