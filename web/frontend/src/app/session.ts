// SPDX-License-Identifier: Apache-2.0
/** Puts the parts of a page together: the stream, the store that it fills, the map, and what a user may do. */

import { effect } from "@preact/signals";
import type { FeedRow } from "../city/feed";
import { Gazetteer } from "../city/gazetteer";
import { Neighbourhoods } from "../city/neighbourhoods";
import { at, type Config } from "../config";
import { busiest, CORNER_E5 } from "../map/busiest";
import { type CityStream, connect, cursorText, hashText } from "../stream";
import type { Actions } from "./actions";
import { notePlace, noteSelection, readAddress, type Selection, sameSelection } from "./address";
import { canKill, mapData, rideDetails, scenarioPlans } from "./api";
import { HeatLayer } from "./heat_layer";
import { PartBreaker } from "./kill";
import type { MapPort, Place } from "./map_port";
import { MapViewport } from "./map_viewport";
import { Opening, openingZoom } from "./opening";
import { nextScene } from "./present";
import { GATEWAY, RideController } from "./ride_controller";
import { actOnScenario, setDemand } from "./scenarios";
import { openSecondWindow, WindowComparison } from "./second_window";
import type { Store } from "./store";
import { StreamPresenter, TICK_MS } from "./stream_presenter";
import { token } from "./token";

/** Close enough that a car can be followed through a corner. */
const WATCH_ZOOM = 16.4;

/** What a page needs of a map that moves. */
export interface MovingMap extends MapPort {
  readonly map: MapPort["map"] & {
    onMove(then: () => void): void;
    /** Somebody moved the map, and it came to rest. */
    onMoved(then: () => void): void;
    /** Somebody takes hold of the map. */
    onDrag(then: () => void): void;
  };
}

export class Session {
  readonly stream: CityStream;
  readonly presenter: StreamPresenter;
  /** Null where there is no map. */
  readonly opening: Opening | null;
  private readonly rides: RideController;
  private readonly heat: HeatLayer;
  private readonly breaker: PartBreaker;
  private readonly windows: WindowComparison;
  private readonly ended = new AbortController();
  private namesAreLoading = false;

  constructor(
    private readonly config: Pick<Config, "city" | "basemap"> & Partial<Pick<Config, "zoom">>,
    readonly store: Store,
    /** Null where the browser cannot draw one. */
    readonly map: MovingMap | null,
    open: typeof connect = connect,
  ) {
    const named = readAddress(location.hash);
    const isNamed = named.place !== null || named.selection !== null;
    this.opening = map && new Opening(map.map, isNamed, openingZoom(config.zoom));
    const viewport = new MapViewport(map?.map ?? null);
    this.breaker = new PartBreaker(store);
    this.windows = new WindowComparison(store);
    this.rides = new RideController(
      store,
      map,
      () => this.stream.replica,
      GATEWAY,
      noteSelection,
      config.city,
    );
    this.heat = new HeatLayer(
      store,
      map,
      () => this.presenter.pulse,
      (name) => mapData(config.basemap, name),
    );
    this.presenter = new StreamPresenter(store, {
      map,
      view: () => this.stream.view,
      onReady: ({ grid }) => viewport.know(grid, this.stream),
      onFeedRow: (row) => void this.askFare(row),
      onRows: (replica) => {
        this.rides.follow(replica);
        this.heat.follow(replica);
        this.compareWindows();
        this.opening?.follow(replica);
      },
    });
    this.stream = open(at("ws").replace(/^http/, "ws"), {
      city: config.city,
      view: viewport.first(),
      token,
      listener: this.presenter,
      giveUpMs: null,
    });
    map?.map.onMove(() => viewport.moved(this.stream));
    map?.map.onMoved(() => notePlace(map.map.view()));
    map?.map.onDrag(() => this.rides.setFollowing(false));
  }

  /** What is open now, as the address names it. */
  private shown(): Selection | null {
    const { ask, taxi, areaName } = this.store;
    if (ask.value.step === "riding") return { what: "ride", id: ask.value.id };
    if (areaName.value !== null) return { what: "area", name: areaName.value };
    return taxi.value && { what: "taxi", driver: taxi.value.driver };
  }

  /** Follow the browser until `stop`. */
  start(): void {
    const { signal } = this.ended;
    window.addEventListener("online", () => this.stream.start(), { signal });
    const visit = () => {
      const { city, selection, place } = readAddress(location.hash);
      // Another page opens another city.
      if (city !== null && city !== this.config.city) return;
      if (place) this.map?.map.fly(place.center, place.zoom);
      if (!sameSelection(selection, this.shown())) this.rides.visit({ selection });
    };
    // The first comes when the browser goes back or forward, the other when somebody changes the address.
    window.addEventListener("popstate", visit, { signal });
    window.addEventListener("hashchange", visit, { signal });
    this.rides.visit(readAddress(location.hash));
    window.addEventListener(
      "pagehide",
      ({ persisted }) => {
        if (persisted) this.presenter.leave();
      },
      { signal },
    );
    signal.addEventListener("abort", this.closeProofWhenSelected());
    const ticking = setInterval(() => {
      this.presenter.tick();
      void this.breaker.tick();
    }, TICK_MS);
    signal.addEventListener("abort", () => clearInterval(ticking));
    void mapData(this.config.basemap, "places").then((names) => {
      if (names)
        this.store.neighbourhoods.value = this.presenter.neighbourhoods = new Neighbourhoods(names as never);
    });
    void canKill().then((yes) => {
      this.store.canKill.value = yes;
    });
    void scenarioPlans().then((plans) => {
      this.store.scenarioPlans.value = plans;
    });
  }

