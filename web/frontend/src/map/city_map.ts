// SPDX-License-Identifier: Apache-2.0
/** The only file that knows MapLibre: ground below, names above, and between them a canvas for the taxis. */

import {
  type CustomLayerInterface,
  type GeoJSONSource,
  LngLatBounds,
  MapLibreMap,
  type MapOptions,
  Marker,
  type PaddingOptions,
  setWorkerUrl,
} from "maplibre-gl";
import workerUrl from "maplibre-gl/dist/maplibre-gl-worker.mjs?worker&url";
import "maplibre-gl/dist/maplibre-gl.css";
import type { Badge, WayLines } from "../app/map_port";
import type { NamedPlace } from "../app/place_link";
import { followSize, matchesMedia } from "../app/safely";
import type { Heat } from "../city/heat";
import type { Config } from "../config";
import { mercatorX, mercatorY } from "./mercator";
import {
  beyond,
  CANDIDATES_SOURCE,
  EDGE_SOURCE,
  groundStyle,
  HEAT_LAYERS,
  HEAT_SOURCE,
  LAND_LAYER,
  LAND_SOURCE,
  linesData,
  NEIGHBOURHOOD_LAYER,
  nameStyle,
  OUTLINE_SOURCE,
  pointsData,
  STREET_LAYERS,
  WAYS_SOURCE,
  waysData,
} from "./style";

export type Place = readonly [lng: number, lat: number];

export interface Camera {
  /** World coordinates → clip space, column-major, 64 bit. */
  readonly matrix: Float64Array;
  readonly zoom: number;
}

const EYE = "eye";
/** How much farther one may zoom out than the map opens. */
const FARTHER_OUT = 2.7;
const MAX_ZOOM = 19.5;
/** How far one may pan beyond the city: at least so many degrees, and as a share of its width. */
const MARGIN_MIN = 0.05;
const MARGIN_SHARE = 1.32;
const SCALE_MAX = 2;
const FLIGHT_MS = 600;
/** Between two places that are shown together and the edge of what panels leave free. */
const FIT_PX = 72;
const MAX_FIT_ZOOM = 16;
const NEAREST_STREET_PX = 60;
/** Between two attempts to load map data that failed. */
const RELOAD_MS = 3_000;
/** Taxis and streets may be so far apart by rounding. */
const APART_PX_MAX = 3;

/** What the map reports. */
export interface MapEvents {
  /** The ground was drawn again. */
  drawn(): void;
  lost(canvas: "ground" | "names"): void;
  restored(canvas: "ground" | "names"): void;
  /** Map data came, or did not. */
  loaded(source: string, loaded: boolean): void;
}

export class CityMap {
  readonly taxiCanvas = document.createElement("canvas");
  /** What the ground was drawn with last; null while it is not drawn. */
  camera: Camera | null = null;
  /** Whether everything that the map shows at first was drawn once. */
  isReady = false;
  /** Whether somebody moved the map, or the page was asked to. */
  isTouched = false;
  /** Device pixels per CSS pixel of the taxi canvas. */
  scale = 1;
  private lines: WayLines = { planned: null, ahead: null };
  private hasEdge = false;
  private hasOpened = false;
  private padding: PaddingOptions = { top: 0, bottom: 0, left: 0, right: 0 };
  private readonly ground: MapLibreMap;
  private readonly names: MapLibreMap;
  private readonly markers = new Map<string, Marker>();
  private shownHeat: Heat | null = null;
  /** Features that have a value. */
  private readonly valued = { blocks: new Set<number>(), roads: new Set<number>() };
  private edge: readonly Place[] | null = null;
  private readonly badges = new Map<number, Marker>();
  private shownBadges: { badges: readonly Badge[]; highlighted: number | null } = {
    badges: [],
    highlighted: null,
  };
  private readonly unfollow: () => void;

