// SPDX-License-Identifier: Apache-2.0
/** The night map: streets and water below the taxis, names above them. */

import type {
  ExpressionSpecification,
  FilterSpecification,
  LayerSpecification,
  StyleSpecification,
} from "maplibre-gl";

const COLOUR = {
  water: "#0b1a29",
  shore: "#1f4a66",
  land: "#141b26",
  far: "#121821",
  block: "#1e2733",
  park: "#16302a",
  cemetery: "#16262a",
  field: "#1a2230",
  minor: "#303c4e",
  secondary: "#3f4d63",
  primary: "#51627c",
  highway: "#7a6c66",
  name: "#c9d4e2",
  halo: "#0e151f",
  street: "#a3b3c9",
  parkName: "#6fae8f",
  borough: "#4a586d",
  accent: "#ffd84d",
  casing: "#080c12",
  white: "#f2f5fa",
  parkHalo: "#0d1a15",
  vacant: "#59e6b6",
};

/** The same by day. */
const DAY: Record<keyof typeof COLOUR, string> = {
  water: "#c3d7e8",
  shore: "#9dbbd3",
  land: "#f3f1ec",
  far: "#e9e8e4",
  block: "#e6e4de",
  park: "#cfe3cd",
  cemetery: "#dbe5d8",
  field: "#e9e9e2",
  minor: "#ffffff",
  secondary: "#fdfbf4",
  primary: "#f6e8c4",
  highway: "#eac9a4",
  name: "#2b3444",
  halo: "#fbfbf9",
  street: "#4a5567",
  parkName: "#2f6a44",
  borough: "#7a8596",
  accent: "#b07d00",
  casing: "#fbfbfa",
  white: "#10161f",
  parkHalo: "#eef5ec",
  vacant: "#00815f",
};
const DAY_OF = new Map(Object.entries(DAY).map(([name, day]) => [COLOUR[name as keyof typeof COLOUR], day]));

/** A style by night, or the same by day: each colour has its counterpart. */
function lit<T>(style: T, isDay: boolean): T {
  if (!isDay) return style;
  const swap = (value: string) => (DAY_OF.get(value.slice(0, 7)) ?? value.slice(0, 7)) + value.slice(7);
  return JSON.parse(JSON.stringify(style), (_, value) =>
    typeof value === "string" ? swap(value) : value,
  ) as T;
}

/** Drawn by the browser from whatever it has: the map asks no server for letters. */
const FONT = ["system-ui", "sans-serif"];
const MINOR = ["residential", "unclassified", "living_street", "tertiary"];

/** A value that grows with zoom: pairs of zoom and value. */
function zoomed(...stops: number[]): ExpressionSpecification {
  return ["interpolate", ["exponential", 1.6], ["zoom"], ...stops] as unknown as ExpressionSpecification;
}

function road(
  id: string,
  classes: string[],
  colour: string,
  width: number[],
  extra: object = {},
): LayerSpecification {
  const filter = ["all", ["in", ["get", "class"], ["literal", classes]], ["!", ["has", "tunnel"]]];
  return {
    id,
    type: "line",
    source: "roads",
    filter: filter as FilterSpecification,
    layout: { "line-cap": "round", "line-join": "round" },
    paint: { "line-color": colour, "line-width": zoomed(...width), ...extra },
  };
}

const ground = (land: string): LayerSpecification[] => [
  { id: "water", type: "background", paint: { "background-color": COLOUR.water } },
  {
    id: "shore",
    type: "line",
    source: "land",
    filter: ["all", ["!=", ["get", "name"], "New Jersey"], ["!", ["has", "outside"]]],
    paint: {
      "line-color": COLOUR.shore,
      "line-width": zoomed(10, 3, 15, 18),
      "line-blur": zoomed(10, 3, 15, 16),
      "line-opacity": 0.55,
    },
  },
  {
    id: "land",
    type: "fill",
    source: "land",
    paint: { "fill-color": ["match", ["get", "name"], land, COLOUR.land, COLOUR.far] },
  },
  {
    id: "parks",
    type: "fill",
    source: "parks",
    paint: {
      "fill-color": [
        "match",
        ["get", "kind"],
        "park",
        COLOUR.park,
        "cemetery",
        COLOUR.cemetery,
        COLOUR.field,
      ],
    },
  },
  {
    id: "blocks",
    type: "fill",
    source: "blocks",
    minzoom: 11,
    paint: { "fill-color": COLOUR.block, "fill-opacity": zoomed(11, 0.2, 12.6, 1) },
  },
];

