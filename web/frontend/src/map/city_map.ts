// SPDX-License-Identifier: Apache-2.0
/** The only file that knows MapLibre: ground below, names above, and between them a canvas for the taxis. */

import {
  type CustomLayerInterface,
  LngLatBounds,
  MapLibreMap,
  type MapOptions,
  Marker,
  type PaddingOptions,
  setWorkerUrl,
} from "maplibre-gl";
import workerUrl from "maplibre-gl/dist/maplibre-gl-worker.mjs?worker&url";
import "maplibre-gl/dist/maplibre-gl.css";
import type { Config } from "../config";
import { groundStyle, nameStyle, STREET_LAYERS } from "./style";

export type Place = readonly [lng: number, lat: number];

export interface Camera {
  /** World coordinates → clip space, column-major, 64 bit. */
  readonly matrix: Float64Array;
  readonly zoom: number;
}

const MIN_ZOOM = 10.2;
const MAX_ZOOM = 19.5;
/** How far one may pan beyond the city, degrees. */
const MARGIN = 0.14;
const SCALE_MAX = 2;
const FLIGHT_MS = 600;
const NEAREST_STREET_PX = 60;

export class CityMap {
  readonly taxiCanvas = document.createElement("canvas");
  camera: Camera | null = null;
  /** Device pixels per CSS pixel of the taxi canvas. */
  scale = 1;
  private readonly ground: MapLibreMap;
  private readonly names: MapLibreMap;
  private readonly markers = new Map<string, Marker>();

  /** Throws where the browser has no WebGL 2. `drawn` is called whenever the ground was drawn anew. */
  constructor(
    private readonly box: HTMLElement,
    private readonly config: Config,
    private readonly drawn: () => void,
  ) {
    setWorkerUrl(workerUrl);
    this.ground = new MapLibreMap({
      ...this.options(box),
      style: groundStyle(config.basemap),
      ...this.limits(),
    });
    const overlay = document.createElement("div");
    overlay.className = "names";
    overlay.ariaHidden = "true";
    this.taxiCanvas.className = "taxis";
    this.ground.getCanvas().after(this.taxiCanvas, overlay);
    this.names = new MapLibreMap({
      ...this.options(overlay),
      style: nameStyle(config.basemap),
      interactive: false,
    });
    this.ground.getCanvas().setAttribute("aria-label", `Map of ${config.title} with moving taxis`);
    this.ground.touchZoomRotate.disableRotation();
    this.ground.keyboard.disableRotation();
    this.ground.on("load", () => this.ground.addLayer(this.eye()));
    this.ground.on("render", () => this.follow());
    this.resize();
    new ResizeObserver(() => this.resize()).observe(box);
  }

  onClick(then: (place: Place, at: { x: number; y: number }) => void): void {
    this.ground.on("click", ({ lngLat, point }) => then([lngLat.lng, lngLat.lat], point));
  }

  /** The map shows another part of the city. */
  onMove(then: () => void): void {
    this.ground.on("move", then);
    this.ground.on("resize", then);
  }

  onLoad(then: () => void): void {
    this.ground.once("idle", then);
  }

  setCrosshair(on: boolean): void {
    this.ground.getCanvas().style.cursor = on ? "crosshair" : "";
  }

  zoomBy(steps: number): void {
    this.ground.easeTo({ zoom: this.ground.getZoom() + steps, duration: 240 });
  }

  wholeCity(): void {
    this.ground.fitBounds(this.config.bbox, { padding: 24, duration: FLIGHT_MS });
  }

  fly(center: Place, zoom: number): void {
    this.ground.flyTo({ center: [...center], zoom, duration: FLIGHT_MS });
  }

  jump(center: Place, zoom: number): void {
    this.ground.jumpTo({ center: [...center], zoom });
  }

  /** Space that panels take: the middle of what is left is the middle of the map. */
  setPadding(padding: PaddingOptions): void {
    this.ground.setPadding(padding);
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

  private newPin(id: string): Marker {
    const element = document.createElement("div");
    element.className = `pin ${id}`;
    const marker = new Marker({ element });
    this.markers.set(id, marker);
    return marker;
  }

  private options(container: HTMLElement): MapOptions & { container: HTMLElement } {
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    return {
      container,
      style: { version: 8, sources: {}, layers: [] },
      center: [...this.config.center],
      zoom: this.config.zoom,
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
    const bounds = new LngLatBounds([west - MARGIN, south - MARGIN, east + MARGIN, north + MARGIN]);
    return { minZoom: MIN_ZOOM, maxZoom: MAX_ZOOM, maxBounds: bounds };
  }

  /** Draws nothing: it sees the matrix that MapLibre draws with. */
  private eye(): CustomLayerInterface {
    return {
      id: "eye",
      type: "custom",
      render: (_gl, { defaultProjectionData }) => {
        const matrix = Float64Array.from(defaultProjectionData.mainMatrix as ArrayLike<number>);
        this.camera = { matrix, zoom: this.ground.getZoom() };
      },
    };
  }

  /** Names and taxis are drawn in the same frame as the ground they stand on. */
  private follow(): void {
    const center = this.ground.getCenter();
    const zoom = this.ground.getZoom();
    const padding = this.ground.getPadding();
    const now = this.names.getCenter();
    if (now.lng !== center.lng || now.lat !== center.lat || this.names.getZoom() !== zoom) {
      this.names.jumpTo({ center, zoom, padding });
      this.names.redraw();
    }
    this.drawn();
  }

  private resize(): void {
    this.scale = Math.min(window.devicePixelRatio, SCALE_MAX);
    this.taxiCanvas.width = Math.round(this.box.clientWidth * this.scale);
    this.taxiCanvas.height = Math.round(this.box.clientHeight * this.scale);
    this.names?.resize();
    this.drawn();
  }
}
