// SPDX-License-Identifier: Apache-2.0
/** The proof and the chaos panel: what they claim, and what they never claim. */

import type { VNode } from "preact";
import { beforeAll, describe, expect, it, vi } from "vitest";
import type { Actions } from "../../src/app/actions";
import { Store } from "../../src/app/store";
import { NO_SCORE } from "../../src/city/score";
import { heard, NO_VERDICTS } from "../../src/city/verdicts";
import { NO_WINDOWS, reduceWindows } from "../../src/city/windows";
import { ChaosPanel, scoreWords } from "../../src/panels/chaos";
import { Detail } from "../../src/panels/detail";
import { Page } from "../../src/panels/page";
import { ProofPanel } from "../../src/panels/proof";
import type { PanelProps } from "../../src/panels/props";
import { stripWords } from "../../src/panels/strip";
import { atRest } from "../../src/stream";
import { CUT_MS } from "../stream/encode";
import { draw, settled } from "./dom";

beforeAll(() => {
  vi.stubGlobal("requestAnimationFrame", (then: () => void) => setTimeout(then, 0));
});

function served(): Store {
  const store = new Store();
  store.link.value = { ...atRest(false), state: "live" };
  store.held.value = { drivers: 5, byStatus: [0, 3, 0, 0, 0, 2, 0], cutMs: CUT_MS, stale: false };
  ready(store, "gateway-1", true);
  store.verifiedAt.value = store.now.value - 100;
  store.tourOver.value = true;
  store.canKill.value = store.proof.value = true;
  check(store);
  return store;
}

function ready(store: Store, gateway: string, fresh: boolean): void {
  store.noteOutage({ type: "ready", gateway, fresh });
  store.noteCheck({ type: "ready", gateway, fresh });
}

function check(store: Store, received = "9f3c71ab e04d5512", image = false): void {
  const own = "9f3c71ab e04d5512";
  const about = { at: store.now.value, cutMs: CUT_MS, bytes: 3_100, image };
  store.noteCheck({ type: "checked", ...about, own, received, equal: own === received });
}

/** gateway-1 is lost, and gateway-2 continues. */
function failOver(store: Store, fresh = false): void {
  const at = store.now.value;
  store.noteFailover({ type: "ready", at: at - 500, gateway: "gateway-1", fresh: true });
  store.noteFailover({ type: "verified", at: at - 200, cutMs: CUT_MS, bytes: 90 });
  store.noteOutage({ type: "kill", gateway: "gateway-1" });
  store.noteOutage({ type: "lost", lastUpdateAt: at - 200, tally: { missed: 0, repeated: 0 } });
  store.noteFailover({ type: "lost", at: at - 150 });
  store.noteCheck({ type: "lost", at: at - 150 });
  store.noteFailover({ type: "opened", at: at - 100 });
  ready(store, "gateway-2", fresh);
  store.noteFailover({ type: "ready", at: at - 80, gateway: "gateway-2", fresh });
  check(store, undefined, fresh);
  store.noteOutage({ type: "verified", at, tally: { missed: 0, repeated: 0 } });
  store.noteFailover({ type: "verified", at, cutMs: CUT_MS + 200, bytes: 3_100 });
}

function panel(draws: (props: PanelProps) => VNode | null, store = served()) {
  const done: unknown[][] = [];
  const actions = new Proxy({} as Actions, {
    get:
      (_, name: string) =>
      (...given: unknown[]) =>
        done.push([name, ...given.filter((one) => one === null || typeof one !== "object")]),
  });
  const Panel = () => draws({ store, actions });
  return { store, done, box: draw(<Panel />) };
}

const proof = (store = served()) => panel((props) => <ProofPanel {...props} />, store);

const CHECKED = { gateway: "gateway-1", cut_ms: CUT_MS - 900, checked: 311, wrong: 0, rule: "", text: "" };

