// SPDX-License-Identifier: Apache-2.0
/** What happened while the page had no verified updates, from the stream alone. A pure reduction. */

import type { Tally } from "./ledger";

/** Why this page itself did not run: the browser froze it, its reader went elsewhere and came back, or its clock jumped. */
export interface Away {
  readonly why: "asleep" | "left" | "clock";
  readonly forMs: number;
}

/** An outage that is over, for people. */
export interface OutageReport {
  /** The gateway that served before. */
  readonly lost: string;
  /** The button was pressed here; otherwise the connection failed by itself, if it failed at all. */
  readonly killed: boolean;
  readonly connectionLost: boolean;
  readonly resumedOn: string;
  /** The rows came as an image, so that events in between are not shown. */
  readonly fresh: boolean;
  /** Why an image was necessary, as the gateway said it. */
  readonly reason: string | null;
  readonly tookMs: number;
  readonly missed: number;
  readonly repeated: number;
  /** Set if the page was away: then whatever was lost meanwhile is no news about gateways. */
  readonly away: Away | null;
  /** Events that came since the page was away; 0 if it was not. */
  readonly events: number;
  /** When it was over. */
  readonly at: number;
}

/** An outage that goes on. */
export interface Outage {
  readonly gateway: string;
  /** When the last update was applied. */
  readonly at: number;
  readonly before: Tally;
  readonly connectionLost: boolean;
  /** Why the gateway cannot continue from this page's cursor. */
  readonly reason: string | null;
}

/** The page runs again, and what it missed meanwhile is not all there yet. */
interface Return {
  readonly away: Away;
  readonly gateway: string;
  readonly wokeAt: number;
  readonly lastUpdateAt: number;
  readonly before: Tally;
  readonly eventsBefore: number;
  /** A connection or the cursor was lost meanwhile. */
  readonly hasLost: boolean;
  readonly connectionLost: boolean;
  /** The rows came as an image. */
  readonly isFresh: boolean;
  /** When what was missed had come. */
  readonly caughtUpAt: number | null;
}

export interface OutageState {
  /** The gateway whose killing was asked for, until the outage is over. */
  readonly killing: string | null;
  /** Set while updates are not verified. */
  readonly current: Outage | null;
  /** Set from when the page runs again until shortly after it has caught up. */
  readonly back: Return | null;
  readonly gateway: string;
  readonly fresh: boolean;
  /** Of the last outage that is over. */
  readonly report: OutageReport | null;
}

export type OutageEvent =
  | { readonly type: "kill"; readonly gateway: string }
  | { readonly type: "not_killed" }
  | { readonly type: "lost"; readonly lastUpdateAt: number; readonly tally: Tally }
  | { readonly type: "reset"; readonly reason: string; readonly lastUpdateAt: number; readonly tally: Tally }
  | { readonly type: "ready"; readonly gateway: string; readonly fresh: boolean }
  /** The page runs again. `events`: those that it has had so far. */
  | {
      readonly type: "back";
      readonly away: Away;
      readonly at: number;
      readonly lastUpdateAt: number;
      readonly tally: Tally;
      readonly events: number;
    }
  /** `caughtUp`: after a `back`, the rows are as new as before. `events`: those that came so far. */
  | {
      readonly type: "verified";
      readonly at: number;
      readonly tally: Tally;
      readonly caughtUp?: boolean;
      readonly events?: number;
    };

/** A shorter absence is not reported, unless something was lost by it. */
const AWAY_MS = 5_000;
/** What is lost so soon after the page runs again was lost while it did not. */
const RETURN_MS = 3_000;
/** By then a page has caught up, or it never will. */
const CATCH_UP_MS = 15_000;

export const NO_OUTAGE: OutageState = {
  killing: null,
  current: null,
  back: null,
  gateway: "",
  fresh: false,
  report: null,
};

