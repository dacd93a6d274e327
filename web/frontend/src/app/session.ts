// SPDX-License-Identifier: Apache-2.0
/** Puts the parts of a page together: the stream, the store that it fills, the map, and what a user may do. */

import type { FeedRow } from "../city/feed";
import { Neighbourhoods } from "../city/neighbourhoods";
import { at, type Config } from "../config";
import { busiest, CORNER_E5 } from "../map/busiest";
import { type CityStream, connect } from "../stream";
import type { Actions } from "./actions";
import { canKill, placeNames, rideDetails } from "./api";
import { killGateway } from "./kill";
import { Look } from "./look";
import type { MapPort, Place } from "./map_port";
import { Opening, openingZoom } from "./opening";
import { namedPlace } from "./place_link";
import { RideController } from "./ride_controller";
import type { Store } from "./store";
import { StreamPresenter, TICK_MS } from "./stream_presenter";
import { token } from "./token";

/** Close enough that a car can be followed through a corner. */
const WATCH_ZOOM = 16.4;

/** What a page needs of a map that moves. */
export interface MovingMap extends MapPort {
  readonly map: MapPort["map"] & { onMove(then: () => void): void };
}

export class Session {
  readonly stream: CityStream;
  readonly presenter: StreamPresenter;
  /** Null where there is no map. */
  readonly opening: Opening | null;
  private readonly rides: RideController;
  private readonly ended = new AbortController();

  constructor(
    private readonly config: Pick<Config, "city" | "basemap"> & Partial<Pick<Config, "zoom">>,
    readonly store: Store,
    /** Null where the browser cannot draw one. */
    readonly map: MovingMap | null,
    open: typeof connect = connect,
  ) {
    this.opening = map && new Opening(map.map, namedPlace(location.hash) !== null, openingZoom(config.zoom));
    const look = new Look(map?.map ?? null);
    this.rides = new RideController(store, map, () => this.stream.replica);
    this.presenter = new StreamPresenter(store, {
      map,
      view: () => this.stream.view,
      onReady: ({ grid }) => look.know(grid, this.stream),
      onFeedRow: (row) => void this.askFare(row),
      onRows: (replica) => {
        this.rides.follow(replica);
        this.opening?.follow(replica);
      },
    });
    this.stream = open(at("ws").replace(/^http/, "ws"), {
      city: config.city,
      view: look.first(),
      token,
      listener: this.presenter,
      giveUpMs: null,
    });
    map?.map.onMove(() => look.moved(this.stream));
  }

  /** Follow the browser until `stop`. */
  start(): void {
    const { signal } = this.ended;
    window.addEventListener("online", () => this.stream.start(), { signal });
    window.addEventListener(
      "hashchange",
      () => {
        const named = namedPlace(location.hash);
        if (named) this.map?.map.fly(named.center, named.zoom);
      },
      { signal },
    );
    window.addEventListener(
      "pagehide",
      ({ persisted }) => {
        if (persisted) this.presenter.leave();
      },
      { signal },
    );
    const ticking = setInterval(() => this.presenter.tick(), TICK_MS);
    signal.addEventListener("abort", () => clearInterval(ticking));
    void placeNames(this.config.basemap).then((names) => {
      if (names) this.presenter.neighbourhoods = new Neighbourhoods(names);
    });
    void canKill().then((yes) => {
      this.store.canKill.value = yes;
    });
  }

  /** End the stream and everything that follows the browser: this page shows another city from now on. */
  stop(): void {
    this.rides.close();
    this.stream.stop();
    this.ended.abort();
  }

  /** The stream has no fares: of the ends of trips that the feed names, a gateway is asked. */
  private async askFare({ key, line }: FeedRow): Promise<void> {
    if (line.kind !== "TripCompleted" || line.ride === null) return;
    const details = await rideDetails(line.ride);
    if (details?.fare_cents) this.presenter.noteFare(key, details.fare_cents);
  }

  /** A click on the map. */
  pick(place: Place): void {
    this.rides.pick(place);
  }

  readonly actions: Actions = {
    kill: () => void killGateway(this.store),
    askForRide: () => this.rides.begin(),
    closeRide: () => this.rides.close(),
    sendRide: () => void this.rides.send(),
    find: (text) => this.rides.find(text),
    filter: (status) => {
      this.store.statusFilter.value = status;
      this.map?.filter(status === null ? null : [status]);
    },
    showRide: (ride) => this.rides.showRide(ride),
    showTaxi: (driver) => this.rides.showTaxi(driver),
    watch: () => {
      const corner = busiest(this.stream.replica.drivers, CORNER_E5);
      if (corner) this.map?.map.fly(corner, WATCH_ZOOM);
    },
    showWholeCity: () => this.map?.map.wholeCity(),
    zoomBy: (steps) => this.map?.map.zoomBy(steps),
  };
}