describe("what a verifier compares with the log", () => {
  it("is in the proof, with who compared it and when", () => {
    const store = served();
    store.verdicts.value = heard(NO_VERDICTS, { verifier: "verifier", gateways: [CHECKED] }, store.now.value);
    const [section] = proof(store).box.find(".verifiers");
    expect(section!.text).toContain("gateway-1 equals the log");
    expect(section!.text).toContain("311 · 0.9 s ago");
    expect(section!.text).toContain("Checked by verifier");
  });

  it("is named by its rule if it is wrong", () => {
    const store = served();
    const wrong = { ...CHECKED, wrong: 3, rule: "wrong_hash", text: "a for b" };
    store.verdicts.value = heard(NO_VERDICTS, { verifier: "verifier", gateways: [wrong] }, store.now.value);
    const [section] = proof(store).box.find(".verifiers");
    expect(section!.text).toContain("gateway-1 wrong_hash");
    expect(section!.text).toContain("3 wrong of 311");
  });

  it("is not claimed without a verifier", () => {
    const [section] = proof().box.find(".verifiers");
    expect(section!.text).toContain("No verifier runs");
    expect(section!.find("li")).toHaveLength(0);
  });
});

describe("the proof", () => {
  it("claims that the rows equal the gateway's, says what it is verified by, and what is not checked", () => {
    const { box } = proof();
    expect(box.find("h2")[0]?.text).toBe("These rows equal those of gateway-1");
    expect(box.find(".hash")[0]?.text).toBe("this page9f3c71ab e04d5512gateway-19f3c71ab e04d5512 =");
    expect(box.text).toContain("An error that all gateways make alike would not show here");
    expect(box.text).not.toMatch(/equals? the log|verified against the log/);
    expect(box.find(".tick")[0]?.attributes.get("aria-label")).toBe("hash matches");
  });

  it.each<[string, (store: Store) => void]>([
    ["Nothing compared yet", (s) => (s.held.value = null)],
    ["Not compared now", (s) => (s.now.value += 3_000)],
    [
      "The hashes differ",
      (s) => {
        check(s, "9f3c71ab e04d5513");
        s.mismatch.value = { cutMs: 1, own: "a b", received: "a c", at: 1, healedAt: null };
      },
    ],
  ])("says %s, and then never that rows are equal", (title, change) => {
    const store = served();
    change(store);
    const { box } = proof(store);
    expect(box.find("h2")[0]?.text.trim()).toBe(title);
    expect(box.text).not.toContain("rows equal");
    expect(box.find(".tick")[0]?.attributes.get("aria-label")).toBe("not verified now");
  });

  it("marks the lane that differs, and counts it", () => {
    const store = served();
    check(store, "9f3c71ab e04d5513");
    const { box } = proof(store);
    expect(box.find(".bad").map(({ text }) => text.trim())).toContain("e04d5513");
    expect(box.find(".hash")[0]?.text).not.toContain("=");
    expect(box.text).toContain("1 of 2 equal");
    expect(stripWords(store.checks.value.checks)).toBe(
      "1 of the last 2 updates had the gateway’s hash; 1 differed",
    );
  });

  it("tells a failover with its times, and compares the two gateways", () => {
    const store = served();
    failOver(store);
    const { box } = proof(store);
    const steps = box
      .find(".steps")[0]!
      .find("li")
      .map(({ text }) => text);
    expect(steps.map((text) => text.split(" ms")[0])).toEqual(["0", "50", "100", "120", "200"]);
    expect(steps[3]).toContain("gateway-2 continues from the same cursor");
    expect(steps[4]).toContain("one update, 3.1 kB: hashes equal at cut");
    expect(box.text).toContain("0.20 s · 0 missed · 0 repeated");
    expect(box.text).toContain(
      "the rows from gateway-1 and one difference from gateway-2 have gateway-2’s hash",
    );
    expect(box.find(".gap")).toHaveLength(1);
  });

  it("counts nothing as missed, and compares no gateways, where the full state was sent", () => {
    const store = served();
    failOver(store, true);
    const { box } = proof(store);
    expect(box.text).toContain("gateway-2 sends the full state: events in between are not shown");
    expect(box.text).not.toContain("0 missed");
    expect(box.text).not.toContain("Two gateways compared");
  });

  it("compares its hash with that of another window at the cuts that both have had", async () => {
    const { store, done, box } = proof();
    box.button("Open a second window").click();
    expect(done).toEqual([["openSecondWindow"]]);
    const seen = { id: "b", gateway: "gateway-2", cursor: "e:1:1", rows: "", hash: "a", cutMs: CUT_MS };
    const at = store.now.value;
    store.windows.value = reduceWindows(NO_WINDOWS, { type: "other", seen, at });
    await settled();
    expect(box.text).toContain("A window on gateway-2: no cut in common yet");
    store.windows.value = reduceWindows(store.windows.value, { type: "own", seen });
    await settled();
    expect(box.text).toContain("A window on gateway-2: 1 of 1 common cuts equal, the last at");
    store.now.value += 6_000;
    await settled();
    expect(box.text).not.toContain("A window on");
  });

  it("says that no gateway was lost while none was", () => {
    expect(proof().box.text).toContain("No gateway was lost since this page opened.");
  });

  it("is one of the panels that are opened one at a time, beside what can be broken where there is room", async () => {
    const cities = { all: [{ city: "manhattan", title: "Manhattan" }], shown: "manhattan" };
    const { store, box } = panel((props) => <Page {...props} attribution="" cities={cities} />);
    expect([box.find(".proof").length, box.find(".chaos").length, box.find(".events").length]).toEqual([
      1, 1, 0,
    ]);
    store.canKill.value = false;
    await settled();
    expect([box.find(".proof").length, box.find(".chaos").length]).toEqual([1, 0]);
    store.proof.value = false;
    await settled();
    expect([box.find(".proof").length, box.find(".events").length]).toEqual([0, 1]);
  });

  it("leads to what can be broken where there is no room for both", async () => {
    const store = served();
    store.roomy.value = false;
    const { done, box } = panel((props) => <Detail {...props} />, store);
    box.button("More to break").click();
    expect(done).toEqual([["showChaos", true]]);
    store.chaos.value = true;
    await settled();
    box.button("Back to the proof").click();
    expect(done.at(-1)).toEqual(["showChaos", false]);
  });

  it("is opened and closed by its button", async () => {
    const { store, done, box } = panel((props) => (
      <Page {...props} attribution="" cities={{ all: [], shown: "" }} />
    ));
    box.button("Proof").click();
    store.proof.value = false;
    await settled();
    box.button("Proof").click();
    expect(done).toEqual([
      ["showProof", false],
      ["showProof", true],
    ]);
  });
});