const STREETS: LayerSpecification[] = [
  {
    ...road("minor", MINOR, COLOUR.minor, [11, 0.25, 13, 0.8, 16, 7, 19, 38], {
      "line-opacity": zoomed(11, 0.35, 13, 0.9),
    }),
    minzoom: 11,
  },
  road("secondary", ["secondary"], COLOUR.secondary, [11, 0.6, 13, 1.4, 16, 10, 19, 52]),
  road("primary", ["primary"], COLOUR.primary, [11, 0.8, 13, 1.9, 16, 12, 19, 60]),
  road("highway", ["motorway", "trunk"], COLOUR.highway, [11, 1.1, 13, 2.4, 16, 12, 19, 56]),
  {
    id: "tunnel",
    type: "line",
    source: "roads",
    filter: ["has", "tunnel"],
    paint: {
      "line-color": COLOUR.highway,
      "line-dasharray": [2, 2],
      "line-opacity": 0.5,
      "line-width": zoomed(11, 0.8, 13, 1.6, 16, 7),
    },
  },
];

/** From good to bad; distinguishable without red or green, too. */
const SCALE = [
  "interpolate",
  ["linear"],
  ["feature-state", "value"],
  0,
  "#3a6ea5",
  0.5,
  "#c9c3a5",
  1,
  "#e0703f",
];
const HAS_VALUE = (opacity: number) =>
  ["case", ["==", ["feature-state", "value"], null], 0, opacity] as unknown as ExpressionSpecification;
const VALUE = [
  "case",
  ["==", ["feature-state", "value"], null],
  "rgba(0,0,0,0)",
  SCALE,
] as unknown as ExpressionSpecification;

/** A heat of one colour: nothing, then stronger and stronger. */
function density(colour: string): ExpressionSpecification {
  const steps = ["interpolate", ["linear"], ["heatmap-density"], 0, "rgba(0,0,0,0)", 0.15, `${colour}30`];
  return [...steps, 0.5, `${colour}90`, 1, `${colour}e0`] as unknown as ExpressionSpecification;
}

function heat(id: "vacant" | "waiting", colour: string): LayerSpecification {
  return {
    id: `heat-${id}`,
    type: "heatmap",
    source: "heat",
    layout: { visibility: "none" },
    paint: {
      "heatmap-weight": ["min", 1, ["*", 0.25, ["get", "weight"]]],
      "heatmap-radius": zoomed(11, 18, 14, 44, 17, 160),
      "heatmap-intensity": 0.8,
      "heatmap-color": density(colour),
      "heatmap-opacity": 0.8,
    },
  };
}

/** Layers that are shown one at a time, beneath the taxis. */
const HEAT: LayerSpecification[] = [
  heat("vacant", COLOUR.vacant),
  heat("waiting", COLOUR.white),
  {
    id: "heat-roads",
    type: "line",
    source: "roads",
    layout: { visibility: "none", "line-cap": "round" },
    paint: {
      "line-color": VALUE,
      "line-opacity": HAS_VALUE(0.9),
      "line-width": zoomed(11, 1.6, 13, 3.2, 16, 9, 19, 40),
    },
  },
];
const HEAT_BLOCKS: LayerSpecification = {
  id: "heat-blocks",
  type: "fill",
  source: "blocks",
  layout: { visibility: "none" },
  paint: { "fill-color": VALUE, "fill-opacity": HAS_VALUE(0.55) },
};
export const HEAT_SOURCE = "heat";
export const HEAT_LAYERS = [...HEAT.map(({ id }) => id), HEAT_BLOCKS.id];

/** Layers whose features carry a street's name. */
export const STREET_LAYERS = STREETS.map((layer) => layer.id);

const halo = (width: number) => ({
  "text-halo-color": COLOUR.halo,
  "text-halo-width": width,
  "text-halo-blur": 0.4,
});

/** Below the taxis: a name may not hide a car. It also needs the streets, which the ground has loaded. */
const STREET_NAMES: LayerSpecification[] = [
  {
    id: "street-names",
    type: "symbol",
    source: "roads",
    minzoom: 14.3,
    filter: ["all", ["has", "label"], ["!", ["has", "link"]]],
    layout: {
      "symbol-placement": "line",
      "text-field": ["get", "label"],
      "text-font": FONT,
      "text-size": zoomed(14, 10, 17, 13),
      "symbol-spacing": 380,
      "text-letter-spacing": 0.03,
      "text-padding": 4,
    },
    paint: { "text-color": COLOUR.street, ...halo(1.8), "text-opacity": zoomed(14.3, 0, 14.8, 0.95) },
  },
];