  /** Throws where the browser has no WebGL 2. */
  constructor(
    private readonly box: HTMLElement,
    private readonly config: Config,
    private readonly events: MapEvents,
    private readonly start: NamedPlace = config,
    isDay = false,
  ) {
    setWorkerUrl(workerUrl);
    this.ground = new MapLibreMap({
      ...this.options(box),
      style: groundStyle(config.basemap, config.land, isDay),
      ...this.limits(),
    });
    const overlay = document.createElement("div");
    overlay.className = "names";
    overlay.ariaHidden = "true";
    this.taxiCanvas.className = "taxis";
    this.taxiCanvas.ariaHidden = "true";
    this.ground.getCanvas().after(this.taxiCanvas, overlay);
    this.names = new MapLibreMap({
      ...this.options(overlay),
      style: nameStyle(config.basemap, isDay),
      interactive: false,
    });
    this.ground.getCanvas().setAttribute("aria-label", `Map of ${config.title} with moving taxis`);
    this.ground.touchZoomRotate.disableRotation();
    this.ground.keyboard.disableRotation();
    // Also after a lost context: MapLibre then loads its style again, and cannot restore a layer of ours.
    this.ground.on("style.load", () => {
      this.ground.addLayer(this.eye());
      this.ways(this.lines);
      this.drawCandidateWays();
      this.outline(this.edge);
      this.heat(this.shownHeat);
    });
    this.ground.on("load", () => {
      this.isReady = true;
    });
    this.ground.on("render", () => this.follow());
    this.ground.on("movestart", ({ originalEvent }) => {
      if (originalEvent) this.isTouched = true;
    });
    this.watch(this.ground, "ground");
    this.watch(this.names, "names");
    this.resize();
    this.unfollow = followSize(box, () => this.resize());
  }

  private watch(map: MapLibreMap, canvas: "ground" | "names"): void {
    map.on("webglcontextlost", () => {
      if (canvas === "ground") this.camera = null;
      this.events.lost(canvas);
    });
    map.on("webglcontextrestored", () => this.events.restored(canvas));
    map.on("data", (event) => {
      const { sourceId, isSourceLoaded } = event as { sourceId?: string; isSourceLoaded?: boolean };
      if (!sourceId || !isSourceLoaded) return;
      this.events.loaded(`${canvas} ${sourceId}`, true);
      if (canvas === "ground" && sourceId === LAND_SOURCE) void this.fadeEdge();
    });
    map.on("error", (event) => {
      const { error, sourceId } = event as { error: { message: string }; sourceId?: string };
      console.warn(`the map's ${canvas}: ${error.message}`);
      if (!sourceId) return;
      this.events.loaded(`${canvas} ${sourceId}`, false);
      setTimeout(() => this.reload(map, sourceId), RELOAD_MS);
    });
  }

  /** Let the map fade where its data ends, which is known when they are loaded. */
  private async fadeEdge(): Promise<void> {
    const land = this.ground.getSource<GeoJSONSource>(LAND_SOURCE);
    if (!land || this.hasEdge) return;
    this.hasEdge = true;
    const b = await land.getBounds();
    const box = [b.getWest(), b.getSouth(), b.getEast(), b.getNorth()] as const;
    this.ground.getSource<GeoJSONSource>(EDGE_SOURCE)?.setData(beyond(box));
  }

  private reload(map: MapLibreMap, sourceId: string): void {
    const source = map.getSource<GeoJSONSource>(sourceId);
    const { data } = source?.serialize() ?? {};
    if (source && typeof data === "string") source.setData(data);
  }

  /** By day or by night. */
  setDay(isDay: boolean): void {
    const { basemap, land } = this.config;
    this.hasEdge = false;
    this.ground.setStyle(groundStyle(basemap, land, isDay), { diff: false });
    this.names.setStyle(nameStyle(basemap, isDay), { diff: false });
  }

  /** Take it off the page. Its contexts are given back at once, because a browser has few. */
  remove(): void {
    this.unfollow();
    this.ground.remove();
    this.names.remove();
    this.taxiCanvas.getContext("webgl2")?.getExtension("WEBGL_lose_context")?.loseContext();
  }

