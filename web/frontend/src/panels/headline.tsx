// SPDX-License-Identifier: Apache-2.0
/** Whether the rows are verified, the kill button, and what happened after it; or what is wrong, and since when. */

import type { ComponentChildren } from "preact";
import { headAndRest } from "../app/faults";
import type { HashMismatch, Store } from "../app/store";
import { age, brief, clock, count, cutName } from "../city/format";
import type { Away, OutageReport } from "../city/outage";
import type { StallReport } from "../city/stalls";
import { awayWords, capital, cause, resetWords, stallWords } from "../city/words";
import { Icon, Tick } from "./glyphs";
import type { PanelProps } from "./props";

/** How long the report of an outage is the headline, and then its second line. */
const REPORT_FIRST_MS = 20_000;
const REPORT_SECOND_MS = 90_000;
/** What is compared with what, and what that cannot show. */
const HASH_TITLE =
  "This page computes a hash over the rows that it holds and compares it with the hash that its gateway computed " +
  "over its own rows. An error that all gateways make alike would not show.";

export function Headline({ store, actions }: PanelProps) {
  const banner = bannerOf(store);
  if (banner) return <Banner {...banner} store={store} actions={actions} />;
  const shown = reportNow(store);
  const line = <Line store={store} />;
  const second = store.notice.value ?? (shown && (shown.first ? line : <Report report={shown.report} />));
  return (
    <header class="panel head two">
      <div>
        <h1>{shown?.first ? <Report report={shown.report} /> : line}</h1>
        {second ? <p class="l2">{second}</p> : <About />}
      </div>
      {!store.small.value && <KillButton store={store} actions={actions} />}
    </header>
  );
}

function Line({ store }: { store: Store }) {
  const held = store.held.value;
  const ageMs = store.ageMs.value;
  if (!held || ageMs === null) return <>Asking a gateway for the city…</>;
  const verified = store.outage.value.current === null;
  return (
    <>
      <span class="l1">{taxisHeld(held.drivers, store)}</span>
      <span class="sep">·</span>
      <span class="l3">
        <span title={HASH_TITLE}>hash equals the gateway’s</span>
        <span class="sep">·</span>
        <span class="whole">
          <span class="when">verified {age(ageMs)} ago</span> <Tick verified={verified} />
        </span>
      </span>
    </>
  );
}

/** What this is. It is as wide as the line above it, and wraps. */
function About() {
  return (
    <p class="l2 about">
      <b>taxistream</b>
      <span class="sep">·</span>
      simulated
      <span class="sep">·</span>a gateway is the server that sends you the city
    </p>
  );
}

/** Within a view it is not known how many there are in all. */
export function taxisHeld(drivers: number, store: Store): string {
  return `${count(drivers)} ${drivers === 1 ? "taxi" : "taxis"}${store.view.value === null ? "" : " in view"}`;
}

function Report({ report }: { report: Report }) {
  if (report.what === "stall") {
    return (
      <span class="report">
        {stallWords(report)}; <Counts {...report} />
      </span>
    );
  }
  if (report.away) return <AwayReport away={report.away} report={report} />;
  const lost = `${cause(report)} → `;
  if (report.fresh) {
    const found = `full update from ${report.resumedOn} in ${brief(report.tookMs)}; events in between not shown`;
    return (
      <span class="report">
        {lost + found} <Tick verified />
      </span>
    );
  }
  return (
    <span class="report">
      {lost}resumed on {report.resumedOn} in {brief(report.tookMs)}; <Counts {...report} />
    </span>
  );
}

/** The page itself did not run: nothing is said about gateways. */
function AwayReport({ away, report }: { away: Away; report: OutageReport }) {
  const since = report.fresh
    ? "full update since; events in between not shown"
    : `${count(report.events)} events since`;
  const isWhole = report.missed === 0 && report.repeated === 0;
  return (
    <span class="report">
      {awayWords(away)}; {since}
      {report.fresh ? " " : ", "}
      {report.fresh || isWhole ? (
        <span class="whole">
          {report.fresh ? "" : "none lost "}
          <Tick verified />
        </span>
      ) : (
        <Counts {...report} />
      )}
    </span>
  );
}

