// SPDX-License-Identifier: Apache-2.0
/** Is this true? What is compared with what after each update, what came of it, and how the last failover went. */

import type { Store } from "../app/store";
import type { CheckState, Comparison } from "../city/checks";
import { type FailoverStep, type Stretch, stretches } from "../city/failover";
import { age, brief, count, cutName } from "../city/format";
import { type OtherWindow, openWindows } from "../city/windows";
import { Icon, IconButton, Tick } from "./glyphs";
import { KillButton } from "./headline";
import type { PanelProps } from "./props";
import { CheckStrip } from "./strip";
import { VerifierSection } from "./verified";

export function ProofPanel({ store, actions }: PanelProps) {
  const hasMore = store.canBreak.value && !store.roomy.value;
  return (
    <section class="panel detail proof" aria-label="Proof">
      <Statement store={store} onClose={() => actions.showProof(false)} />
      {hasMore && (
        <div class="sect row more">
          {store.small.value && <KillButton store={store} actions={actions} full />}
          <button type="button" class="btn full" onClick={() => actions.showChaos(true)}>
            More to break
            <Icon name="up" />
          </button>
        </div>
      )}
      <Strip store={store} />
      <VerifierSection store={store} />
      <Failover store={store} />
      <Windows store={store} onOpen={actions.openSecondWindow} />
      <Figures store={store} />
    </section>
  );
}

/** What holds now, with the two hashes; never more than was compared. */
function Statement({ store, onClose }: { store: Store; onClose: () => void }) {
  const { own, received, gateway } = store.checks.value;
  const { words, gateway: named, note, verified } = statement(store);
  return (
    <div class="sect">
      <div class="row claim">
        <Tick verified={verified} />
        <div>
          <h2 class="mid">
            {words} {named && <span class="whole">{named}</span>}
          </h2>
          <p class="label">{note}</p>
        </div>
        <IconButton icon="close" label="Close" onClick={onClose} />
      </div>
      {own !== "" && (
        <dl class="hash mono">
          <dt>this page</dt>
          <dd>{own}</dd>
          <dt>{gateway}</dt>
          <dd>
            {lanes(own, received)} {own === received && <span class="ok">=</span>}
          </dd>
        </dl>
      )}
    </div>
  );
}

interface Claim {
  readonly words: string;
  readonly gateway?: string;
  readonly note: string;
  readonly verified: boolean;
}

function statement(store: Store): Claim {
  const { gateway } = store.checks.value;
  const [held, ageMs] = [store.held.value, store.ageMs.value];
  const part = store.view.value === null ? "These rows" : "The rows of this view";
  if (!held || ageMs === null) {
    return { words: "Nothing compared yet", note: "waiting for the first update", verified: false };
  }
  const when = `at cut ${cutName(held.cutMs)} · compared ${age(ageMs)} ago`;
  switch (store.health.value) {
    case "differs": {
      const cut = cutName(store.mismatch.value?.cutMs ?? held.cutMs);
      const note = `at cut ${cut} · ${gateway} sends the full state again`;
      return { words: "The hashes differ", note, verified: false };
    }
    case "reconnecting":
    case "refused":
      return { words: "Not compared now", note: `last equal ${when}`, verified: false };
    case "stale":
      return {
        words: `${part} equal those of`,
        gateway,
        note: `${when} · the log does not move`,
        verified: true,
      };
    default:
      return { words: `${part} equal those of`, gateway, note: when, verified: true };
  }
}

/** A hash, with the lanes marked in which it differs from another one. */
function lanes(own: string, received: string) {
  const wanted = own.split(" ");
  return received.split(" ").map((lane, i) => (
    <span key={i} class={lane === wanted[i] ? "" : "bad"}>
      {i > 0 ? ` ${lane}` : lane}
    </span>
  ));
}