export function reduceOutage(state: OutageState, event: OutageEvent): OutageState {
  switch (event.type) {
    case "kill":
      return { ...state, killing: event.gateway };
    case "not_killed":
      return { ...state, killing: null };
    case "lost":
      if (state.gateway === "") return state;
      return { ...state, current: { ...(state.current ?? begun(state, event)), connectionLost: true } };
    case "reset":
      if (state.gateway === "") return state;
      return { ...state, current: { ...(state.current ?? begun(state, event)), reason: event.reason } };
    case "ready":
      return {
        ...state,
        gateway: event.gateway,
        fresh: event.fresh,
        back: state.back && { ...state.back, isFresh: event.fresh },
        current: resumed(state.current, event.fresh),
      };
    case "back":
      return state.gateway === "" ? state : { ...state, back: returned(state, event) };
    case "verified":
      if (state.back) return caughtUp(state, state.back, event);
      return state.current ? ended(state, state.current, event) : state;
  }
}

function begun({ gateway }: OutageState, event: { lastUpdateAt: number; tally: Tally }): Outage {
  return { gateway, at: event.lastUpdateAt, before: event.tally, connectionLost: false, reason: null };
}

/** A gateway that can continue from this page's cursor needs no reason for an image. */
function resumed(outage: Outage | null, fresh: boolean): Outage | null {
  return outage && !fresh ? { ...outage, reason: null } : outage;
}

function ended(
  state: OutageState,
  outage: Outage,
  { at, tally }: OutageEvent & { type: "verified" },
): OutageState {
  const report = {
    lost: outage.gateway,
    killed: state.killing === outage.gateway,
    connectionLost: outage.connectionLost,
    resumedOn: state.gateway,
    fresh: state.fresh,
    reason: outage.reason,
    tookMs: at - outage.at,
    missed: tally.missed - outage.before.missed,
    repeated: tally.repeated - outage.before.repeated,
    away: null,
    events: 0,
    at,
  };
  return { ...state, killing: null, current: null, report };
}

/** A page that is frozen again before it had caught up was away since the first time. */
function returned({ back, gateway, current }: OutageState, event: OutageEvent & { type: "back" }): Return {
  const { away, at, lastUpdateAt, tally, events } = event;
  const ongoing = back && back.caughtUpAt === null ? back : null;
  return {
    away: ongoing ? { ...away, forMs: at - ongoing.wokeAt + ongoing.away.forMs } : away,
    gateway: ongoing?.gateway ?? gateway,
    wokeAt: at,
    lastUpdateAt: ongoing?.lastUpdateAt ?? lastUpdateAt,
    before: ongoing?.before ?? tally,
    eventsBefore: ongoing?.eventsBefore ?? events,
    hasLost: ongoing?.hasLost ?? current !== null,
    connectionLost: ongoing?.connectionLost ?? current?.connectionLost ?? false,
    isFresh: ongoing?.isFresh ?? false,
    caughtUpAt: null,
  };
}

function caughtUp(state: OutageState, back: Return, event: OutageEvent & { type: "verified" }): OutageState {
  const { at } = event;
  const { current } = state;
  // A gateway that was killed from here is the kill's report, whatever the page did meanwhile.
  if (current && state.killing === current.gateway) return ended({ ...state, back: null }, current, event);
  if (current === null && back.caughtUpAt !== null) {
    return at - back.caughtUpAt > RETURN_MS ? { ...state, back: null } : state;
  }
  const now = {
    ...back,
    hasLost: back.hasLost || current !== null,
    connectionLost: back.connectionLost || (current?.connectionLost ?? false),
    isFresh: back.isFresh || current?.reason != null,
  };
  const isThere = event.caughtUp !== false || at - back.wokeAt > CATCH_UP_MS;
  if (!isThere) return { ...state, current: null, back: now };
  const isReported = now.hasLost || (now.away.forMs >= AWAY_MS && now.away.why !== "clock");
  const next = { ...state, current: null, back: { ...now, caughtUpAt: at } };
  return isReported ? { ...next, report: awayReport(state, now, current, event) } : next;
}

function awayReport(
  state: OutageState,
  back: Return,
  current: Outage | null,
  { at, tally, events = 0 }: OutageEvent & { type: "verified" },
): OutageReport {
  return {
    lost: back.gateway,
    killed: false,
    connectionLost: back.connectionLost,
    resumedOn: state.gateway,
    // A gateway that could not continue sent an image: events in between were not sent.
    fresh: back.isFresh,
    reason: current?.reason ?? null,
    tookMs: at - back.lastUpdateAt,
    missed: tally.missed - back.before.missed,
    repeated: tally.repeated - back.before.repeated,
    away: back.away,
    events: Math.max(0, events - back.eventsBefore),
    at,
  };
}