function Counts({ missed, repeated }: { missed: number; repeated: number }) {
  return (
    <span class="whole">
      <span class={missed === 0 && repeated === 0 ? "" : "bad"}>
        {count(missed)} missed, {count(repeated)} repeated
      </span>{" "}
      <Tick verified />
    </span>
  );
}

/** What happened last, of all that is reported. */
export type Report =
  | ({ readonly what: "outage" } & OutageReport)
  | ({ readonly what: "stall" } & StallReport);

export function lastReport(store: Store): Report | null {
  const outage = store.outage.value.report;
  const stall = store.stalls.value?.report ?? null;
  if (stall && (!outage || stall.at > outage.at)) return { what: "stall", ...stall };
  return outage && { what: "outage", ...outage };
}

function reportNow(store: Store): { report: Report; first: boolean } | null {
  const report = lastReport(store);
  const since = report ? store.now.value - report.at : Number.POSITIVE_INFINITY;
  return report && since < REPORT_SECOND_MS ? { report, first: since < REPORT_FIRST_MS } : null;
}

export function KillButton({ store, actions, full }: PanelProps & { full?: boolean }) {
  const { canKill, outage, ask, health } = store;
  if (!canKill.value) return null;
  const { killing } = outage.value;
  // One yellow button at a time: "Request a taxi" while a ride is asked for. And none while something is wrong.
  const calm = ask.value.step === "off" || ask.value.step === "riding";
  const main = calm && health.value === "fine" ? " primary" : "";
  const noConnection =
    health.value === "reconnecting" || health.value === "refused" || health.value === "starting";
  return (
    <button
      type="button"
      class={`btn kill${main}${full ? " full" : ""}`}
      disabled={killing !== null || noConnection}
      onClick={actions.kill}
    >
      <Icon name="bolt" />
      {killing === null ? "Kill my gateway" : `Killing ${killing}…`}
    </button>
  );
}

/** Faults that are named; the note says how many more there are. */
const FAULTS_NAMED_MAX = 3;

interface BannerProps {
  readonly tone: "warn" | "bad";
  readonly icon: "clock" | "noLine" | "warning";
  readonly title: string;
  readonly note: ComponentChildren;
  /** The whole text, because the note may be cut off. */
  readonly whole?: string;
}

function Banner({ tone, icon, title, note, whole, store, actions }: BannerProps & PanelProps) {
  const { health, small } = store;
  return (
    <header class={whole === undefined ? "panel head banner" : "panel head banner long"} title={whole}>
      <span class={tone}>
        <Icon name={icon} large />
      </span>
      <div>
        <h1>{title}</h1>
        <p class="note">{note}</p>
      </div>
      {health.value === "troubled" && !small.value && <KillButton store={store} actions={actions} />}
    </header>
  );
}

function bannerOf(store: Store): BannerProps | null {
  const held = store.held.value;
  const seen = held ? `${taxisHeld(held.drivers, store)}, as of ${clock(held.cutMs)}` : "";
  const mismatch = store.mismatchShown.value;
  switch (store.health.value) {
    case "starting":
      return notYet(store);
    case "troubled":
      return mismatch ? differs(mismatch, store) : troubled(store);
    case "fine":
      return mismatch && differs(mismatch, store);
    case "stale":
      return {
        tone: "warn",
        icon: "clock",
        title: staleTitle(store),
        note: `${seen} · the connection is up, the log does not move`,
      };
    case "reconnecting":
      return (
        resetOf(store) ?? { tone: "warn", icon: "noLine", title: lostTitle(store), note: retryNote(store) }
      );
    case "differs":
      return mismatch && differs(mismatch, store);
    case "refused":
      return { tone: "bad", icon: "noLine", ...refused(store) };
  }
}

/** No rows so far: why, as soon as that is known. */
function notYet(store: Store): BannerProps | null {
  const { problem } = store.link.value;
  if (problem === null) return null;
  const note = `${problem.text} · ${nextTry(store)}`;
  return { tone: "warn", icon: "noLine", title: "Nothing to show yet", note, whole: problem.text };
}

const GRAVE: ReadonlySet<string> = new Set(["page_error", "differs_from_log"]);

