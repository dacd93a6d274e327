// SPDX-License-Identifier: Apache-2.0
/** Break something: every part of a local demo, what pauses meanwhile, and how long it took until all was well. */

import type { PartAction } from "../app/api";
import type { Store } from "../app/store";
import { age, brief, count } from "../city/format";
import { type Deed, keyOf, kindOf, type PartNow } from "../city/recovery";
import type { PartKind, Score } from "../city/score";
import { Icon, IconButton } from "./glyphs";
import type { PanelProps } from "./props";
import { Scenarios } from "./scenarios";

/** `place`: the left column beside the proof, or the proof's own place. */
export function ChaosPanel({ store, actions, place }: PanelProps & { place: "left" | "detail" }) {
  return (
    <section class={`panel ${place} chaos`} aria-label="Break something">
      <div class="sect">
        <div class="row spread">
          <h2 class={place === "left" ? "title" : "mid"}>Break something</h2>
          {place === "left" ? (
            <span class="note" title="From the request until the part is ready and this page verified">
              last recovery below
            </span>
          ) : (
            <IconButton icon="close" label="Back to the proof" onClick={() => actions.showChaos(false)} />
          )}
        </div>
        {store.canKill.value ? (
          <PartList store={store} actions={actions} />
        ) : (
          <p class="note">This city is one process, so none of its parts can be killed alone.</p>
        )}
      </div>
      <Scenarios store={store} actions={actions} />
      <ScoreLine score={store.score.value} />
    </section>
  );
}

function PartList({ store, actions }: PanelProps) {
  const parts = store.parts.value;
  return (
    <>
      <p class="note">
        What cannot break: an event that was decided stays on the log, and if this page skips one, it says so.
        What pauses is said below.
      </p>
      {parts === null ? (
        <p class="label below">Asking which parts there are…</p>
      ) : (
        <ul class="parts">
          {ordered(parts, store.outage.value.gateway).map((part) => (
            <li key={part.name}>
              <PartRow store={store} actions={actions} part={part} parts={parts} />
            </li>
          ))}
        </ul>
      )}
      <button type="button" class="btn s wide" disabled={!parts?.length} onClick={actions.surprise}>
        <Icon name="bolt" />
        Surprise me
      </button>
    </>
  );
}

const KINDS: readonly PartKind[] = ["gateway", "dispatcher", "simulator", "kafka"];

/** The gateway that serves this page first. */
function ordered(parts: readonly PartNow[], own: string): readonly PartNow[] {
  const place = ({ name }: PartNow) => (name === own ? -1 : KINDS.indexOf(kindOf(name)));
  return [...parts].sort((a, b) => place(a) - place(b));
}

function PartRow({ store, actions, part, parts }: PanelProps & { part: PartNow; parts: readonly PartNow[] }) {
  const { name, state } = part;
  const isOwn = name === store.outage.value.gateway;
  const isFrozen = state === "frozen";
  const isThere = state === "ready" || state === "not ready" || state === "not answering" || isFrozen;
  const button = (action: PartAction, words: string) => (
    <div>
      <button
        type="button"
        class="btn s"
        disabled={!isThere}
        aria-label={`${words} ${name}`}
        onClick={() => actions.act(name, action)}
      >
        {words}
      </button>
      <LastRecovery store={store} name={name} deed={action === "kill" ? "kill" : "freeze"} />
    </div>
  );
  return (
    <>
      <p>
        <b>{isOwn ? `${name}, yours` : name}</b>
        <small>{state === "ready" ? whatPauses(part, parts, isOwn) : `${state} now`}</small>
      </p>
      {button("kill", "Kill")}
      {isFrozen ? button("wake", "Wake") : button("freeze", "Freeze")}
    </>
  );
}

/** The kind in a part's name. Unlike `kindOf` it does not take every other part for a broker. */
function named(name: string): string {
  return name.split("-")[0]!;
}

function whatPauses({ name }: PartNow, parts: readonly PartNow[], isOwn: boolean): string {
  const kind = named(name);
  const ready = parts.filter((one) => one.name !== name && named(one.name) === kind && one.state === "ready");
  const others = ready.length > 0;
  switch (kind) {
    case "gateway":
      if (!isOwn) return "this page does not notice";
      return others ? "another gateway continues" : "the page waits until it is back";
    case "dispatcher":
      return others ? "if it decides, another one takes over" : "decisions pause until it is back";
    case "simulator":
      return "taxis wait where they are until it is back";
    case "kafka":
      // Of three brokers, two must be there to acknowledge a record.
      return ready.length >= 2
        ? "the other two brokers continue"
        : "the log itself: all pauses until it is back";
    case "verifier":
      return "nothing pauses, but gateways are not compared with the log until it is back";
    default:
      return "only what it does itself pauses";
  }
}

/** The last measured time until the part was ready and this page verified; or how long it takes already. */
function LastRecovery({ store, name, deed }: { store: Store; name: string; deed: Deed }) {
  const { going, last } = store.recovery.value;
  const now = going.find((one) => one.part === name && one.deed === deed);
  const ms = last[keyOf(name, deed)];
  return (
    <p class={now ? "rec warn" : "rec"}>
      <span class="unseen">{now ? "recovering for " : "last recovery "}</span>
      {now ? `${age(store.now.value - now.startedAt)}…` : ms === undefined ? "–" : brief(ms)}
    </p>
  );
}

const KIND_WORDS: Record<PartKind, string> = {
  gateway: "a gateway",
  dispatcher: "a dispatcher",
  simulator: "the simulator",
  kafka: "Kafka",
};

function ScoreLine({ score }: { score: Score }) {
  if (score.gateways + score.others === 0) return null;
  const records = KINDS.flatMap((kind) =>
    (["kill", "freeze"] as const).flatMap((deed) => {
      const ms = score.best[keyOf(kind, deed)];
      return ms === undefined ? [] : [{ words: `${KIND_WORDS[kind]} ${DONE[deed]}`, ms }];
    }),
  );
  return (
    <div class="sect">
      <h3 class="title">Do that again</h3>
      <p class="label">{scoreWords(score)}.</p>
      {records.length > 0 && (
        <dl class="records" aria-label="Records to beat">
          {records.map(({ words, ms }) => (
            <div key={words}>
              <dt>{words}</dt>
              <dd>{brief(ms)}</dd>
            </div>
          ))}
        </dl>
      )}
    </div>
  );
}

const DONE: Record<Deed, string> = { kill: "killed", freeze: "frozen" };

/** "You killed 5 gateways; longest gap 0.9 s; 0 missed." */
export function scoreWords(score: Score): string {
  const { gateways, others, longestGapMs, shortestGapMs, missed, repeated, fresh } = score;
  const words: string[] = [];
  if (gateways > 0) {
    const gaps = gateways === 1 ? "gap" : `shortest gap ${brief(shortestGapMs ?? 0)}, longest`;
    words.push(
      `You killed ${count(gateways)} ${gateways === 1 ? "gateway" : "gateways"} under this page`,
      `${gaps} ${brief(longestGapMs)}`,
      `${count(missed)} missed, ${count(repeated)} repeated`,
    );
    if (fresh > 0) words.push(`${count(fresh)} × a full state, with events in between not shown`);
  }
  if (others > 0)
    words.push(`${gateways > 0 ? "and broke" : "You broke"} ${count(others)} other parts, all back`);
  return words.join("; ");
}
