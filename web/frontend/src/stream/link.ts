// SPDX-License-Identifier: Apache-2.0
/**
 * The state machine of the connection to a gateway: how each event changes it, and what the client then does.
 *
 *                                      ┌──────── retry ─────────┐
 *                                      ▼                        │
 * waiting ► connecting ► greeting ► live ─drain► handover_connecting ─lost► handover_waiting
 *    ▲          │           │         │ ▲             │ next_opened
 *    └──────────┴── lost ───┴─────────┘ └─next_ready─ handover_greeting
 *
 * The table of states, events and rules is protocol.toml's (`TRANSITIONS`), the same as the Python client's; this
 * module says what each rule does. In a handover there are two connections: the present one, which still serves,
 * and the next one. A connection is *doubted* if nothing came on it for half the time that means loss: the client
 * opens another one as if the gateway had sent `drain`, and an update on the old one ends the doubt.
 *
 * Pure: sockets, timers and chance are `connection.ts`'s and `timed_socket.ts`'s.
 */

import { closedText, isDiagnosed, type Problem } from "./problem.ts";
import {
  BACKOFF_MS,
  BACKOFF_MS_MAX,
  closeAction,
  type EffectType,
  FIRST_RETRY_MS,
  type LinkState,
  OPEN_LATER_ATTEMPTS,
  OPEN_LATER_MS,
  OPEN_MS_MAX,
  OPEN_SOON_ATTEMPTS,
  OPEN_SOON_MS,
  OPENED_COUNTS,
  PROMPT_MS_MAX,
  PROMPT_MS_MIN,
  PROMPT_RETRIES,
  REASON_MS_MAX,
  type Rule,
  SERVING,
  SILENCE_MS,
  TRANSITIONS,
} from "./protocol.ts";

export type { LinkState } from "./protocol.ts";

export type LinkEvent =
  | {
      readonly type:
        | "retry"
        | "no_token"
        | "opened"
        | "ready"
        | "verified"
        | "drain"
        | "pending"
        | "quiet"
        | "wrong_image"
        | "next_opened"
        | "next_ready"
        | "next_broken"
        | "give_up"
        | "stop";
    }
  /** `isNew`: it is another one than the last that was used. */
  | { readonly type: "token"; readonly isNew: boolean }
  /** `forget`: the rows cannot be continued, so the client comes back without a cursor. */
  | { readonly type: "broken"; readonly forget: boolean; readonly why: "silent" | "gap" | "unreadable" }
  /** `problem`: what the socket itself reported. */
  | { readonly type: "closed"; readonly code: number; readonly reason: string; readonly problem?: Problem }
  | { readonly type: "next_closed"; readonly code: number; readonly reason: string }
  | { readonly type: "diagnosed"; readonly problem: Problem };

export type Effect =
  | { readonly type: Exclude<EffectType, "retry"> }
  | { readonly type: "retry"; readonly inMs: number };

/** The close code and reason with which a gateway said not to come back. */
export interface Refusal {
  readonly code: number;
  readonly reason: string;
}

/** The state of the connection to a gateway. */
export interface Link {
  readonly state: LinkState;
  /** Since the last verified update; a connection that had opened counts as several. */
  readonly failures: number;
  /** The application has to be asked for a token before the next attempt. */
  readonly wantsToken: boolean;
  /** Another token was asked for since the last verified update: it is not asked for twice. */
  readonly hasAsked: boolean;
  /** The other connection is opened only because this one was quiet. */
  readonly isDoubted: boolean;
  /** Why the last token, or this client, was refused. */
  readonly refusal: Refusal | null;
  /** Why no connection serves now; null while one does. */
  readonly problem: Problem | null;
}

/** The state before the first attempt. `wantsToken`: the application has a source of tokens. */
export function atRest(wantsToken: boolean): Link {
  const flags = { hasAsked: false, isDoubted: false };
  return { state: "waiting", failures: 0, wantsToken, ...flags, refusal: null, problem: null };
}

/** Whether updates arrive on a connection in this state (or are about to on another one). */
export function isServing(state: LinkState): boolean {
  return SERVING.has(state);
}

/**
 * The state after an event, and what the client has to do, in this order. An event that the table does not name in
 * the present state changes nothing. `chance` is drawn evenly from [0, 1): it spreads the pauses of many clients.
 */
export function step(link: Link, event: LinkEvent, chance: number): [Link, readonly Effect[]] {
  const rule = TRANSITIONS[link.state][event.type];
  const [after, effects] = rule ? RULES[rule](link, event, chance) : ([link, []] as const);
  return [{ ...after, problem: problemAfter(link, event, after) }, effects];
}

/** The pause after a loss with so many failures before it: short at once, then steady, then doubling. */
export function backoffMs(failures: number, chance: number): number {
  if (failures <= 0) return chance * FIRST_RETRY_MS;
  if (failures < PROMPT_RETRIES) return PROMPT_MS_MIN + chance * (PROMPT_MS_MAX - PROMPT_MS_MIN);
  return chance * Math.min(BACKOFF_MS * 2 ** (failures - PROMPT_RETRIES), BACKOFF_MS_MAX);
}

