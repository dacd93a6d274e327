// SPDX-License-Identifier: Apache-2.0
/** The promise in one line, the button that breaks it, and what then happened; or what is wrong, and since when. */

import type { ComponentChildren } from "preact";
import type { Session } from "../app/session";
import type { Difference, Store } from "../app/store";
import { age, brief, clock, count, cutName } from "../city/format";
import type { Story } from "../city/story";
import { capital, cause, resetWords } from "../city/words";
import { Icon, Tick } from "./glyphs";

const STORY_FIRST_MS = 20_000;
const STORY_SECOND_MS = 90_000;

export function Headline({ session }: { session: Session }) {
  const { store } = session;
  const banner = bannerOf(store);
  if (banner) return <Banner {...banner} />;
  const told = storyNow(store);
  const line = <Line store={store} />;
  const second = store.notice.value ?? (told && (told.first ? line : <Told story={told.story} />));
  return (
    <header class={second ? "panel head two" : "panel head"}>
      <div>
        <h1>{told?.first ? <Told story={told.story} /> : line}</h1>
        {second && <p class="l2">{second}</p>}
      </div>
      {!store.small.value && <KillButton session={session} />}
    </header>
  );
}

function Line({ store }: { store: Store }) {
  const held = store.held.value;
  const ageMs = store.ageMs.value;
  if (!held || ageMs === null) return <>Asking a gateway for the city…</>;
  const verified = store.telling.value.loss === null;
  return (
    <>
      <span class="l1">{taxisHeld(held.drivers, store)}</span>
      <span class="sep">·</span>
      <span class="l3">
        same picture for everyone<span class="sep">·</span>
        <span class="whole">
          <span class="when">verified {age(ageMs)} ago</span> <Tick verified={verified} />
        </span>
      </span>
    </>
  );
}

/** Within a view nobody knows how many there are in all. */
export function taxisHeld(drivers: number, store: Store): string {
  return `${count(drivers)} ${drivers === 1 ? "taxi" : "taxis"}${store.view.value === null ? "" : " in view"}`;
}

function Told({ story }: { story: Story }) {
  const lost = `${cause(story)} → `;
  if (story.fresh) {
    const told = `fresh picture from ${story.resumedOn} in ${brief(story.tookMs)}; events in between not shown`;
    return (
      <span class="told">
        {lost + told} <Tick verified />
      </span>
    );
  }
  const whole = story.missed === 0 && story.repeated === 0;
  return (
    <span class="told">
      {lost}resumed on {story.resumedOn} in {brief(story.tookMs)};{" "}
      <span class="whole">
        <span class={whole ? "" : "bad"}>
          {count(story.missed)} missed, {count(story.repeated)} repeated
        </span>{" "}
        <Tick verified />
      </span>
    </span>
  );
}

function storyNow(store: Store): { story: Story; first: boolean } | null {
  const { story } = store.telling.value;
  const since = story ? store.now.value - story.toldAt : Number.POSITIVE_INFINITY;
  return story && since < STORY_SECOND_MS ? { story, first: since < STORY_FIRST_MS } : null;
}

export function KillButton({ session, full }: { session: Session; full?: boolean }) {
  const { canKill, telling, ask, health } = session.store;
  if (!canKill.value) return null;
  const { killing } = telling.value;
  // One yellow button at a time: while a ride is being asked for, that one is. And none while something is wrong.
  const calm = ask.value.step === "off" || ask.value.step === "riding";
  const main = calm && health.value === "fine" ? " primary" : "";
  const noLine = health.value === "reconnecting" || health.value === "refused" || health.value === "starting";
  return (
    <button
      type="button"
      class={`btn kill${main}${full ? " full" : ""}`}
      disabled={killing !== null || noLine}
      onClick={() => void session.kill()}
    >
      <Icon name="bolt" />
      {killing === null ? "Kill my gateway" : `Killing ${killing}…`}
    </button>
  );
}

interface BannerProps {
  readonly tone: "warn" | "bad";
  readonly icon: "clock" | "noLine" | "warning";
  readonly title: string;
  readonly note: ComponentChildren;
}

function Banner({ tone, icon, title, note }: BannerProps) {
  return (
    <header class="panel head banner">
      <span class={tone}>
        <Icon name={icon} large />
      </span>
      <div>
        <h1>{title}</h1>
        <p class="note">{note}</p>
      </div>
    </header>
  );
}

function bannerOf(store: Store): BannerProps | null {
  const held = store.held.value;
  const seen = held ? `${taxisHeld(held.drivers, store)}, as of ${clock(held.cutMs)}` : "";
  const difference = store.differenceTold.value;
  switch (store.health.value) {
    case "starting":
      return null;
    case "fine":
      return difference && differs(difference, store);
    case "stale":
      return {
        tone: "warn",
        icon: "clock",
        title: staleTitle(store),
        note: `${seen} · the line is up, Kafka is silent`,
      };
    case "reconnecting":
      return (
        resetOf(store) ?? { tone: "warn", icon: "noLine", title: lostTitle(store), note: retryNote(store) }
      );
    case "differs":
      return difference && differs(difference, store);
    case "refused":
      return { tone: "bad", icon: "noLine", ...turnedAway(store) };
  }
}

/** The line is up, and the picture on it will be another one. */
function resetOf(store: Store): BannerProps | null {
  const loss = store.telling.value.loss;
  if (loss?.reason == null) return null;
  const title = `${capital(resetWords(loss.reason))}: a fresh picture is on its way`;
  const note = `what you see is as of ${clock(store.held.value?.cutMs ?? 0)} · last verified ${age(store.ageMs.value ?? 0)} ago`;
  return { tone: "warn", icon: "clock", title, note };
}

function turnedAway(store: Store): { title: string; note: string } {
  const refusal = store.link.value.refusal;
  const title = "The gateway turned this page away";
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
  const { tries } = store.link.value;
  const wait = store.retryAt.value === null ? 0 : store.retryAt.value - store.now.value;
  const next = wait > 50 ? `next in ${(wait / 1000).toFixed(1)} s` : "asking now";
  return `taxis roll on for two seconds, then wait where they are · try ${tries + 1}, ${next}`;
}

function differs(difference: Difference, store: Store): BannerProps {
  const name = cutName(difference.cutMs);
  const lanes = <HashPair own={difference.own} told={difference.told} />;
  const banner = { tone: "bad", icon: "warning" } as const;
  if (difference.healedAt === null) {
    const title = `Hash differs at cut ${name}`;
    return { ...banner, title, note: <>what you see may be wrong · a fresh picture is on its way {lanes}</> };
  }
  const took = brief(difference.healedAt - difference.at);
  const from = store.telling.value.gateway;
  const note = (
    <>
      a fresh picture came from {from} after {took} and matches {lanes}
    </>
  );
  return { ...banner, title: `Hash differed at cut ${name}`, note };
}

/** Both hashes, lane by lane: what differs is marked. */
function HashPair({ own, told }: { own: string; told: string }) {
  return (
    <span class="pair">
      <span class="whole">
        own <span class="mono">{own}</span>
      </span>{" "}
      <span class="whole">
        the log
        {told.split(" ").map((lane, i) => (
          <span key={i} class="mono">
            {" "}
            <span class={lane === own.split(" ")[i] ? "" : "bad"}>{lane}</span>
          </span>
        ))}
      </span>
    </span>
  );
}