  /** What is opened takes the place of the proof and the charts. Returns what ends this. */
  private closeProofWhenSelected(): () => void {
    let before = "";
    return effect(() => {
      const { ask, taxi, areaName } = this.store;
      const opened = [taxi.value?.driver, areaName.value].find((one) => one != null) ?? "";
      const now = `${ask.value.step === "riding" ? ask.value.id : ""} ${opened}`;
      if (now !== before && now !== " ") this.store.proof.value = this.store.charts.value = false;
      before = now;
    });
  }

  /** Say what this page holds to the other windows of this browser. */
  private compareWindows(): void {
    const { replica, view } = this.stream;
    if (replica.cursor === null) return;
    this.windows.say({
      gateway: this.store.outage.value.gateway,
      cursor: cursorText(replica.cursor),
      rows: JSON.stringify([this.config.city, view]),
      hash: hashText(replica.hash.a, replica.hash.b),
      cutMs: replica.cutMs,
    });
  }

  /** End the stream and everything that follows the browser: this page shows another city from now on. */
  stop(): void {
    this.rides.end();
    this.stream.stop();
    this.windows.close();
    this.ended.abort();
  }

  /** The stream has no fares: of the ends of trips that the feed names, a gateway is asked. */
  private async askFare({ key, line }: FeedRow): Promise<void> {
    if (line.kind !== "TripCompleted" || line.ride === null) return;
    const details = await rideDetails(line.ride);
    if (details?.fare_cents) this.presenter.noteFare(key, details.fare_cents);
  }

  /** Names of corners and neighbourhoods, for people who type a place: loaded when a ride is asked for first. */
  private loadNames(): void {
    if (this.namesAreLoading) return;
    this.namesAreLoading = true;
    const { basemap } = this.config;
    void Promise.all([mapData(basemap, "roads"), mapData(basemap, "places")]).then(([roads, places]) => {
      if (roads && places) this.store.gazetteer.value = new Gazetteer(roads, places);
      else this.namesAreLoading = false;
    });
  }

  /** A click on the map. */
  pick(place: Place, at: { readonly x: number; readonly y: number }): void {
    this.rides.pick(place, this.map?.hit(at) ?? null);
  }

  readonly actions: Actions = {
    kill: () => void this.breaker.killOwn(),
    act: (part, action) => void this.breaker.act(part, action),
    nextScene: () => nextScene(this.store, this.actions),
    actOnScenario: (name, action) => void actOnScenario(this.store, name, action),
    setDemand: (step) => void setDemand(this.store, step),
    surprise: () => void this.breaker.surprise(),
    showLayer: (layer) => void this.heat.choose(layer, this.stream.replica),
    showCharts: (on) => {
      this.store.charts.value = on;
      this.store.proof.value = this.store.chaos.value = false;
    },
    showProof: (on) => {
      this.store.charts.value = false;
      this.store.proof.value = on;
      this.store.chaos.value = false;
    },
    showChaos: (on) => {
      this.store.chaos.value = on;
    },
    openSecondWindow,
    askForRide: () => {
      this.store.proof.value = this.store.charts.value = false;
      this.loadNames();
      this.rides.begin();
    },
    askAgain: () => {
      this.loadNames();
      this.rides.again();
    },
    setStop: (what, stop) => this.rides.setStop(what, stop),
    middle: () => this.rides.middle(),
    cancelRide: () => void this.rides.cancel(),
    follow: (on) => this.rides.setFollowing(on),
    closePanel: () => {
      if (this.store.charts.value) this.store.charts.value = false;
      else if (this.store.proof.value) this.store.proof.value = this.store.chaos.value = false;
      else this.rides.close();
    },
    sendRide: () => void this.rides.send(),
    find: (text) => this.rides.find(text),
    filter: (status) => {
      this.store.statusFilter.value = status;
      this.map?.filter(status === null ? null : [status]);
    },
    showRide: (ride) => this.rides.showRide(ride),
    showArea: (name) => this.rides.showArea(name),
    highlight: (driver) => this.rides.highlight(driver),
    fitCandidates: () => this.rides.fitCandidates(),
    showTaxi: (driver) => this.rides.showTaxi(driver),
    watch: () => {
      const corner = busiest(this.stream.replica.drivers, CORNER_E5);
      if (corner) this.map?.map.fly(corner, WATCH_ZOOM);
    },
    showWholeCity: () => this.map?.map.wholeCity(),
    zoomBy: (steps) => this.map?.map.zoomBy(steps),
  };
}
