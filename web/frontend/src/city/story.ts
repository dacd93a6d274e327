// SPDX-License-Identifier: Apache-2.0
/** What happened when a line was lost, told from the stream alone. A pure reduction of what this page saw. */

import type { Tally } from "./ledger";

export interface Story {
  readonly lost: string;
  /** The button was pressed here; otherwise the line went by itself, if it went at all. */
  readonly killed: boolean;
  readonly lineLost: boolean;
  readonly resumedOn: string;
  readonly fresh: boolean;
  /** Why the picture had to be a fresh one, as the gateway said it. */
  readonly reason: string | null;
  readonly tookMs: number;
  readonly missed: number;
  readonly repeated: number;
  readonly toldAt: number;
}

export interface Loss {
  readonly gateway: string;
  readonly at: number;
  readonly before: Tally;
  readonly lineLost: boolean;
  /** Why the gateway can't go on from where this page stands. */
  readonly reason: string | null;
}

export interface Telling {
  /** The gateway whose killing was asked for, until the story is told. */
  readonly killing: string | null;
  /** Set while there is no verified line: from the last cut that was applied. */
  readonly loss: Loss | null;
  readonly gateway: string;
  readonly fresh: boolean;
  readonly story: Story | null;
}

export type Happening =
  | { readonly type: "kill"; readonly gateway: string }
  | { readonly type: "spared" }
  | { readonly type: "lost"; readonly lastCutAt: number; readonly tally: Tally }
  | { readonly type: "reset"; readonly reason: string; readonly lastCutAt: number; readonly tally: Tally }
  | { readonly type: "ready"; readonly gateway: string; readonly fresh: boolean }
  | { readonly type: "verified"; readonly at: number; readonly tally: Tally };

export const NOTHING_YET: Telling = { killing: null, loss: null, gateway: "", fresh: false, story: null };

export function tell(now: Telling, event: Happening): Telling {
  switch (event.type) {
    case "kill":
      return { ...now, killing: event.gateway };
    case "spared":
      return { ...now, killing: null };
    case "lost":
      if (now.gateway === "") return now;
      return { ...now, loss: { ...(now.loss ?? lossOf(now, event)), lineLost: true } };
    case "reset":
      if (now.gateway === "") return now;
      return { ...now, loss: { ...(now.loss ?? lossOf(now, event)), reason: event.reason } };
    case "ready":
      return { ...now, gateway: event.gateway, fresh: event.fresh, loss: resumed(now.loss, event.fresh) };
    case "verified":
      return now.loss ? { ...now, ...ending(now, now.loss, event) } : now;
  }
}

function lossOf({ gateway }: Telling, { lastCutAt, tally }: { lastCutAt: number; tally: Tally }): Loss {
  return { gateway, at: lastCutAt, before: tally, lineLost: false, reason: null };
}

/** A gateway that can go on from here after all needs no reason for a fresh picture. */
function resumed(loss: Loss | null, fresh: boolean): Loss | null {
  return loss && !fresh ? { ...loss, reason: null } : loss;
}

function ending(
  now: Telling,
  loss: Loss,
  { at, tally }: Happening & { type: "verified" },
): Pick<Telling, "killing" | "loss" | "story"> {
  const story = {
    lost: loss.gateway,
    killed: now.killing === loss.gateway,
    lineLost: loss.lineLost,
    resumedOn: now.gateway,
    fresh: now.fresh,
    reason: loss.reason,
    tookMs: at - loss.at,
    missed: tally.missed - loss.before.missed,
    repeated: tally.repeated - loss.before.repeated,
    toldAt: at,
  };
  return { killing: null, loss: null, story };
}
