// SPDX-License-Identifier: Apache-2.0
/** The small drawings: status glyphs (as on the map) and icons. All are decoration beside words. */

import type { ComponentChildren, JSX } from "preact";
import type { Glyph as GlyphName } from "../city/rides";

const COLOUR: Record<GlyphName, string> = {
  off: "off",
  vacant: "vacant",
  offered: "vacant",
  toPickup: "pickup",
  atPickup: "pickup",
  onTrip: "trip",
  lost: "lost",
  rider: "text",
  struck: "text-2",
  tick: "text",
  batch: "text-3",
  expected: "text-3",
};

const STROKE = { fill: "none", stroke: "currentColor" } as const;

const SHAPES: Record<GlyphName, JSX.Element> = {
  off: <path d="M3 7h8" {...STROKE} stroke-width="2.6" stroke-linecap="round" />,
  vacant: <circle cx="7" cy="7" r="4.6" {...STROKE} stroke-width="2.6" />,
  offered: (
    <>
      <circle cx="7" cy="7" r="5.2" {...STROKE} stroke-width="2" />
      <circle cx="7" cy="7" r="2" fill="currentColor" />
    </>
  ),
  toPickup: <path d="M7 .8 13.2 12.2H.8z" fill="currentColor" />,
  atPickup: <path d="M1.8 1.8h10.4v10.4H1.8z" fill="currentColor" />,
  onTrip: <circle cx="7" cy="7" r="5.8" fill="currentColor" />,
  lost: <path d="m2 2 10 10M12 2 2 12" {...STROKE} stroke-width="2.6" stroke-linecap="round" />,
  rider: <path d="M7 .9 13.1 7 7 13.1.9 7z" fill="currentColor" />,
  struck: (
    <>
      <circle cx="7" cy="7" r="5.4" {...STROKE} stroke-width="1.8" />
      <path d="m3.4 3.4 7.2 7.2" {...STROKE} stroke-width="1.8" />
    </>
  ),
  tick: (
    <path
      d="m2 7.5 3.4 3.4L12 3.6"
      {...STROKE}
      stroke-width="2.4"
      stroke-linecap="round"
      stroke-linejoin="round"
    />
  ),
  batch: <path d="M7 1.5 12 4.3v5.4L7 12.5 2 9.7V4.3z" {...STROKE} stroke-width="1.8" />,
  expected: <circle cx="7" cy="7" r="5" {...STROKE} stroke-width="1.8" stroke-dasharray="2.4 2.8" />,
};

export function Glyph({ name }: { name: GlyphName }) {
  return (
    <svg class={`g c-${COLOUR[name]}`} viewBox="0 0 14 14" aria-hidden="true">
      {SHAPES[name]}
    </svg>
  );
}

const ICONS = {
  bolt: "M9 1.5 3 9h4.5L7 14.5 13 7H8.5z",
  pin: "M8 14.5S3 10 3 6.5a5 5 0 0 1 10 0C13 10 8 14.5 8 14.5zM8 8.1a1.6 1.6 0 1 0 0-3.2 1.6 1.6 0 0 0 0 3.2z",
  search: "M7 11.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9zM10.5 10.5 14 14",
  plus: "M8 3v10M3 8h10",
  minus: "M3 8h10",
  whole: "M2.5 6V2.5H6M10 2.5h3.5V6M13.5 10v3.5H10M6 13.5H2.5V10",
  chart: "M2.5 2v11.5H14M5 10l3-3.5 2.5 2L14 4",
  layers: "M8 2 14 5.2 8 8.4 2 5.2zM2.5 8.2 8 11.2l5.5-3M2.5 11 8 14l5.5-3",
  pause: "M5.5 3.5v9M10.5 3.5v9",
  play: "M5 3.2v9.6L12.5 8z",
  filter: "M2 4h12M4.5 8h7M7 12h2",
  down: "m4 6 4 4 4-4",
  up: "m4 10 4-4 4 4",
  close: "m4 4 8 8M12 4l-8 8",
  clock: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM8 4.5V8l2.5 1.5",
  noLine:
    "M1.5 6a10 10 0 0 1 4-2.3M14.5 6A10 10 0 0 0 9 3.2M4 9a6 6 0 0 1 2.5-1.5M12 9a6 6 0 0 0-1.3-.9M8 12.5v.1M2 2l12 12",
  warning: "M8 2 15 14H1zM8 6.5v3.2M8 11.8v.1",
  shield: "M8 1.8 13 4v4c0 3.2-2.2 5.2-5 6.2C5.2 13.2 3 11.2 3 8V4zM5.8 8l1.6 1.6 2.9-3",
  target: "M8 1.5v3M8 11.5v3M1.5 8h3M11.5 8h3M8 11.5a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7z",
} as const;

export function Icon({ name, large }: { name: keyof typeof ICONS; large?: boolean }) {
  return (
    <svg class={large ? "i l" : "i"} viewBox="0 0 16 16" aria-hidden="true">
      <path d={ICONS[name]} />
    </svg>
  );
}

/** Green and filled: the hash of this page's rows equals the gateway's. Hollow: not checked at this moment. */
export function Tick({ verified }: { verified: boolean }) {
  return (
    <svg
      class="tick"
      viewBox="0 0 20 20"
      role="img"
      aria-label={verified ? "hash matches" : "not verified now"}
    >
      {verified ? (
        <>
          <circle cx="10" cy="10" r="9" class="fill-ok" />
          <path
            d="m5.8 10.3 2.9 2.9 5.5-6"
            class="stroke-page"
            stroke-width="2.2"
            stroke-linecap="round"
            stroke-linejoin="round"
          />
        </>
      ) : (
        <circle cx="10" cy="10" r="7.5" class="stroke-dim" stroke-width="2" stroke-dasharray="3 3" />
      )}
    </svg>
  );
}

export function IconButton(props: {
  icon: keyof typeof ICONS;
  label: string;
  onClick: () => void;
  pressed?: boolean;
  expanded?: boolean;
  children?: ComponentChildren;
}) {
  return (
    <button
      type="button"
      class={props.pressed ? "btn icon on" : "btn icon"}
      aria-label={props.label}
      title={props.label}
      aria-pressed={props.pressed}
      aria-expanded={props.expanded}
      onClick={props.onClick}
    >
      <Icon name={props.icon} />
    </button>
  );
}
