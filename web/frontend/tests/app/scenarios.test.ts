// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { actOnScenario, setDemand } from "../../src/app/scenarios";
import { Store } from "../../src/app/store";
import { leftMs } from "../../src/city/scenario_plans";
import { CityTime, REAL_TIME } from "../../src/stream";
import { CUT_MS } from "../stream/encode";

const underWay = (name: string) => ({ name, title: name, sinceMs: CUT_MS, lastsS: 900, area: null });

function page(problem: string | null = null) {
  const store = new Store();
  store.held.value = { drivers: 1, byStatus: [], cutMs: CUT_MS, stale: false };
  store.scenarioPlans.value = [{ name: "rain", title: "Rain", about: "", lasts_s: 900, place: "" }];
  const asked: string[] = [];
  const change = async (name: string, action: string) => {
    asked.push(`${action} ${name}`);
    return problem;
  };
  return { store, asked, change };
}

describe("a scenario", () => {
  it("is started, and is a mark on the time lines", async () => {
    const { store, asked, change } = page();
    await actOnScenario(store, "rain", "start", change);
    expect(asked).toEqual(["start rain"]);
    expect(store.marks.value).toEqual([{ atMs: CUT_MS, words: "Rain, started" }]);
  });

  it("that is refused is no mark, and said to be refused", async () => {
    const { store, change } = page("rain is under way");
    await actOnScenario(store, "rain", "start", change);
    expect(store.marks.value).toEqual([]);
    expect(store.notice.value).toBe("Rain was not started: rain is under way");
  });

  it("has its time left in the time of the city", () => {
    expect(leftMs(underWay("rain"), CUT_MS + 60_000, REAL_TIME)).toBe(840_000);
    const fast = new CityTime([{ fromMs: CUT_MS, cityMs: CUT_MS, speed: 10 }]);
    expect(leftMs(underWay("rain"), CUT_MS + 60_000, fast)).toBe(300_000);
    expect(leftMs(underWay("rain"), CUT_MS + 3_600_000, REAL_TIME)).toBe(0);
  });
});

describe("the demand", () => {
  it.each([
    [[], "demand-double", ["start demand-double"]],
    [["rain", "demand-double"], "demand-triple", ["stop demand-double", "start demand-triple"]],
    [["demand-half"], null, ["stop demand-half"]],
    [["demand-half"], "demand-half", []],
  ])("from %j to %s asks for %j", async (before, step, wanted) => {
    const { store, asked, change } = page();
    store.scenarios.value = before.map(underWay);
    await setDemand(store, step, change);
    expect(asked).toEqual(wanted);
  });
});
