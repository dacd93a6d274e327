// SPDX-License-Identifier: Apache-2.0
/**
 * The life of the line to a gateway, as a table: state × what happened → where that leads and what to do.
 * Pure: sockets, timers and chance are `wire.ts`'s.
 *
 *   waiting ──► connecting ──► greeting ──► live ──drain──► reaching ──► crossing ──► live, on the successor
 *    ▲  ▲ (asking: for a token)              │                 ▲  └─lost─► leaving ─┘ ▲
 *    └──┴──────────── lost ──────────────────┘                 └──────────────────────┘
 *
 * From `reaching` on there are two lines: this one, which still serves, and its successor. In `crossing` hello
 * was said at the successor: what comes on this line is set aside, for the case that the successor goes down.
 */

export type LinkState =
  | "waiting"
  | "asking"
  | "connecting"
  | "greeting"
  | "live"
  /** The gateway goes; a further successor is tried soon. */
  | "leaving"
  | "reaching"
  | "crossing"
  /** The successor does not want this client: this line serves to its end. */
  | "ending"
  | "refused"
  | "left";

export type LinkEvent =
  /** Time for the next try. */
  | { readonly type: "retry" }
  /** The answer to the question for a token; `other` than the one that was refused. */
  | { readonly type: "token"; readonly other: boolean }
  | { readonly type: "no token" }
  | { readonly type: "opened" }
  | { readonly type: "ready" }
  | { readonly type: "verified" }
  | { readonly type: "drain" }
  /** A cut is missing, bytes make no sense, or nothing came for 3 s. `forget`: the rows are no picture any more. */
  | { readonly type: "broken"; readonly forget: boolean }
  /** Even an image differs: whoever sent it should not be asked for another one in a hurry. */
  | { readonly type: "wrong image" }
  | { readonly type: "closed"; readonly code: number; readonly reason: string }
  | { readonly type: "successor opened" }
  | { readonly type: "successor ready" }
  | { readonly type: "successor broken" }
  | { readonly type: "successor closed"; readonly code: number; readonly reason: string }
  | { readonly type: "leave" };

export type Effect =
  | { readonly do: "open" | "hello" | "close" }
  /** Open a successor; say hello there and set aside what comes here; give it up. */
  | { readonly do: "reach" | "greet" | "drop" }
  /** Take up again what was set aside. */
  | { readonly do: "resume" }
  /** The successor is the line from now on; what was set aside is void. */
  | { readonly do: "promote" }
  | { readonly do: "forget" }
  | { readonly do: "ask" }
  | { readonly do: "retry"; readonly inMs: number };

export interface Link {
  readonly state: LinkState;
  /** Tries that failed since the last verified cut, weighed. */
  readonly tries: number;
  /** Another token must be had before the next try. */
  readonly wantsToken: boolean;
  /** Another token was asked for since the last verified cut: it is not asked for twice. */
  readonly asked: boolean;
  /** Why it was refused. */
  readonly refusal: { readonly code: number; readonly reason: string } | null;
}

export const FIRST_RETRY_MS = 100;
export const PROMPT_MS = [100, 200] as const;
export const BACKOFF_MS = 200;
export const BACKOFF_MS_MAX = 30_000;
/** So many are made before the pauses grow: a gateway that starts within ten seconds has everyone at once. */
export const PROMPT_RETRIES = 100;
/** A line that had opened counts as so many of them: it costs a gateway more than a refusal does. */
export const OPENED_COUNTS = 5;
export const SILENCE_MS = 3_000;

/** Before the first try. `wantsToken`: there is somebody to ask for one. */
export function atRest(wantsToken: boolean): Link {
  return { state: "waiting", tries: 0, wantsToken, asked: false, refusal: null };
}

/** Close codes (docs/protocol.md). */
const TOLD_WHEN = [4001, 4029];
const TOO_SLOW = 4002;
const OWN_FAULT = [4008, 4010];
const TOKEN = 4401;

type Step = (link: Link, event: LinkEvent, random: number) => [Link, readonly Effect[]];
type Row = Partial<Record<LinkEvent["type"], Step>>;

const stay: Step = (link) => [link, []];
/** Go to a state and do these things. */
const to =
  (state: LinkState, ...effects: readonly Effect[]): Step =>
  (link) => [{ ...link, state }, effects];

const next: Step = (link) =>
  link.wantsToken
    ? [{ ...link, state: "asking" }, [{ do: "ask" }]]
    : [{ ...link, state: "connecting" }, [{ do: "open" }]];

/** The first token is for a try that is due; one in place of another is tried like anything after a loss. */
const answered: Step = (link, event, random) => {
  if (event.type !== "token" || !event.other) return [{ ...link, state: "refused" }, []];
  const has = { ...link, wantsToken: false, refusal: null };
  if (link.refusal === null) return [{ ...has, state: "connecting" }, [{ do: "open" }]];
  return [{ ...has, state: "waiting" }, [{ do: "retry", inMs: backoffMs(link.tries - 1, random) }]];
};

const unanswered: Step = (link, _event, random) => later(link, [], random);

/** The picture was checked on this line: the next loss starts counting afresh. */
const settle: Step = (link) => [{ ...link, state: "live", tries: 0, asked: false }, []];

const lose: Step = (link, event, random) => {
  const forget: Effect[] = event.type === "broken" && event.forget ? [{ do: "forget" }] : [];
  return later(link, [{ do: "close" }, ...forget], random);
};

const distrust: Step = (link, _event, random) =>
  later(
    { ...link, tries: Math.max(link.tries, PROMPT_RETRIES) },
    [{ do: "close" }, { do: "forget" }],
    random,
  );

