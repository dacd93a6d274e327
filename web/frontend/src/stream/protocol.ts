// SPDX-License-Identifier: Apache-2.0
/**
 * The browser stream as constants. Made from protocol.toml by
 * `python -m scripts.protocol`: edit that.
 */

export const VERSION = 1;
export const SUBPROTOCOL = "taxi.v1";
/** Generations of views count from 1 to this, then from 1 again. */
export const GENERATION_MAX = 65_535;
/** Between two `view` messages. */
export const VIEW_PAUSE_MS = 200;
/** Without a message for so long, a client that is served opens another connection beside this one. */
export const QUIET_MS = 1_500;
/** Without a message for so long, a connection is given up. */
export const SILENCE_MS = 3_000;
/** The first message may come so much later than the connection may open. */
export const ANSWER_MS = 1_000;
/** For a connection to open (TCP, TLS and upgrade), in the first attempts since the last verified update. */
export const OPEN_SOON_MS = 1_000;
/** So many attempts have that limit. */
export const OPEN_SOON_ATTEMPTS = 2;
/** For a connection to open, in the attempts after those; and always beside a gateway that drains. */
export const OPEN_LATER_MS = 1_800;
/** Up to so many attempts have that limit. */
export const OPEN_LATER_ATTEMPTS = 10;
/** For a connection to open, from then on. */
export const OPEN_MS_MAX = 5_000;
/** The pause after the first loss is drawn from 0 to this. */
export const FIRST_RETRY_MS = 100;
/** The next pauses are drawn from this. */
export const PROMPT_MS_MIN = 100;
/** To this. */
export const PROMPT_MS_MAX = 200;
/** So many failures have such pauses; the ones after them double. */
export const PROMPT_RETRIES = 100;
/** A connection that had opened counts as so many failures. */
export const OPENED_COUNTS = 5;
/** The first pause that doubles is drawn from 0 to this. */
export const BACKOFF_MS = 200;
/** No pause is longer. */
export const BACKOFF_MS_MAX = 30_000;
/** Milliseconds in a close reason count up to this. */
export const REASON_MS_MAX = 60_000;

/** Where the connection to a gateway is in its life. */
export type LinkState =
  /** No connection; the next attempt is due later. */
  | "waiting"
  /** Waits for the application's token. */
  | "asking"
  /** A connection is being opened. */
  | "connecting"
  /** `hello` was sent; waits for `ready`. */
  | "greeting"
  /** Updates arrive on this connection. */
  | "live"
  /** This connection still serves; the next attempt to open another one is due later. */
  | "handover_waiting"
  /** This connection still serves; another one is being opened. */
  | "handover_connecting"
  /** `hello` was sent on the other connection: what arrives on this one is kept, and applied only if the other one fails. */
  | "handover_greeting"
  /** This connection serves until it ends; no gateway accepts this client any more. */
  | "ending"
  /** A gateway said not to come back. */
  | "refused"
  /** No image arrived within the application's time limit. */
  | "unreachable"
  /** The application ended it. */
  | "stopped";

/** What may happen to it. */
export type EventType =
  /** The pause before the next attempt is over, or the application starts the client. */
  | "retry"
  /** The application answered with a token, which may be the old one. */
  | "token"
  /** The application could not be asked. */
  | "no_token"
  /** The connection is open. */
  | "opened"
  /** `ready` arrived. */
  | "ready"
  /** An update was applied, and counts and hash match. */
  | "verified"
  /** `drain` arrived. */
  | "drain"
  /** `pending` arrived. */
  | "pending"
  /** No message for 1.5 s. */
  | "quiet"
  /** An update is missing, a message could not be read, or nothing came in time. */
  | "broken"
  /** An image was applied, and counts or hash differ. */
  | "wrong_image"
  /** The connection was closed or lost, or did not open. */
  | "closed"
  /** The other connection is open. */
  | "next_opened"
  /** `ready` arrived on the other connection. */
  | "next_ready"
  /** A message on the other connection could not be read, or nothing came in time. */
  | "next_broken"
  /** The other connection was closed or lost, or did not open. */
  | "next_closed"
  /** The client found out why a connection does not open. */
  | "diagnosed"
  /** The application's time limit for a first image has passed. */
  | "give_up"
  /** The application ends it. */
  | "stop";