function Strip({ store }: { store: Store }) {
  const { checks } = store.checks.value;
  const compared = checks.filter(({ outcome }) => outcome !== "gap");
  const equal = compared.filter(({ outcome }) => outcome === "equal").length;
  const first = checks[0];
  const overMs = first === undefined ? 0 : store.now.value - first.at;
  return (
    <div class="sect">
      <div class="row spread">
        <h3 class="title">Each update{overMs > 0 ? `, last ${age(overMs)}` : ""}</h3>
        <span class="label">
          <b class={equal < compared.length ? "str bad" : "str"}>
            {equal} of {compared.length}
          </b>{" "}
          equal
        </span>
      </div>
      <CheckStrip checks={checks} />
      <Compared {...store.checks.value} />
      <p class="note below">
        Verified by this page: after each update it computes a hash over the rows that it holds, and compares
        it with the hash that the gateway computed over its own rows. An error that all gateways make alike
        would not show here: below, a verifier compares them with the log.
      </p>
    </div>
  );
}

/** Two gateways, compared where one continued what the other one had sent. */
function Compared({ compared, agreed, comparison }: CheckState) {
  if (comparison === null) return null;
  return (
    <p class="note below">
      <span class={comparison.equal ? "" : "bad"}>{comparisonWords(comparison)}</span>
      {compared > 1 && ` · ${count(agreed)} of ${count(compared)} such changes agree`}
    </p>
  );
}

function comparisonWords({ from, to, cutMs, equal }: Comparison): string {
  const result = equal ? "have" : "do not have";
  return `Two gateways compared: the rows from ${from} and one difference from ${to} ${result} ${to}’s hash, at cut ${cutName(cutMs)}`;
}

function Failover({ store }: { store: Store }) {
  const { steps, ongoing, failed } = store.failover.value;
  const shown = ongoing.length > 0 ? ongoing : steps;
  if (shown.length === 0) {
    return (
      <div class="sect">
        <h3 class="title">Last failover</h3>
        <p class="label">No gateway was lost since this page opened.</p>
      </div>
    );
  }
  const isOver = ongoing.length === 0;
  return (
    <div class="sect">
      <div class="row spread">
        <h3 class="title">{isOver ? "Last failover" : "Failover, going on"}</h3>
        <Outcome store={store} steps={shown} isOver={isOver} />
      </div>
      {isOver && <Split parts={stretches(shown)} />}
      <ol class="steps">
        {shown.map((one, i) => (
          <li key={i}>
            <span class="ms">{count(Math.round(one.at - shown[0]!.at))} ms</span>
            <span>{stepWords(one)}</span>
          </li>
        ))}
      </ol>
      {!isOver && failed > 0 && <p class="note below">{failed} attempts failed so far</p>}
    </div>
  );
}

function Outcome({
  store,
  steps,
  isOver,
}: {
  store: Store;
  steps: readonly FailoverStep[];
  isOver: boolean;
}) {
  if (!isOver) return <span class="label">{age(store.now.value - steps[0]!.at)} so far</span>;
  const tookMs = steps.at(-1)!.at - steps[0]!.at;
  const { report } = store.outage.value;
  // The report of the same outage counts what was missed; after a full state that is not known.
  const counts = report && report.at === steps.at(-1)!.at && !report.fresh ? report : null;
  return (
    <span class="label">
      <b class="str">{brief(tookMs)}</b>
      {counts && (
        <span class={counts.missed + counts.repeated > 0 ? "bad" : ""}>
          {" "}
          · {count(counts.missed)} missed · {count(counts.repeated)} repeated
        </span>
      )}
    </span>
  );
}

const STRETCHES: Record<Stretch["name"], string> = {
  notice: "notice",
  connect: "connect",
  resume: "resume",
  update: "update and check",
};

