// SPDX-License-Identifier: Apache-2.0
/** Ask for a ride: two places by click, by name or in the middle of the map; then its way, time and fare before one commits. */

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { Ask, Stop } from "../app/ask";
import type { Store } from "../app/store";
import { dollars, span } from "../city/format";
import { clockMs, far } from "../city/route";
import { IconButton } from "./glyphs";
import type { PanelProps } from "./props";
import { Title } from "./title";

type Kind = "pickup" | "dropoff";
const NAMES: Record<Kind, string> = { pickup: "Pickup", dropoff: "Drop-off" };
const MIDDLE = "The middle of the map";

export function Asking({
  store,
  actions,
  ask,
}: PanelProps & { ask: Ask & { step: "choosing" | "sending" } }) {
  const ready = ask.step === "choosing" && ask.pickup !== null && ask.dropoff !== null;
  const panel = { store, actions };
  return (
    <section class="panel detail" aria-label="Ask for a ride">
      <div class="sect">
        <Title actions={actions} text="Ask for a ride" />
        <Field {...panel} kind="pickup" stop={ask.pickup} hint="Click the map, or type a corner" />
        <Field {...panel} kind="dropoff" stop={ask.dropoff} hint="Then where you want to go" />
        {ask.step === "choosing" && ask.problem && (
          <p class="note bad" role="alert">
            {ask.problem}
          </p>
        )}
      </div>
      {ready && <QuoteFigures store={store} />}
      <div class="sect">
        <button type="button" class="btn primary full" disabled={!ready} onClick={actions.sendRide}>
          {ask.step === "sending" ? "Asking…" : "Request a taxi"}
        </button>
        <p class="note below">A simulated ride in the real stream. Every open page sees it.</p>
      </div>
    </section>
  );
}

/** What the ride would be like, from the streets and the taxis that are vacant now: no promise. */
function QuoteFigures({ store }: { store: Store }) {
  const quote = store.quote.value;
  if (!quote) return <p class="sect note">Looking for the way…</p>;
  if (!quote.trip) return <p class="sect note bad">No way: {quote.problem}</p>;
  const { nearest, trip } = quote;
  return (
    <dl class="sect quote">
      <div>
        <dt class="note">Nearest vacant taxi</dt>
        <dd class="big">{nearest ? span(clockMs(nearest)) : "–"}</dd>
        <dd class="note">{nearest ? `${far(nearest.length_m)} away` : "none is vacant now"}</dd>
      </div>
      <div>
        <dt class="note">Fare, about</dt>
        <dd class="big">{dollars(trip.fare_cents)}</dd>
        <dd class="note">
          {far(trip.length_m)}, {span(clockMs(trip))} ride
        </dd>
      </div>
    </dl>
  );
}

type FieldProps = PanelProps & { kind: Kind; stop: Stop | null; hint: string };

function Field({ store, actions, kind, stop, hint }: FieldProps) {
  const typed = useSignal<string | null>(null);
  const active = useSignal(0);
  const text = typed.value;
  const found = text === null ? [] : (store.gazetteer.value?.search(text) ?? []);
  const options = text === null ? [] : [...found.map(({ name }) => name), MIDDLE];
  const id = `stop-${kind}`;
  const input = useRef<HTMLInputElement>(null);
  // On a phone the keyboard would cover the map, where most people choose.
  useEffect(() => {
    if (kind === "pickup" && !store.small.peek()) input.current?.focus?.();
  }, [kind, store]);
  const close = () => {
    typed.value = null;
    active.value = 0;
  };
  const choose = (index: number) => {
    const one = found[index];
    const chosen = one ? { place: one.place, street: one.name } : actions.middle();
    if (chosen) actions.setStop(kind, chosen);
    close();
  };
  return (
    <div class="stop-field">
      <div class="field">
        <span class={`pin ${kind}`} aria-hidden="true" />
        <div>
          <label for={id}>{NAMES[kind]}</label>
          <input
            id={id}
            ref={input}
            type="text"
            role="combobox"
            autocomplete="off"
            spellcheck={false}
            maxLength={80}
            placeholder={hint}
            aria-expanded={options.length > 0}
            aria-controls={`${id}-list`}
            aria-activedescendant={options.length > 0 ? `${id}-${active.value}` : undefined}
            value={text ?? nameOf(stop)}
            onInput={(event) => {
              typed.value = event.currentTarget.value;
              active.value = 0;
            }}
            onFocus={(event) => {
              event.currentTarget.select();
              if (!stop) typed.value = "";
            }}
            onBlur={close}
            onKeyDown={(event) => {
              const by = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
              if (by !== 0 && options.length > 0) {
                event.preventDefault();
                active.value = (active.value + by + options.length) % options.length;
              } else if (event.key === "Enter" && options.length > 0) choose(active.value);
              else if (event.key === "Escape") {
                close();
                event.currentTarget.blur();
              }
            }}
          />
        </div>
        {stop && (
          <IconButton
            icon="close"
            label={`Clear the ${NAMES[kind].toLowerCase()}`}
            onClick={() => actions.setStop(kind, null)}
          />
        )}
      </div>
      <div id={`${id}-list`} role="listbox" aria-label={`${NAMES[kind]} by name`} class="options">
        {options.map((name, i) => (
          // A field keeps the focus, as the pattern of a combobox has it: the keys are the field's.
          <div
            key={name}
            id={`${id}-${i}`}
            role="option"
            tabIndex={-1}
            aria-selected={i === active.value}
            class={i === active.value ? "option on" : "option"}
            onPointerDown={(event) => {
              event.preventDefault();
              choose(i);
            }}
          >
            {name}
          </div>
        ))}
      </div>
    </div>
  );
}

export function StopLine({ name, stop, kind }: { name: string; stop: Stop; kind: Kind }) {
  return (
    <div class="field">
      <span class={`pin ${kind}`} aria-hidden="true" />
      <div>
        <small>{name}</small>
        <p>{nameOf(stop)}</p>
      </div>
    </div>
  );
}

function nameOf(stop: Stop | null): string {
  return stop ? (stop.street ?? "A place on the map") : "";
}
