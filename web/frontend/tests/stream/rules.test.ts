// SPDX-License-Identifier: Apache-2.0
/** Every event in every state leads where tests/golden/link.json says, which the Python client's rules made. */

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { atRest, type Link, type LinkEvent, type LinkState, openMs, step } from "../../src/stream/link";

interface GoldenLink {
  readonly state: LinkState;
  readonly failures: number;
  readonly wants_token: boolean;
  readonly has_asked: boolean;
  readonly is_doubted: boolean;
  readonly refusal: readonly [number, string] | null;
}

interface Case {
  readonly before: GoldenLink;
  readonly event: { readonly type: string; readonly is_new?: boolean; readonly forget?: boolean };
  readonly after: GoldenLink;
  readonly effects: readonly string[];
  readonly retry_in_ms: number | null;
  readonly open_ms: number;
}

const CASES = JSON.parse(
  readFileSync(new URL("../../../../tests/golden/link.json", import.meta.url), "utf8"),
) as readonly Case[];

function linkOf({ state, failures, refusal, ...flags }: GoldenLink): Link {
  const [code, reason] = refusal ?? [0, ""];
  return {
    ...atRest(flags.wants_token),
    state,
    failures,
    hasAsked: flags.has_asked,
    isDoubted: flags.is_doubted,
    refusal: refusal && { code, reason },
  };
}

function eventOf(event: Case["event"]): LinkEvent {
  const { is_new: isNew, ...rest } = event;
  const why = event.type === "broken" ? { why: "gap" } : {};
  const problem = event.type === "diagnosed" ? { problem: { kind: "silent", text: "" } } : {};
  return { ...rest, ...(isNew !== undefined && { isNew }), ...why, ...problem } as LinkEvent;
}

describe("the rules of both clients", () => {
  it("are many", () => {
    expect(CASES.length).toBeGreaterThan(300);
  });

  it("lead to the same states, effects and time limits", () => {
    for (const { before, event, after, effects, retry_in_ms: retryInMs, open_ms: limit } of CASES) {
      const [{ problem: _, ...link }, done] = step(linkOf(before), eventOf(event), 0.5);
      const { problem: __, ...wanted } = linkOf(after);
      const retry = done.find((effect) => effect.type === "retry");
      const about = JSON.stringify({ before, event });
      expect(link, about).toEqual(wanted);
      expect(
        done.map(({ type }) => type),
        about,
      ).toEqual(effects);
      expect(retry?.inMs ?? null, about).toEqual(retryInMs);
      expect(openMs({ ...link, problem: null }), about).toBe(limit);
    }
  });
});