const NAMES: LayerSpecification[] = [
  {
    id: "borough-names",
    type: "symbol",
    source: "places",
    maxzoom: 13.4,
    filter: ["==", ["get", "kind"], "borough"],
    layout: {
      "text-field": ["get", "name"],
      "text-font": FONT,
      "text-size": 12,
      "text-letter-spacing": 0.35,
      "text-transform": "uppercase",
    },
    paint: { "text-color": COLOUR.borough, "text-halo-color": COLOUR.far, "text-halo-width": 1 },
  },
  {
    id: "neighbourhood-names",
    type: "symbol",
    source: "places",
    minzoom: 11,
    maxzoom: 15.4,
    filter: ["==", ["get", "kind"], "neighbourhood"],
    layout: {
      "text-field": ["get", "name"],
      "text-font": FONT,
      "text-size": zoomed(11, 9.5, 13, 11.5, 15, 14),
      "text-max-width": 7.5,
      "text-letter-spacing": 0.09,
      "text-line-height": 1.15,
      "text-transform": "uppercase",
      "text-padding": 8,
      "symbol-sort-key": ["get", "rank"],
    },
    paint: { "text-color": COLOUR.name, ...halo(2.4), "text-opacity": zoomed(14.6, 1, 15.4, 0) },
  },
  {
    id: "park-names",
    type: "symbol",
    source: "places",
    minzoom: 11.8,
    filter: ["==", ["get", "kind"], "park"],
    layout: {
      "text-field": ["get", "name"],
      "text-font": FONT,
      "text-size": 11.5,
      "text-max-width": 7,
      "symbol-sort-key": ["get", "rank"],
    },
    paint: { "text-color": COLOUR.parkName, "text-halo-color": COLOUR.parkHalo, "text-halo-width": 1.6 },
  },
];

const geojson = (base: string, name: string, more: object = {}) =>
  ({ type: "geojson", data: `${base}/${name}.geojson`, ...more }) as const;

/** Ways along the streets, of the ride and the taxi that are shown. */
const WAY_LAYOUT = { "line-cap": "round", "line-join": "round" } as const;
const WAYS: LayerSpecification[] = [
  {
    id: "outline",
    type: "line",
    source: "outline",
    layout: WAY_LAYOUT,
    paint: { "line-color": COLOUR.accent, "line-width": 2, "line-opacity": 0.7, "line-dasharray": [1, 2] },
  },
  {
    id: "candidate-casing",
    type: "line",
    source: "candidates",
    layout: WAY_LAYOUT,
    paint: { "line-color": COLOUR.casing, "line-width": 5, "line-opacity": 0.6 },
  },
  {
    id: "candidate",
    type: "line",
    source: "candidates",
    filter: ["==", ["get", "kind"], "candidate"],
    paint: { "line-color": COLOUR.white, "line-width": 1.5, "line-opacity": 0.8, "line-dasharray": [3, 3] },
  },
  {
    id: "candidate-highlighted",
    type: "line",
    source: "candidates",
    filter: ["==", ["get", "kind"], "highlighted"],
    paint: { "line-color": COLOUR.white, "line-width": 3, "line-dasharray": [2, 1.5] },
  },
  {
    id: "ways-casing",
    type: "line",
    source: "ways",
    layout: WAY_LAYOUT,
    paint: { "line-color": COLOUR.casing, "line-width": 9, "line-opacity": 0.8 },
  },
  {
    id: "way-ahead",
    type: "line",
    source: "ways",
    filter: ["==", ["get", "kind"], "ahead"],
    layout: WAY_LAYOUT,
    paint: { "line-color": COLOUR.accent, "line-width": 4 },
  },
  {
    id: "way-planned",
    type: "line",
    source: "ways",
    filter: ["==", ["get", "kind"], "planned"],
    layout: WAY_LAYOUT,
    paint: { "line-color": COLOUR.white, "line-width": 4, "line-dasharray": [0.1, 2] },
  },
];
export const WAYS_SOURCE = "ways";
export const CANDIDATES_SOURCE = "candidates";
export const OUTLINE_SOURCE = "outline";