  onClick(then: (place: Place, at: { x: number; y: number }) => void): void {
    this.ground.on("click", ({ lngLat, point }) => then([lngLat.lng, lngLat.lat], point));
  }

  /** The map shows another part of the city. */
  onMove(then: () => void): void {
    this.ground.on("move", then);
    this.ground.on("resize", then);
  }

  setCrosshair(on: boolean): void {
    this.ground.getCanvas().style.cursor = on ? "crosshair" : "";
  }

  zoomBy(steps: number): void {
    this.isTouched = true;
    this.ground.easeTo({ zoom: this.ground.getZoom() + steps, duration: 240 });
  }

  wholeCity(): void {
    this.isTouched = true;
    this.ground.setPadding(this.padding);
    this.ground.fitBounds(this.config.bbox, { padding: 8, duration: FLIGHT_MS });
  }

  fly(center: Place, zoom: number): void {
    this.isTouched = true;
    this.ground.flyTo({ center: [...center], zoom, padding: this.padding, duration: FLIGHT_MS });
  }

  /** Go to where all places can be seen. */
  fit(places: readonly Place[]): void {
    const [first] = places;
    if (!first) return;
    this.isTouched = true;
    this.ground.setPadding(this.padding);
    const bounds = places.reduce(
      (all, place) => all.extend([...place]),
      new LngLatBounds([...first], [...first]),
    );
    this.ground.fitBounds(bounds, { padding: FIT_PX, maxZoom: MAX_FIT_ZOOM, duration: FLIGHT_MS });
  }

  get isMoving(): boolean {
    return this.ground.isMoving();
  }

  /** The page's own first movement. MapLibre jumps if the reader prefers reduced motion. */
  open(center: Place, zoom: number, flightMs: number): void {
    this.hasOpened = true;
    this.ground.easeTo({ center: [...center], zoom, padding: this.padding, duration: flightMs });
  }

  /** Space that panels take: from its next flight on, the middle of what is left is the middle of the map. */
  setPadding(padding: PaddingOptions): void {
    this.padding = padding;
    if (!this.isTouched && !this.hasOpened) this.ground.setPadding(padding);
  }

  view(): { center: Place; zoom: number; bounds: [number, number, number, number] } {
    const { lng, lat } = this.ground.getCenter();
    const b = this.ground.getBounds();
    return {
      center: [lng, lat],
      zoom: this.ground.getZoom(),
      bounds: [b.getWest(), b.getSouth(), b.getEast(), b.getNorth()],
    };
  }

  project(place: Place): { x: number; y: number } {
    return this.ground.project([...place]);
  }

  /** Where a place lies in what was drawn last, in CSS pixels; null while nothing is drawn. */
  projectDrawn([lng, lat]: Place): { x: number; y: number } | null {
    if (this.camera === null) return null;
    const { matrix } = this.camera;
    const [x, y] = [mercatorX(lng), mercatorY(lat)];
    const along = (row: number) => matrix[row]! * x + matrix[4 + row]! * y + matrix[12 + row]!;
    const { clientWidth: width, clientHeight: height } = this.box;
    return { x: ((along(0) / along(3) + 1) * width) / 2, y: ((1 - along(1) / along(3)) * height) / 2 };
  }

  /** Whether what was drawn last lies where the map says that it does; null while that is not known. */
  isAligned(): boolean | null {
    if (this.ground.isMoving() || !this.isReady || this.box.clientWidth === 0) return null;
    const { bounds } = this.view();
    const corner: Place = [bounds[0], bounds[3]];
    const [wanted, drawn] = [this.project(corner), this.projectDrawn(corner)];
    if (drawn === null) return false;
    return Math.hypot(wanted.x - drawn.x, wanted.y - drawn.y) <= APART_PX_MAX;
  }

  /** Draw again, with all that it takes. */
  redraw(): void {
    if (this.ground.isStyleLoaded() && !this.ground.getLayer(EYE)) this.ground.addLayer(this.eye());
    this.ground.triggerRepaint();
  }