/** The time limit for opening a connection now. */
export function openMs({ state, failures, isDoubted }: Link): number {
  let limit = OPEN_MS_MAX;
  if (failures < OPEN_SOON_ATTEMPTS) limit = OPEN_SOON_MS;
  else if (failures < OPEN_LATER_ATTEMPTS) limit = OPEN_LATER_MS;
  return state === "handover_connecting" && !isDoubted ? Math.max(limit, OPEN_LATER_MS) : limit;
}

// --- the rules, in the order of protocol.toml

type Step = (link: Link, event: LinkEvent, chance: number) => readonly [Link, readonly Effect[]];

const to =
  (state: LinkState, ...types: readonly Exclude<EffectType, "retry">[]): Step =>
  (link) => [{ ...link, state }, types.map((type) => ({ type }))];

const connect: Step = (link) =>
  link.wantsToken
    ? [{ ...link, state: "asking" }, [{ type: "ask" }]]
    : [{ ...link, state: "connecting" }, [{ type: "open" }]];

/** The first token is for an attempt that is due; one in place of a refused one waits as after a loss. */
const useToken: Step = (link, event, chance) => {
  const hasToken = { ...link, wantsToken: false, refusal: null };
  if (link.refusal === null) return [{ ...hasToken, state: "connecting" }, [{ type: "open" }]];
  if (event.type !== "token" || !event.isNew) return [{ ...link, state: "refused" }, []];
  return [{ ...hasToken, state: "waiting" }, [retry(backoffMs(link.failures - 1, chance))]];
};

const askLater: Step = (link, _event, chance) => [lost(link), [retry(backoffMs(link.failures, chance))]];

const settle: Step = (link) => [{ ...link, failures: 0, hasAsked: false }, []];

const reconnect: Step = (link, event, chance) =>
  comeBack(link, backoffMs(link.failures, chance), forgets(event));

/** A gateway that sends wrong images should not be asked for another one in a hurry. */
const reconnectSlowly: Step = (link, _event, chance) => {
  const failures = Math.max(link.failures, PROMPT_RETRIES);
  return comeBack({ ...link, failures }, backoffMs(failures, chance), true);
};

const reconnectByCode: Step = (link, event, chance) => {
  if (event.type !== "closed") return [link, []];
  if (asksAgain(link, event))
    return [{ ...asked(link, event), state: "asking" }, [{ type: "close" }, { type: "ask" }]];
  if (refuses(event)) return [{ ...link, state: "refused", refusal: refusalOf(event) }, [{ type: "close" }]];
  const action = closeAction(event.code);
  const isSlow = action === "slowly" || action === "without_cursor";
  const failures = isSlow ? Math.max(link.failures, 1) : link.failures;
  return comeBack(link, reasonMs(event) ?? backoffMs(failures, chance), action === "without_cursor");
};

const handOver: Step = (link) => [
  { ...link, state: "handover_connecting", isDoubted: false },
  [{ type: "open_next" }],
];

const doubt: Step = (link) => [
  { ...link, state: "handover_connecting", isDoubted: true },
  [{ type: "open_next" }],
];

const reassure: Step = (link) =>
  link.isDoubted
    ? [{ ...link, state: "live", failures: 0, hasAsked: false, isDoubted: false }, [{ type: "close_next" }]]
    : [link, []];

const confirm: Step = (link) => [{ ...link, isDoubted: false }, []];

const connectNext: Step = (link) =>
  link.wantsToken
    ? [link, [{ type: "ask" }]]
    : [{ ...link, state: "handover_connecting" }, [{ type: "open_next" }]];

const useTokenForNext: Step = (link, event) =>
  event.type === "token" && event.isNew
    ? [{ ...link, state: "handover_connecting", wantsToken: false, refusal: null }, [{ type: "open_next" }]]
    : [{ ...link, state: "ending" }, []];

const askLaterForNext: Step = (link, _event, chance) => [
  { ...link, failures: link.failures + 1 },
  [retry(backoffMs(link.failures, chance))],
];

const KEEP_PRESENT: readonly Effect[] = [{ type: "close_next" }, { type: "apply_kept" }];

const retryNext: Step = (link, event, chance) => {
  const inMs = event.type === "next_closed" ? reasonMs(event) : null;
  const effects = [...KEEP_PRESENT, retry(inMs ?? backoffMs(link.failures, chance))];
  return [{ ...link, state: "handover_waiting", failures: link.failures + 1 }, effects];
};

const retryNextByCode: Step = (link, event, chance) => {
  if (event.type !== "next_closed") return [link, []];
  if (asksAgain(link, event))
    return [{ ...asked(link, event), state: "handover_waiting" }, [...KEEP_PRESENT, { type: "ask" }]];
  if (refuses(event)) return [{ ...link, state: "ending", refusal: refusalOf(event) }, KEEP_PRESENT];
  return retryNext(link, event, chance);
};

const move: Step = (link) => [{ ...link, state: "live", isDoubted: false }, [{ type: "adopt_next" }]];