describe("the chaos panel", () => {
  const part = (name: string, state = "ready") => ({ name, pid: 1, state, restarts: 0 });
  const chaos = (store: Store) => panel((props) => <ChaosPanel {...props} place="left" />, store);

  function demo(...parts: ReturnType<typeof part>[]) {
    const store = served();
    store.parts.value = parts;
    return store;
  }

  it("lists one's own gateway first, and says of each part what pauses", () => {
    const { box } = chaos(
      demo(part("kafka"), part("simulator"), part("dispatcher-1"), part("gateway-2"), part("gateway-1")),
    );
    expect(box.find("li").map((row) => [row.find("b")[0]!.text, row.find("small")[0]!.text])).toEqual([
      ["gateway-1, yours", "another gateway continues"],
      ["gateway-2", "this page does not notice"],
      ["dispatcher-1", "decisions pause until it is back"],
      ["simulator", "taxis wait where they are until it is back"],
      ["kafka", "the log itself: all pauses until it is back"],
    ]);
  });

  it("says that two brokers continue, and that one can not", () => {
    const three = [part("kafka-1"), part("kafka-2"), part("kafka-3")];
    expect(chaos(demo(...three)).box.text).toContain("the other two brokers continue");
    const two = chaos(
      demo(part("kafka-1"), part("kafka-2"), part("kafka-3", "restarting"), part("verifier")),
    );
    expect(two.box.text).not.toContain("continue");
    expect(two.box.text).toContain("the log itself: all pauses until it is back");
  });

  it("takes no other part for a broker", () => {
    const { box } = chaos(demo(part("verifier"), part("kafka-1"), part("kafka-2"), part("receipts")));
    expect(box.text).toContain("gateways are not compared with the log until it is back");
    expect(box.text).toContain("only what it does itself pauses");
    expect(box.text).not.toContain("the other two brokers continue");
  });

  it("says that nothing takes over where nothing can", () => {
    const only = chaos(demo(part("gateway-1"), part("dispatcher-1"), part("dispatcher-2"))).box;
    expect(only.text).toContain("the page waits until it is back");
    expect(only.text).toContain("if it decides, another one takes over");
    const broken = chaos(demo(part("gateway-1"), part("gateway-2", "restarting"))).box;
    expect(broken.text).toContain("the page waits until it is back");
  });

  it("kills, freezes, wakes, and surprises", () => {
    const { done, box } = chaos(
      demo(part("gateway-1"), part("kafka", "frozen"), part("simulator", "restarting")),
    );
    for (const name of ["Kill gateway-1", "Freeze gateway-1", "Wake kafka", "Surprise me"])
      box.button(name).click();
    expect(done).toEqual([
      ["act", "gateway-1", "kill"],
      ["act", "gateway-1", "freeze"],
      ["act", "kafka", "wake"],
      ["surprise"],
    ]);
    expect(box.find("small").map(({ text }) => text)).toContain("restarting now");
    expect(box.find("button").filter(({ attributes }) => attributes.has("disabled"))).toHaveLength(2);
  });

  it("shows a dash before the first recovery, then how long it takes, then how long it took", async () => {
    const store = demo(part("kafka"));
    const { box } = chaos(store);
    const times = () => box.find(".rec").map(({ text }) => text);
    expect(times()).toEqual(["last recovery –", "last recovery –"]);
    const begun = { part: "kafka", deed: "kill", pid: 1, at: store.now.value - 4_000, isOwn: false } as const;
    store.noteRecovery({ type: "begun", ...begun });
    await settled();
    expect(times()).toEqual(["recovering for 4 s…", "last recovery –"]);
    const at = store.now.value + 300;
    store.noteRecovery({ type: "parts", parts: [{ ...part("kafka"), pid: 2 }], at: at - 10, loc: 1, ev: 1 });
    store.noteRecovery({ type: "verified", at, loc: 2, ev: 2 });
    await settled();
    expect(times()).toEqual(["last recovery 4.3 s", "last recovery –"]);
    expect(box.find(".records")[0]?.text).toBe("Kafka killed4.3 s");
  });

  it("starts and stops scenarios, sets the demand, and shows neither where none can be started", async () => {
    const store = demo(part("kafka"));
    const { done, box } = chaos(store);
    expect(box.text).not.toContain("Scenarios");
    store.canKill.value = false;
    expect(store.canBreak.value).toBe(false);
    const plan = (name: string, title: string, place = "") => ({
      name,
      title,
      about: "x",
      lasts_s: 900,
      place,
    });
    store.scenarioPlans.value = [
      plan("demand-double", "Demand × 2"),
      plan("rain", "Rain"),
      plan("stadium", "A stadium empties", "Madison Square Garden"),
    ];
    await settled();
    expect(store.canBreak.value).toBe(true);
    expect(box.text).toContain("none of its parts can be killed alone");
    expect(
      box
        .find(".scenarios")[0]!
        .find("li")
        .map(({ text }) => text),
    ).toEqual(["Rain15 minStart", "A stadium emptiesMadison Square Garden · 15 minStart"]);
    const demands = () => box.find(".steps-of")[0]!.find("button");
    const pressed = () => demands().map(({ attributes }) => attributes.get("aria-pressed"));
    expect(demands().map(({ text }) => text)).toEqual(["× 1", "× 2"]);
    expect(pressed()).toEqual(["true", "false"]);
    const under = { lastsS: 900, sinceMs: CUT_MS - 60_000, area: null };
    store.scenarios.value = [
      { name: "rain", title: "Rain", ...under },
      { name: "demand-double", title: "Demand × 2", ...under },
    ];
    await settled();
    expect(pressed()).toEqual(["false", "true"]);
    expect(box.text).toContain("under way, 14:00 left");
    box.button("Stop: Rain").click();
    box.button("Start: A stadium empties").click();
    box.button("Demand × 1").click();
    expect(done).toEqual([
      ["actOnScenario", "rain", "stop"],
      ["actOnScenario", "stadium", "start"],
      ["setDemand", null],
    ]);
  });

  it("keeps a score", () => {
    const score = { ...NO_SCORE, gateways: 5, longestGapMs: 900, shortestGapMs: 130 };
    expect(scoreWords(score)).toBe(
      "You killed 5 gateways under this page; shortest gap 0.13 s, longest 0.90 s; 0 missed, 0 repeated",
    );
    expect(scoreWords({ ...score, fresh: 1, others: 2 })).toContain(
      "1 × a full state, with events in between not shown; and broke 2 other parts, all back",
    );
  });
});