  /** Draw ways along the streets. */
  ways(lines: WayLines): void {
    this.lines = lines;
    this.ground.getSource<GeoJSONSource>(WAYS_SOURCE)?.setData(waysData({ ...lines }));
  }

  /** Have a place in the middle of what panels leave free. */
  centre(place: Place): void {
    // A jump would end the zoom that goes on.
    if (this.ground.isZooming()) return;
    this.ground.jumpTo({ center: [...place], padding: this.padding });
  }

  /** Somebody moved the map, and it came to rest. */
  onMoved(then: () => void): void {
    this.ground.on("moveend", ({ originalEvent }) => {
      if (originalEvent) then();
    });
  }

  /** Somebody takes hold of the map. */
  onDrag(then: () => void): void {
    this.ground.on("dragstart", then);
  }

  /** The name of the street next to a place, as far as it is on screen. */
  streetAt(place: Place): string | null {
    const { x, y } = this.ground.project([...place]);
    for (const reach of [8, 24, NEAREST_STREET_PX]) {
      const square: [[number, number], [number, number]] = [
        [x - reach, y - reach],
        [x + reach, y + reach],
      ];
      const layers = STREET_LAYERS.filter((id) => this.ground.getLayer(id));
      const found = this.ground.queryRenderedFeatures(square, { layers }).find((f) => f.properties["label"]);
      if (found) return String(found.properties["label"]);
    }
    return null;
  }

  /** The neighbourhood whose name is drawn at a point, in CSS pixels. */
  nameAt({ x, y }: { readonly x: number; readonly y: number }): string | null {
    if (!this.names.getLayer(NEIGHBOURHOOD_LAYER)) return null;
    const [found] = this.names.queryRenderedFeatures([x, y], { layers: [NEIGHBOURHOOD_LAYER] });
    return found ? String(found.properties["name"]) : null;
  }

  /** Whether a point is on the city's own land. */
  isLand({ x, y }: { readonly x: number; readonly y: number }): boolean {
    if (!this.ground.getLayer(LAND_LAYER)) return false;
    const found = this.ground.queryRenderedFeatures([x, y], { layers: [LAND_LAYER] });
    return found.some(({ properties }) => properties["name"] === this.config.land);
  }

  /** Show a layer beneath the taxis; null: none. */
  heat(heat: Heat | null): void {
    this.shownHeat = heat;
    const shown = heat && `heat-${heat.of}`;
    for (const id of HEAT_LAYERS)
      if (this.ground.getLayer(id))
        this.ground.setLayoutProperty(id, "visibility", id === shown ? "visible" : "none");
    if (heat?.what === "density")
      this.ground.getSource<GeoJSONSource>(HEAT_SOURCE)?.setData(pointsData(heat.points));
    if (heat?.what === "features" && this.ground.getSource(heat.of)) this.setValues(heat.of, heat.values);
  }

  /** The values of blocks or streets; those without one lose theirs. */
  private setValues(source: "blocks" | "roads", values: ReadonlyMap<number, number>): void {
    for (const id of this.valued[source]) if (!values.has(id)) this.ground.removeFeatureState({ source, id });
    for (const [id, value] of values) this.ground.setFeatureState({ source, id }, { value });
    this.valued[source] = new Set(values.keys());
  }

  /** Draw the edge of a part of the city; null: none. */
  outline(polygon: readonly Place[] | null): void {
    this.edge = polygon;
    const lines = polygon ? [{ kind: "outline", line: polygon }] : [];
    this.ground.getSource<GeoJSONSource>(OUTLINE_SOURCE)?.setData(linesData(lines));
  }

  /** Put a pin somewhere, move it, or take it away. */
  pin(id: "pickup" | "dropoff", place: Place | null): void {
    if (place === null) {
      this.markers.get(id)?.remove();
      this.markers.delete(id);
      return;
    }
    const marker = this.markers.get(id) ?? this.newPin(id);
    marker.setLngLat([...place]).addTo(this.ground);
  }