interface KindOfLine {
  readonly kind: string;
  readonly line: readonly (readonly [number, number])[];
}

/** Lines for the layers of ways. */
export function waysData(lines: { readonly [kind: string]: KindOfLine["line"] | null }) {
  return linesData(Object.entries(lines).flatMap(([kind, line]) => (line ? [{ kind, line }] : [])));
}

export function linesData(lines: readonly KindOfLine[]) {
  const features = lines.flatMap(({ kind, line }) =>
    line.length < 2
      ? []
      : [
          {
            type: "Feature" as const,
            properties: { kind },
            geometry: { type: "LineString" as const, coordinates: line.map((point) => [...point]) },
          },
        ],
  );
  return { type: "FeatureCollection" as const, features };
}

/** The map's data ends somewhere: there it fades, instead of being cut off. */
const EDGE: LayerSpecification[] = [
  {
    id: "edge",
    type: "line",
    source: "edge",
    // A polygon's outline is drawn along the tiles that it is cut into, too; a line's is not.
    filter: ["==", ["geometry-type"], "LineString"],
    // Nearer, nothing beyond the data is in sight.
    maxzoom: 13,
    paint: {
      "line-color": COLOUR.water,
      "line-width": zoomed(10, 110, 13, 300),
      "line-blur": zoomed(10, 80, 13, 200),
    },
  },
  {
    id: "beyond",
    type: "fill",
    source: "edge",
    filter: ["==", ["geometry-type"], "Polygon"],
    paint: { "fill-color": COLOUR.water },
  },
];
export const EDGE_SOURCE = "edge";
export const LAND_SOURCE = "land";
export const LAND_LAYER = "land";
export const NEIGHBOURHOOD_LAYER = "neighbourhood-names";
/** Degrees around the data that a window can show at the smallest zoom. */
const BEYOND = 2;

/** Everything outside a box, as a polygon with a hole, and the box as a line. */
export function beyond([west, south, east, north]: readonly [number, number, number, number]) {
  const ring = (by: number) => [
    [west - by, south - by],
    [east + by, south - by],
    [east + by, north + by],
    [west - by, north + by],
    [west - by, south - by],
  ];
  const feature = <T extends object>(geometry: T) => ({ type: "Feature", properties: {}, geometry }) as const;
  return {
    type: "FeatureCollection",
    features: [
      feature({ type: "Polygon", coordinates: [ring(BEYOND), ring(0).reverse()] } as const),
      feature({ type: "LineString", coordinates: ring(0) } as const),
    ],
  } as const;
}

/** Everything below the taxis. `land`: the name of the city's own land. */
export function groundStyle(base: string, land: string, isDay: boolean): StyleSpecification {
  const sources = {
    land: geojson(base, "land"),
    parks: geojson(base, "parks"),
    // Ids are places in the file: values of blocks and streets are set by them.
    blocks: geojson(base, "blocks", { tolerance: 0.2, generateId: true }),
    roads: geojson(base, "roads", { tolerance: 0.2, generateId: true }),
    heat: { type: "geojson", data: { type: "FeatureCollection", features: [] } } as const,
    ways: { type: "geojson", data: { type: "FeatureCollection", features: [] } } as const,
    outline: { type: "geojson", data: { type: "FeatureCollection", features: [] } } as const,
    candidates: { type: "geojson", data: { type: "FeatureCollection", features: [] } } as const,
    edge: { type: "geojson", data: { type: "FeatureCollection", features: [] } } as const,
  };
  const layers = [...ground(land), HEAT_BLOCKS, ...STREETS, ...HEAT, ...STREET_NAMES, ...WAYS, ...EDGE];
  return lit({ version: 8, name: isDay ? "day" : "night", sources, layers }, isDay);
}

/** Everything above them: names of places only, on nothing. */
export function nameStyle(base: string, isDay: boolean): StyleSpecification {
  const sources = { places: geojson(base, "places") };
  return lit({ version: 8, name: "names", sources, layers: NAMES }, isDay);
}

/** Weighted places for the layers of densities. */
export function pointsData(points: readonly (readonly [lng: number, lat: number, weight: number])[]) {
  const features = points.map(([lng, lat, weight]) => ({
    type: "Feature" as const,
    properties: { weight },
    geometry: { type: "Point" as const, coordinates: [lng, lat] },
  }));
  return { type: "FeatureCollection" as const, features };
}
