// SPDX-License-Identifier: Apache-2.0
/**
 * The life of the line to a gateway, as a table: state × what happened → what to do and where that leads.
 * Pure: sockets, timers and chance are `connection.ts`'s.
 */

export type LinkState = "waiting" | "connecting" | "greeting" | "live" | "refused";

export type LinkEvent =
  | { readonly type: "retry" }
  | { readonly type: "opened" }
  | { readonly type: "ready" }
  | { readonly type: "verified" }
  | { readonly type: "drain" }
  /** A cut is missing, bytes make no sense, or nothing came for 3 s. */
  | { readonly type: "broken"; readonly forget: boolean }
  | { readonly type: "closed"; readonly code: number; readonly reason: string };

export type Effect =
  | { readonly do: "open" }
  | { readonly do: "hello" }
  | { readonly do: "close" }
  | { readonly do: "forget" }
  | { readonly do: "retry"; readonly inMs: number };

export interface Link {
  readonly state: LinkState;
  /** Tries since the last verified cut. */
  readonly tries: number;
}

export const FIRST_RETRY_MS = 100;
export const BACKOFF_MS = 200;
export const BACKOFF_MS_MAX = 30_000;
export const SILENCE_MS = 3_000;

type Step = (link: Link, event: LinkEvent, random: number) => [Link, readonly Effect[]];
type Row = Partial<Record<LinkEvent["type"], Step>>;

const stay: Step = (link) => [link, []];

const open: Step = ({ tries }) => [{ state: "connecting", tries: tries + 1 }, [{ do: "open" }]];

const hello: Step = ({ tries }) => [{ state: "greeting", tries }, [{ do: "hello" }]];

const live: Step = ({ tries }) => [{ state: "live", tries }, []];

/** The picture was checked on this line: the next loss starts counting afresh. */
const settle: Step = () => [{ state: "live", tries: 0 }, []];

/** The gateway goes away soon: another line now, from where we stand. */
const move: Step = () => [{ state: "connecting", tries: 1 }, [{ do: "close" }, { do: "open" }]];

const lose: Step = ({ tries }, event, random) => {
  const forget: Effect[] = event.type === "broken" && event.forget ? [{ do: "forget" }] : [];
  const effects: Effect[] = [{ do: "close" }, ...forget, { do: "retry", inMs: backoffMs(tries, random) }];
  return [{ state: "waiting", tries }, effects];
};

const ended: Step = (link, event, random) => {
  if (event.type !== "closed") return [link, []];
  if (event.code >= 4400 && event.code < 4500) return [{ ...link, state: "refused" }, []];
  const told = event.code === 4001 ? Number.parseInt(event.reason, 10) : Number.NaN;
  const inMs = Number.isNaN(told) ? backoffMs(link.tries, random) : told;
  const forget: Effect[] = event.code === 4008 || event.code === 4010 ? [{ do: "forget" }] : [];
  return [{ ...link, state: "waiting" }, [...forget, { do: "retry", inMs }]];
};

const TABLE: Record<LinkState, Row> = {
  waiting: { retry: open },
  connecting: { opened: hello, closed: ended, broken: lose },
  greeting: { ready: live, closed: ended, broken: lose, drain: move },
  live: { verified: settle, ready: stay, closed: ended, broken: lose, drain: move },
  refused: {},
};

/** What an event means in a state; one that means nothing there changes nothing. `random` is in [0, 1). */
export function step(link: Link, event: LinkEvent, random: number): [Link, readonly Effect[]] {
  return (TABLE[link.state][event.type] ?? stay)(link, event, random);
}

/** At once the first time (spread over 100 ms, so that a thousand pages don't come together), then full jitter. */
export function backoffMs(tries: number, random: number): number {
  if (tries === 0) return random * FIRST_RETRY_MS;
  return random * Math.min(BACKOFF_MS * 2 ** (tries - 1), BACKOFF_MS_MAX);
}