  /** Show candidates: a badge where each was, and the way that it would have driven. */
  candidates(
    badges: readonly Badge[],
    highlighted: number | null,
    onPointed: (driver: number | null) => void,
  ): void {
    this.shownBadges = { badges, highlighted };
    this.drawCandidateWays();
    const wanted = new Set(badges.map(({ driver }) => driver));
    for (const [driver, marker] of this.badges) {
      if (wanted.has(driver)) continue;
      marker.remove();
      this.badges.delete(driver);
    }
    const middle = badges.reduce((sum, { place }) => sum + place[0] / badges.length, 0);
    for (const badge of badges) {
      const marker = this.badges.get(badge.driver) ?? new Marker({ element: document.createElement("div") });
      this.badges.set(badge.driver, marker);
      const element = marker.getElement();
      element.classList.add("candidate");
      element.classList.toggle("west", badge.place[0] < middle);
      element.classList.toggle("chosen", badge.isChosen);
      element.classList.toggle("on", badge.driver === highlighted);
      element.dataset["words"] = badge.words;
      element.textContent = String(badge.number);
      // The same is in the table, with words.
      element.ariaHidden = "true";
      element.onpointerenter = () => onPointed(badge.driver);
      element.onpointerleave = () => onPointed(null);
      marker.setLngLat([...badge.place]).addTo(this.ground);
    }
  }

  private drawCandidateWays(): void {
    const { badges, highlighted } = this.shownBadges;
    const lines = badges.flatMap(({ driver, line }) =>
      line ? [{ kind: driver === highlighted ? "highlighted" : "candidate", line }] : [],
    );
    this.ground.getSource<GeoJSONSource>(CANDIDATES_SOURCE)?.setData(linesData(lines));
  }

  private newPin(id: string): Marker {
    const element = document.createElement("div");
    element.className = `pin ${id}`;
    const marker = new Marker({ element });
    this.markers.set(id, marker);
    return marker;
  }

  private options(container: HTMLElement): MapOptions & { container: HTMLElement } {
    const still = matchesMedia("(prefers-reduced-motion: reduce)");
    return {
      container,
      style: { version: 8, sources: {}, layers: [] },
      center: [...this.start.center],
      zoom: this.start.zoom,
      attributionControl: false,
      fadeDuration: still ? 0 : 160,
      pitchWithRotate: false,
      dragRotate: false,
      touchPitch: false,
      canvasContextAttributes: { antialias: false },
    };
  }

  private limits(): Partial<MapOptions> {
    const [west, south, east, north] = this.config.bbox;
    const margin = Math.max(MARGIN_MIN, MARGIN_SHARE * (east - west));
    const bounds = new LngLatBounds([west - margin, south - margin, east + margin, north + margin]);
    return { minZoom: this.config.zoom - FARTHER_OUT, maxZoom: MAX_ZOOM, maxBounds: bounds };
  }

  /** Draws nothing: it sees the matrix that MapLibre draws with. */
  private eye(): CustomLayerInterface {
    return {
      id: EYE,
      type: "custom",
      render: (_gl, { defaultProjectionData }) => {
        const matrix = Float64Array.from(defaultProjectionData.mainMatrix as ArrayLike<number>);
        this.camera = { matrix, zoom: this.ground.getZoom() };
      },
    };
  }

  /** Names and taxis are drawn in the same frame as the ground below them. */
  private follow(): void {
    const center = this.ground.getCenter();
    const zoom = this.ground.getZoom();
    const padding = this.ground.getPadding();
    const now = this.names.getCenter();
    if (now.lng !== center.lng || now.lat !== center.lat || this.names.getZoom() !== zoom) {
      this.names.jumpTo({ center, zoom, padding });
      this.names.redraw();
    }
    this.events.drawn();
  }

  private resize(): void {
    this.scale = Math.min(window.devicePixelRatio, SCALE_MAX);
    this.taxiCanvas.width = Math.round(this.box.clientWidth * this.scale);
    this.taxiCanvas.height = Math.round(this.box.clientHeight * this.scale);
    this.names?.resize();
    this.events.drawn();
  }
}