const adopt =
  (state: "connecting" | "greeting"): Step =>
  (link, event) => {
    const forget: Effect[] = forgets(event) ? [{ type: "forget" }] : [];
    return [{ ...link, state, isDoubted: false }, [...forget, { type: "adopt_next" }]];
  };

const giveUp: Step = (link) => [
  { ...link, state: "unreachable", isDoubted: false },
  [{ type: "close" }, { type: "close_next" }],
];

const RULES: Record<Rule, Step> = {
  connect,
  use_token: useToken,
  ask_later: askLater,
  greet: to("greeting", "hello"),
  serve: to("live"),
  settle,
  reconnect,
  reconnect_slowly: reconnectSlowly,
  reconnect_by_code: reconnectByCode,
  hand_over: handOver,
  doubt,
  reassure,
  confirm,
  connect_next: connectNext,
  use_token_for_next: useTokenForNext,
  ask_later_for_next: askLaterForNext,
  greet_next: to("handover_greeting", "hello_next"),
  retry_next: retryNext,
  retry_next_by_code: retryNextByCode,
  move,
  adopt_connecting: adopt("connecting"),
  adopt_greeting: adopt("greeting"),
  refuse: to("refused", "close"),
  give_up: giveUp,
  stop: to("stopped", "close", "close_next"),
};

function retry(inMs: number): Effect {
  return { type: "retry", inMs };
}

function forgets(event: LinkEvent): boolean {
  return event.type === "wrong_image" || (event.type === "broken" && event.forget);
}

function comeBack(link: Link, inMs: number, forget: boolean): [Link, readonly Effect[]] {
  const forgetting: Effect[] = forget ? [{ type: "forget" }] : [];
  return [lost(link), [{ type: "close" }, ...forgetting, retry(inMs)]];
}

/** Waiting, with this loss counted. One that cost the gateway a handshake counts as several. */
function lost(link: Link): Link {
  const isCheap = link.state === "connecting" || link.failures >= PROMPT_RETRIES;
  const failures = isCheap ? link.failures + 1 : Math.min(link.failures + OPENED_COUNTS, PROMPT_RETRIES);
  return { ...link, state: "waiting", failures, isDoubted: false };
}

/** Whether the close asks for another token, and the application was not asked for one since. */
function asksAgain(link: Link, { code }: Refusal): boolean {
  return closeAction(code) === "token" && !link.hasAsked;
}

function asked(link: Link, event: Refusal): Link {
  const failures = link.failures + 1;
  const refusal = refusalOf(event);
  return { ...link, failures, wantsToken: true, hasAsked: true, isDoubted: false, refusal };
}

function refuses({ code }: Refusal): boolean {
  return closeAction(code) === "refused" || closeAction(code) === "token";
}

function refusalOf({ code, reason }: Refusal): Refusal {
  return { code, reason };
}

/** The milliseconds after which a gateway wants this client back; null if its close does not say. */
function reasonMs({ code, reason }: Refusal): number | null {
  const saysWhen = closeAction(code) === "after_reason" && /^[0-9]+$/.test(reason);
  return saysWhen ? Math.min(Number(reason), REASON_MS_MAX) : null;
}

// --- why no connection serves

const ENDS: ReadonlySet<LinkState> = new Set<LinkState>(["refused", "unreachable", "stopped"]);

function problemAfter(before: Link, event: LinkEvent, after: Link): Problem | null {
  if (isServing(after.state)) return null;
  if (ENDS.has(before.state) || event.type === "stop") return before.problem;
  const found = problemOf(before.state, event);
  // "It does not open" says less than what was found out about it.
  const isKnown = found?.kind === "unopened" && before.problem !== null && isDiagnosed(before.problem);
  return isKnown ? before.problem : (found ?? before.problem);
}

function problemOf(state: LinkState, event: LinkEvent): Problem | null {
  switch (event.type) {
    case "closed":
      if (event.problem) return event.problem;
      if (state !== "connecting") return { kind: "closed", text: closedText(event.code, event.reason) };
      return { kind: "unopened", text: "no connection to the gateway could be opened" };
    case "broken":
      return event.why === "silent" ? silence(state) : { kind: "unreadable", text: UNREADABLE[event.why] };
    case "wrong_image":
      return { kind: "unreadable", text: "the gateway sent an image that does not match its own hash" };
    case "no_token":
      return { kind: "no token", text: "the application gave no token" };
    case "pending":
      return { kind: "pending", text: "the gateway has not caught up yet: waiting for it" };
    case "diagnosed":
      return event.problem;
    default:
      return null;
  }
}

function silence(state: LinkState): Problem {
  const text =
    state === "connecting"
      ? "nothing answers the attempt to connect"
      : state === "greeting"
        ? "the connection opened, but no gateway answers on it"
        : `the gateway has sent nothing for ${SILENCE_MS / 1000} s`;
  return { kind: "silent", text };
}

const UNREADABLE = {
  gap: "an update is missing",
  unreadable: "a message of the gateway could not be read",
} as const;