/** What the client has to do then. */
export type EffectType =
  /** Open a connection. */
  | "open"
  /** Send `hello` on it. */
  | "hello"
  /** Close it, and the other one if there is one. */
  | "close"
  /** Forget rows and cursor. */
  | "forget"
  /** Ask the application for a token. */
  | "ask"
  /** Let `retry` happen after a pause; it replaces one that is due. */
  | "retry"
  /** Open another connection beside the present one. */
  | "open_next"
  /** Send `hello` there, and keep what arrives on the present one from now on. */
  | "hello_next"
  /** Close the other connection. */
  | "close_next"
  /** Apply what was kept of the present connection. */
  | "apply_kept"
  /** Close the present connection, and drop what was kept of it: the other one is the present one from now on. */
  | "adopt_next";

/** How an event changes the state, and what it makes the client do. */
export type Rule =
  /** Ask for a token if one is needed, else open a connection → `asking` or `connecting`. */
  | "connect"
  /** The first token, or a new one after a refusal → `connecting`, or `waiting` and retry; the refused one again → `refused`. */
  | "use_token"
  /** Retry after a pause → `waiting`. */
  | "ask_later"
  /** Send `hello` → `greeting`. */
  | "greet"
  /** → `live`. */
  | "serve"
  /** Failures are counted from zero again. */
  | "settle"
  /** Close, forget the cursor if the rows cannot be continued, retry after a pause → `waiting`. */
  | "reconnect"
  /** Close, forget the cursor, retry after a pause that begins to double at once → `waiting`. */
  | "reconnect_slowly"
  /** As the close code says → `waiting`, `asking` or `refused`. */
  | "reconnect_by_code"
  /** Open another connection → `handover_connecting`. */
  | "hand_over"
  /** As after `drain`, but an update on the present connection ends it → `handover_connecting`. */
  | "doubt"
  /** If this connection was only doubted: close the other one → `live`. */
  | "reassure"
  /** The gateway does leave: it is no longer only doubted. */
  | "confirm"
  /** Ask for a token if one is needed, else open another connection → `handover_connecting`. */
  | "connect_next"
  /** A new token: open another connection → `handover_connecting`; the refused one again → `ending`. */
  | "use_token_for_next"
  /** Retry after a pause. */
  | "ask_later_for_next"
  /** Send `hello` on the other connection → `handover_greeting`. */
  | "greet_next"
  /** Close the other connection, apply what was kept, retry after a pause → `handover_waiting`. */
  | "retry_next"
  /** The same, as the close code says → `handover_waiting` or `ending`. */
  | "retry_next_by_code"
  /** The other connection is the present one → `live`. */
  | "move"
  /** The other connection is all there is → `connecting`. */
  | "adopt_connecting"
  /** The other connection is all there is → `greeting`. */
  | "adopt_greeting"
  /** Close → `refused`. */
  | "refuse"
  /** Close → `unreachable`. */
  | "give_up"
  /** Close → `stopped`. */
  | "stop";

/** What a client does after a close code. */
export type CloseAction = "after_reason" | "slowly" | "without_cursor" | "refused" | "token" | "lost";

/** States in which a connection serves. */
export const SERVING: ReadonlySet<LinkState> = new Set<LinkState>([
  "live",
  "handover_waiting",
  "handover_connecting",
  "handover_greeting",
  "ending",
]);

