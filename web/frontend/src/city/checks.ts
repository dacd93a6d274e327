// SPDX-License-Identifier: Apache-2.0
/**
 * What came of comparing this page's rows with the gateway's, update by update. A pure reduction.
 *
 * `equal` and `differs` are results of a comparison; `gap` is a time without updates, in which nothing was compared.
 */

/** So many are kept, and drawn. */
export const CHECKS_KEPT = 60;

export interface Check {
  /** Counts up, so that a list can tell its entries apart. */
  readonly key: number;
  readonly outcome: "equal" | "differs" | "gap";
  /** Whose hash it was; of a gap, the gateway that was lost. */
  readonly gateway: string;
  readonly at: number;
  readonly cutMs: number;
  readonly bytes: number;
  /** The update held the full state. */
  readonly image: boolean;
  /** The first difference after a gap, or from another gateway. */
  readonly first: boolean;
}

/** Rows from one gateway and a difference from another one, checked against the hash of the other one. */
export interface Comparison {
  readonly from: string;
  readonly to: string;
  readonly cutMs: number;
  readonly equal: boolean;
}

export interface CheckState {
  readonly checks: readonly Check[];
  /** Of all checks since the page opened. */
  readonly equal: number;
  readonly differed: number;
  /** Gateways that were compared with each other: how often, and how often they agreed. */
  readonly compared: number;
  readonly agreed: number;
  readonly comparison: Comparison | null;
  /** The hashes of the last check. */
  readonly own: string;
  readonly received: string;
  /** The gateway that serves, and whether its next difference continues rows that another one sent. */
  readonly gateway: string;
  readonly rowsFrom: string;
}

export type CheckEvent =
  | { readonly type: "ready"; readonly gateway: string; readonly fresh: boolean }
  | { readonly type: "lost"; readonly at: number }
  | {
      readonly type: "checked";
      readonly at: number;
      readonly cutMs: number;
      readonly bytes: number;
      readonly image: boolean;
      readonly own: string;
      readonly received: string;
      /** Counts of rows agree as well. */
      readonly equal: boolean;
    };

export const NO_CHECKS: CheckState = {
  checks: [],
  equal: 0,
  differed: 0,
  compared: 0,
  agreed: 0,
  comparison: null,
  own: "",
  received: "",
  gateway: "",
  rowsFrom: "",
};

export function reduceChecks(state: CheckState, event: CheckEvent): CheckState {
  switch (event.type) {
    case "ready":
      // Rows that come as a full state have nothing to do with those of another gateway.
      return { ...state, gateway: event.gateway, rowsFrom: event.fresh ? event.gateway : state.rowsFrom };
    case "lost":
      return lost(state, event.at);
    case "checked":
      return checked(state, event);
  }
}

/** One gap, however often the connection is tried in vain. */
function lost(state: CheckState, at: number): CheckState {
  const last = state.checks.at(-1);
  if (last === undefined || last.outcome === "gap") return state;
  const { gateway, cutMs } = last;
  const gap = { outcome: "gap", gateway, at, cutMs, bytes: 0, image: false, first: false } as const;
  return { ...state, checks: added(state.checks, gap) };
}

function checked(state: CheckState, event: CheckEvent & { type: "checked" }): CheckState {
  const { at, cutMs, bytes, image, own, received, equal } = event;
  const { gateway, rowsFrom, checks } = state;
  const isOther = !image && rowsFrom !== "" && rowsFrom !== gateway;
  const first = !image && (isOther || checks.at(-1)?.outcome === "gap");
  const outcome = equal ? "equal" : "differs";
  const check = { outcome, gateway, at, cutMs, bytes, image, first } as const;
  return {
    ...state,
    checks: added(checks, check),
    equal: state.equal + (equal ? 1 : 0),
    differed: state.differed + (equal ? 0 : 1),
    compared: state.compared + (isOther ? 1 : 0),
    agreed: state.agreed + (isOther && equal ? 1 : 0),
    comparison: isOther ? { from: rowsFrom, to: gateway, cutMs, equal } : state.comparison,
    own,
    received,
    rowsFrom: gateway,
  };
}

function added(checks: readonly Check[], check: Omit<Check, "key">): readonly Check[] {
  const key = (checks.at(-1)?.key ?? 0) + 1;
  return [...checks.slice(1 - CHECKS_KEPT), { key, ...check }];
}
