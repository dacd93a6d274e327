// SPDX-License-Identifier: Apache-2.0
/** Plays the fault scripts (tests/golden/scripts) against the client. */

import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it, vi } from "vitest";
import { cursorText, isServing, type View } from "../../src/stream";
import { Connection } from "../../src/stream/connection";
import { FakeWorld } from "./world";

interface Script {
  readonly about: string;
  readonly client: {
    readonly city: string;
    readonly luck: number;
    readonly view?: View;
    readonly tokens?: string[];
  };
  readonly steps: readonly Step[];
}

type Step = Record<string, unknown> & { holds?: Record<string, unknown> };

const FOLDER = new URL("../../../../tests/golden/scripts/", import.meta.url);
const NAMES = readdirSync(FOLDER)
  .filter((name) => name.endsWith(".json"))
  .map((name) => name.slice(0, -5))
  .sort();

const EXPECTATIONS = ["opens", "says", "closes", "holds"];

/** A client in a world that only does what the script says. */
class Stage {
  readonly world: FakeWorld;
  readonly feed: number[] = [];
  readonly client: Connection;
  private asked = 0;

  constructor({ city, luck, view, tokens }: Script["client"]) {
    this.world = new FakeWorld(luck);
    const token = tokens && (() => tokens[Math.min(this.asked++, tokens.length - 1)]!);
    const listener = {
      update: ({ feed }: { feed: readonly (readonly [number, ...unknown[]])[] }) => this.note(feed),
    };
    this.client = new Connection(
      { city, ...(view && { view }), ...(token && { token }), listener, giveUpMs: null },
      this.world,
    );
    this.client.start();
  }

  async play(step: Step): Promise<void> {
    // A question for a token is answered before anything else happens.
    for (let i = 0; i < 8; i++) await Promise.resolve();
    if (!EXPECTATIONS.some((kind) => kind in step)) expect(this.unexpected()).toEqual([]);
    this.act(step);
  }

  private act(step: Step): void {
    const { world } = this;
    const socket = (kind: string) => world.sockets[(step[kind] as number) - 1]!;
    if ("opens" in step) expect(socket("opens")?.deeds.shift()).toBe("opens");
    else if ("closes" in step) expect(socket("closes").deeds.shift()).toBe("closes");
    else if ("says" in step)
      expect(withoutNulls(socket("says").deeds.shift())).toEqual({ says: withoutNulls(step["message"]) });
    else if ("open" in step) socket("open").onopen();
    else if ("say" in step) socket("say").says(step["message"] as object);
    else if ("cut" in step) socket("cut").says(bytes(step["hex"] as string));
    else if ("close" in step) socket("close").onclose(step as unknown as { code: number; reason: string });
    else if ("wait_ms" in step) world.pass(step["wait_ms"] as number);
    else if ("look" in step) this.client.requestView(step["look"] as View);
    else if (step.holds) expect(this.held()).toMatchObject(step.holds);
    else throw new Error(`no such step: ${JSON.stringify(step)}`);
  }

  unexpected(): unknown[] {
    return this.world.sockets.flatMap(({ deeds }, i) => deeds.map((deed) => [i + 1, deed]));
  }

  private held(): object {
    const { client } = this;
    const { replica } = client;
    const rows = replica.drivers;
    const row = (slot: number) => {
      const columns = [rows.lngE5, rows.latE5, rows.at, rows.heading, rows.speed, rows.status];
      return columns.map((column) => column[slot]);
    };
    return {
      line: lineOf(client.state.state),
      trusted: client.trusted,
      cursor: replica.cursor && cursorText(replica.cursor),
      view: client.view,
      drivers: Object.fromEntries([...rows.slots].map(([id, slot]) => [id, row(slot)])),
      rides: Object.fromEntries([...replica.rides].map(([id, ride]) => [id, ride.state])),
      hash: [replica.hash.a >>> 0, replica.hash.b >>> 0],
      feed: this.feed,
      faults: client.faults.map(({ code }) => code),
      scenarios: replica.scenarios.map(({ name }) => name),
      periods: replica.cityTime.periods.map(({ fromMs, cityMs, speed }) => [fromMs, cityMs, speed]),
    };
  }

  private note(feed: readonly (readonly [number, ...unknown[]])[]): void {
    this.feed.push(...feed.map(([offset]) => offset));
  }
}

function lineOf(state: string): string {
  if (state === "asking") return "waiting";
  return isServing(state as never) ? "live" : state;
}

/** What is null is as good as absent. */
function withoutNulls(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value ?? null), (_, field) => field ?? undefined);
}

function bytes(hex: string): ArrayBuffer {
  return Uint8Array.from(Buffer.from(hex, "hex")).buffer;
}

describe("the fault scripts", () => {
  it("are there", () => {
    expect(NAMES.length).toBeGreaterThanOrEqual(50);
  });

  it.each(NAMES)("%s", async (name) => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    const script = JSON.parse(readFileSync(new URL(`${name}.json`, FOLDER), "utf8")) as Script;
    const stage = new Stage(script.client);
    for (const [i, step] of script.steps.entries()) {
      try {
        await stage.play(step);
      } catch (error) {
        throw new Error(`step ${i + 1}, ${JSON.stringify(step).slice(0, 160)}: ${error}`, { cause: error });
      }
    }
    expect(stage.unexpected()).toEqual([]);
  });
});