/** An event that is not named in a state changes nothing there. */
export const TRANSITIONS: Record<LinkState, Partial<Record<EventType, Rule>>> = {
  waiting: {
    retry: "connect",
    give_up: "give_up",
    stop: "stop",
  },
  asking: {
    token: "use_token",
    no_token: "ask_later",
    give_up: "give_up",
    stop: "stop",
  },
  connecting: {
    opened: "greet",
    broken: "reconnect",
    closed: "reconnect_by_code",
    give_up: "give_up",
    stop: "stop",
  },
  greeting: {
    ready: "serve",
    drain: "reconnect",
    broken: "reconnect",
    closed: "reconnect_by_code",
    give_up: "give_up",
    stop: "stop",
  },
  live: {
    verified: "settle",
    drain: "hand_over",
    quiet: "doubt",
    broken: "reconnect",
    wrong_image: "reconnect_slowly",
    closed: "reconnect_by_code",
    give_up: "give_up",
    stop: "stop",
  },
  handover_waiting: {
    retry: "connect_next",
    token: "use_token_for_next",
    no_token: "ask_later_for_next",
    verified: "reassure",
    drain: "confirm",
    broken: "reconnect",
    wrong_image: "reconnect_slowly",
    closed: "reconnect_by_code",
    give_up: "give_up",
    stop: "stop",
  },
  handover_connecting: {
    verified: "reassure",
    drain: "confirm",
    broken: "adopt_connecting",
    wrong_image: "adopt_connecting",
    closed: "adopt_connecting",
    next_opened: "greet_next",
    next_broken: "retry_next",
    next_closed: "retry_next_by_code",
    give_up: "give_up",
    stop: "stop",
  },
  handover_greeting: {
    drain: "confirm",
    broken: "adopt_greeting",
    closed: "adopt_greeting",
    next_ready: "move",
    next_broken: "retry_next",
    next_closed: "retry_next_by_code",
    give_up: "give_up",
    stop: "stop",
  },
  ending: {
    broken: "refuse",
    wrong_image: "refuse",
    closed: "refuse",
    give_up: "give_up",
    stop: "stop",
  },
  refused: {
    stop: "stop",
  },
  unreachable: {
    retry: "connect",
    stop: "stop",
  },
  stopped: {
    stop: "stop",
  },
};

const CLOSE_ACTIONS: Record<number, CloseAction> = {
  1000: "lost",
  1001: "lost",
  1002: "without_cursor",
  1003: "lost",
  1006: "lost",
  1007: "without_cursor",
  1008: "lost",
  1009: "without_cursor",
  1010: "lost",
  1011: "without_cursor",
  1012: "lost",
  4001: "after_reason",
  4002: "slowly",
  4008: "without_cursor",
  4010: "without_cursor",
  4029: "after_reason",
  4400: "refused",
  4401: "token",
  4403: "refused",
  4404: "refused",
  4426: "refused",
};

/** What a client does after this close code. */
export function closeAction(code: number): CloseAction {
  if (4400 <= code && code <= 4499) return CLOSE_ACTIONS[code] ?? "refused";
  return CLOSE_ACTIONS[code] ?? "lost";
}

export const IMAGE_FLAG = 1;
export const STALE_FLAG = 2;

/** Where each field of an update's header is. */
export const HEADER = {
  version: 0,
  flags: 1,
  generation: 2,
  driversBytes: 4,
  ridesBytes: 8,
  feedBytes: 12,
  locBefore: 16,
  evBefore: 24,
  loc: 32,
  ev: 40,
  atMs: 48,
  epochCheck: 56,
  hashA: 60,
  hashB: 64,
  driversHeld: 68,
  ridesHeld: 72,
  zero: 76,
} as const;
export const HEADER_BYTES = 80;

/** Where each field of a ride record is; its id follows. */
export const RIDE = {
  idBytes: 0,
  state: 1,
  attempt: 2,
  driver: 4,
  pickupLngE5: 8,
  pickupLatE5: 12,
  dropoffLngE5: 16,
  dropoffLatE5: 20,
  requestedMs: 24,
  assignedMs: 28,
  arrivedMs: 32,
  startedMs: 36,
  endedMs: 40,
} as const;
export const RIDE_BYTES = 44;

/** Counts at the beginning of a block of drivers, 32 bits each. */
export const BLOCK_COUNTS = 5;
export const MOVED_AT_LESS_MS = 1_000;