/** Where the time went. */
function Split({ parts }: { parts: readonly Stretch[] }) {
  const total = parts.reduce((sum, { ms }) => sum + ms, 0);
  return (
    <>
      <div class="split" aria-hidden="true">
        {parts.map(({ name, ms }) => (
          <i key={name} class={name} style={{ flexGrow: Math.max(ms, total / 100) }} />
        ))}
      </div>
      <ul class="stretches" aria-label={`Where ${count(Math.round(total))} ms went`}>
        {parts.map(({ name, ms }) => (
          <li key={name}>
            <i class={name} aria-hidden="true" />
            {STRETCHES[name]} {count(Math.round(ms))} ms
          </li>
        ))}
      </ul>
    </>
  );
}

function stepWords({ kind, gateway, cutMs, bytes }: FailoverStep) {
  switch (kind) {
    case "last":
      return (
        <>
          last update from <b>{gateway}</b>, cut {cutName(cutMs)}
        </>
      );
    case "lost":
      return "its connection is lost";
    case "silent":
      return "it is silent: another connection is opened beside it";
    case "opened":
      return "connected, cursor sent";
    case "failed":
      return "this attempt failed";
    case "resumed":
      return (
        <>
          <b>{gateway}</b> continues from the same cursor
        </>
      );
    case "fresh":
      return (
        <>
          <b>{gateway}</b> sends the full state: events in between are not shown
        </>
      );
    case "equal":
      return (
        <>
          one update, {kilobytes(bytes)}: <b>hashes equal</b> at cut {cutName(cutMs)}
        </>
      );
  }
}

/** Other windows of this browser: their hashes at the cuts that both have had. */
function Windows({ store, onOpen }: { store: Store; onOpen: () => void }) {
  const windows = openWindows(store.windows.value, store.now.value);
  return (
    <div class="sect">
      <div class="row spread">
        <h3 class="title">Second window</h3>
        <button type="button" class="btn s" onClick={onOpen}>
          Open a second window
        </button>
      </div>
      {windows.map((one) => (
        <p key={one.id} class="label">
          {windowWords(one)}
        </p>
      ))}
      {windows.length === 0 && (
        <p class="note below">
          It has a connection and rows of its own; both compare their hashes at the same cuts.
        </p>
      )}
    </div>
  );
}

function windowWords({ gateway, equal, differed, cutMs }: OtherWindow) {
  if (cutMs === null) return `A window on ${gateway}: no cut in common yet`;
  return (
    <>
      A window on <b class="str">{gateway}</b>:{" "}
      <span class={differed > 0 ? "bad" : ""}>
        {count(equal)} of {count(equal + differed)} common cuts equal
      </span>
      , the last at {cutName(cutMs)}
    </>
  );
}

function kilobytes(bytes: number): string {
  return bytes < 1_000 ? `${bytes} B` : `${(bytes / 1_000).toFixed(bytes < 99_500 ? 1 : 0)} kB`;
}

function Figures({ store }: { store: Store }) {
  const { lagMs, updatesPerS, kBPerS } = store.rate.value ?? { lagMs: null, updatesPerS: 0, kBPerS: 0 };
  const { equal, differed, gateway } = store.checks.value;
  const { loc, ev } = store.stalls.value ?? {};
  const figures = [
    ["Gateway", gateway || "–", ""],
    ["Lag, median", lagMs === null ? "–" : count(Math.round(lagMs)), "ms"],
    ["Updates", updatesPerS.toFixed(1), "/s"],
    ["Received", kBPerS.toFixed(kBPerS < 99.5 ? 1 : 0), "kB/s"],
    ["Resumes", count(store.resumes.value), ""],
    ["Resets", count(store.resets.value), ""],
    ["Compared", count(equal + differed), ""],
    ["Differed", count(differed), ""],
  ] as const;
  return (
    <div class="sect">
      <dl class="proof-figs">
        {figures.map(([name, value, unit]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>
              {value}
              {unit && <span class="unit"> {unit}</span>}
            </dd>
          </div>
        ))}
      </dl>
      {loc && ev && (
        <p class="row spread below">
          <span class="note">Cursor</span>
          <span class="mono sec cursor">
            positions {count(loc.offset)} · events {count(ev.offset)}
          </span>
        </p>
      )}
    </div>
  );
}