/** The gateway goes before it greeted: another one, at once. */
const turn: Step = (link) => [{ ...link, state: "connecting" }, [{ do: "close" }, { do: "open" }]];

const ended: Step = (link, event, random) => {
  if (event.type !== "closed") return [link, []];
  const { code, reason } = event;
  if (code === TOKEN && !link.asked) return ask({ ...link, state: "asking", refusal: { code, reason } });
  if (isRefusal(code)) return [{ ...link, state: "refused", refusal: { code, reason } }, []];
  const told = TOLD_WHEN.includes(code) ? Number.parseInt(reason, 10) : Number.NaN;
  if (!Number.isNaN(told)) return [lost(link), [{ do: "retry", inMs: told }]];
  const slowly = code === TOO_SLOW || OWN_FAULT.includes(code);
  const forget: Effect[] = OWN_FAULT.includes(code) ? [{ do: "forget" }] : [];
  return later(slowly ? { ...link, tries: Math.max(link.tries, 1) } : link, forget, random);
};

/** This line is gone while its successor was being won: what is left is an ordinary line. */
const outlived =
  (state: "connecting" | "greeting"): Step =>
  (link, event) => {
    const forget: Effect[] = event.type === "broken" && event.forget ? [{ do: "forget" }] : [];
    return [{ ...link, state }, [...forget, { do: "promote" }]];
  };

/** The successor is gone; this line serves on, and another successor is tried. */
const bereft: Step = (link, event, random) => {
  const resume: Effect[] = [{ do: "drop" }, { do: "resume" }];
  if (event.type === "successor closed" && isRefusal(event.code)) {
    const { code, reason } = event;
    const refusal = { code, reason };
    if (code !== TOKEN || link.asked) return [{ ...link, state: "ending", refusal }, resume];
    const [asking, asks] = ask({ ...link, state: "leaving", refusal });
    return [asking, [...resume, ...asks]];
  }
  const [, effects] = later(link, resume, random);
  return [{ ...link, state: "leaving", tries: link.tries + 1 }, effects];
};

const cross: Step = (link) => [{ ...link, state: "live" }, [{ do: "promote" }]];

const drained: Step = (link) => [{ ...link, state: "reaching", tries: 0 }, [{ do: "reach" }]];

const refused: Step = (link) => [{ ...link, state: "refused" }, [{ do: "close" }]];

const reachWithToken: Step = (link, event) =>
  event.type === "token" && event.other
    ? [{ ...link, state: "reaching", wantsToken: false, refusal: null }, [{ do: "reach" }]]
    : [{ ...link, state: "ending" }, []];

const TABLE: Record<LinkState, Row> = {
  waiting: { retry: next },
  asking: { token: answered, "no token": unanswered },
  connecting: { opened: to("greeting", { do: "hello" }), closed: ended, broken: lose },
  greeting: { ready: to("live"), closed: ended, broken: lose, drain: turn },
  live: { verified: settle, closed: ended, broken: lose, "wrong image": distrust, drain: drained },
  leaving: {
    retry: to("reaching", { do: "reach" }),
    token: reachWithToken,
    closed: ended,
    broken: lose,
    "wrong image": distrust,
  },
  reaching: {
    "successor opened": to("crossing", { do: "greet" }),
    "successor closed": bereft,
    "successor broken": bereft,
    closed: outlived("connecting"),
    broken: outlived("connecting"),
    "wrong image": outlived("connecting"),
  },
  crossing: {
    "successor ready": cross,
    "successor closed": bereft,
    "successor broken": bereft,
    closed: outlived("greeting"),
    broken: outlived("greeting"),
  },
  ending: { closed: refused, broken: refused, "wrong image": refused },
  refused: {},
  left: {},
};

/** What an event means in a state; one that means nothing there changes nothing. `random` is in [0, 1). */
export function step(link: Link, event: LinkEvent, random: number): [Link, readonly Effect[]] {
  if (event.type === "leave") return [{ ...link, state: "left" }, [{ do: "close" }, { do: "drop" }]];
  return (TABLE[link.state][event.type] ?? stay)(link, event, random);
}

/**
 * The wait after a loss, with so many before it: at most 100 ms after the first, so that a kill is hardly seen, yet
 * spread; then steadily; late doubling.
 */
export function backoffMs(tries: number, random: number): number {
  if (tries <= 0) return random * FIRST_RETRY_MS;
  const [shortest, longest] = PROMPT_MS;
  if (tries < PROMPT_RETRIES) return shortest + random * (longest - shortest);
  return random * Math.min(BACKOFF_MS * 2 ** (tries - PROMPT_RETRIES), BACKOFF_MS_MAX);
}

/** Whether pictures come on this line (or were just now being asked for on another one). */
export function isServing(state: LinkState): boolean {
  return ["live", "leaving", "reaching", "crossing", "ending"].includes(state);
}

function lost(link: Link): Link {
  const cheap = link.state === "connecting" || link.tries >= PROMPT_RETRIES;
  const tries = cheap ? link.tries + 1 : Math.min(link.tries + OPENED_COUNTS, PROMPT_RETRIES);
  return { ...link, state: "waiting", tries };
}

function later(link: Link, before: readonly Effect[], random: number): [Link, readonly Effect[]] {
  return [lost(link), [...before, { do: "retry", inMs: backoffMs(link.tries, random) }]];
}

function ask(link: Link): [Link, readonly Effect[]] {
  return [{ ...link, tries: link.tries + 1, wantsToken: true, asked: true }, [{ do: "ask" }]];
}

/** 4400 … 4499: do not come back. */
function isRefusal(code: number): boolean {
  return code >= 4400 && code < 4500;
}