/** Updates arrive and match their hash, and yet something is wrong. */
function troubled(store: Store): BannerProps {
  const [first, ...others] = store.faults.value;
  const [title, rest] = headAndRest(first!);
  const named = others.slice(0, FAULTS_NAMED_MAX - 1).map((fault) => headAndRest(fault)[0]);
  const more = others.length - named.length;
  const held = store.held.value;
  const shown = held
    ? `${taxisHeld(held.drivers, store)}, hash equal to the gateway’s ${age(store.ageMs.value ?? 0)} ago`
    : "";
  const also = [...named, ...(more > 0 ? [`${more} more`] : [])];
  const note = [rest, shown, also.length > 0 ? `also: ${also.join(", ")}` : ""].filter(Boolean).join(" · ");
  const whole = store.faults.value.map(({ text }) => text).join("\n");
  const grave = first!.code.startsWith("map_") || GRAVE.has(first!.code);
  return { tone: grave ? "bad" : "warn", icon: "warning", title, note, whole };
}

/** The connection is up, and the next update on it is an image. */
function resetOf(store: Store): BannerProps | null {
  const outage = store.outage.value.current;
  if (outage?.reason == null) return null;
  const title = `${capital(resetWords(outage.reason))}: waiting for a full update`;
  const note = `what you see is as of ${clock(store.held.value?.cutMs ?? 0)} · last verified ${age(store.ageMs.value ?? 0)} ago`;
  return { tone: "warn", icon: "clock", title, note };
}

function refused(store: Store): { title: string; note: string } {
  const refusal = store.link.value.refusal;
  const title = "The gateway refused this page";
  switch (refusal?.code) {
    case 4401: {
      const note = `${refusal.reason || "no valid token"} · open the page with #token=… at the end of its address`;
      return { title: "The gateway asks for a token", note };
    }
    case 4403:
      return { title, note: `${refusal.reason || "the token does not allow this"} · it needs another token` };
    case 4404:
      return { title, note: `${refusal.reason || "it does not know this city"} · nothing is lost` };
    case 4426:
      return { title, note: `${refusal.reason || "it speaks another version"} · reload the page` };
    default:
      return { title, note: `${refusal?.reason || "it gave no reason"} · reload the page` };
  }
}

function staleTitle(store: Store): string {
  const since = Math.max(0, Date.now() - (store.held.value?.cutMs ?? 0));
  return `Stale: the log has not moved for ${age(since)}`;
}

function lostTitle(store: Store): string {
  return `Reconnecting — dead reckoning, last verified ${age(store.ageMs.value ?? 0)} ago`;
}

function retryNote(store: Store): string {
  const { problem } = store.link.value;
  const why = problem === null ? "" : `${problem.text} · `;
  return `${why}taxis roll on for two seconds, then wait where they are · ${nextTry(store)}`;
}

function nextTry(store: Store): string {
  const { failures } = store.link.value;
  const wait = store.retryAt.value === null ? 0 : store.retryAt.value - store.now.value;
  const next = wait > 50 ? `next in ${(wait / 1000).toFixed(1)} s` : "asking now";
  return `try ${failures + 1}, ${next}`;
}

function differs(mismatch: HashMismatch, store: Store): BannerProps {
  const name = cutName(mismatch.cutMs);
  const lanes = <HashPair own={mismatch.own} received={mismatch.received} />;
  const banner = { tone: "bad", icon: "warning" } as const;
  if (mismatch.healedAt === null) {
    const title = `Hash differs at cut ${name}`;
    return { ...banner, title, note: <>what you see may be wrong · waiting for a full update {lanes}</> };
  }
  const took = brief(mismatch.healedAt - mismatch.at);
  const from = store.outage.value.gateway;
  const note = (
    <>
      a full update came from {from} after {took} and matches {lanes}
    </>
  );
  return { ...banner, title: `Hash differed at cut ${name}`, note };
}

/** Both hashes, lane by lane; lanes that differ are marked. */
function HashPair({ own, received }: { own: string; received: string }) {
  return (
    <span class="pair">
      <span class="whole">
        own <span class="mono">{own}</span>
      </span>{" "}
      <span class="whole">
        the gateway
        {received.split(" ").map((lane, i) => (
          <span key={i} class="mono">
            {" "}
            <span class={lane === own.split(" ")[i] ? "" : "bad"}>{lane}</span>
          </span>
        ))}
      </span>
    </span>
  );
}
