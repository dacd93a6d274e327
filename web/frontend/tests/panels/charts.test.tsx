// SPDX-License-Identifier: Apache-2.0
/** The charts' panel with a plot that notes what it is shown: uPlot itself draws on a canvas, which tests here do not have. */

import { beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import type { Actions } from "../../src/app/actions";
import { Store } from "../../src/app/store";
import { CHARTS, type Chart } from "../../src/city/charts";
import { clock } from "../../src/city/format";
import type { Shown } from "../../src/panels/chart_plot";
import { ChartsPanel } from "../../src/panels/charts";
import { CUT_MS } from "../stream/encode";
import { draw, settled } from "./dom";

const plots = vi.hoisted(() => [] as NotedPlot[]);

class NotedPlot {
  shown: Shown[] = [];
  removed = false;

  constructor(
    readonly box: unknown,
    readonly chart: Chart,
    readonly onPoint: (atMs: number | null) => void,
  ) {
    plots.push(this);
  }

  show(shown: Shown): void {
    this.shown.push(shown);
  }

  resize(): void {}

  remove(): void {
    this.removed = true;
  }
}

vi.mock("../../src/panels/chart_plot", () => ({ Plot: NotedPlot }));

beforeAll(() => {
  vi.stubGlobal("requestAnimationFrame", (then: () => void) => setTimeout(then, 0));
  vi.stubGlobal("window", { addEventListener: () => {}, removeEventListener: () => {} });
});
beforeEach(() => {
  plots.length = 0;
});

async function open() {
  const store = new Store();
  const sample = (ms: number, waiting: number) => ({
    atMs: CUT_MS + ms,
    values: [waiting, 128_000, 291_000, 1, 0.5, 84, 96],
  });
  store.pulseHistory.value = [sample(0, 10), sample(5_000, 20), sample(10_000, 30)];
  store.runHistory.value = [sample(-600_000, 1), ...store.pulseHistory.value];
  store.marks.value = [
    { atMs: CUT_MS - 300_000, words: "dispatcher killed" },
    { atMs: CUT_MS + 4_000, words: "gateway-1 killed" },
  ];
  const done: unknown[][] = [];
  const actions = { closePanel: () => done.push(["closePanel"]) } as unknown as Actions;
  const box = draw(<ChartsPanel store={store} actions={actions} />);
  await vi.waitFor(
    () => expect(plots.filter(({ shown }) => shown.length > 0)).toHaveLength(CHARTS.length),
    10_000,
  );
  return { store, box, done };
}

describe("the charts", () => {
  it("have the newest values until somebody points at a time", async () => {
    const { box } = await open();
    expect(plots.map(({ chart }) => chart.title)).toEqual(CHARTS.map(({ title }) => title));
    expect(box.find("figure")[0]?.text).toBe("Riders waitingwaiting 30");
    plots[1]!.onPoint(CUT_MS + 4_900);
    await settled();
    expect(box.find("figure")[0]?.text).toBe("Riders waitingwaiting 20");
    expect(box.find("output")[0]?.text).toBe(clock(CUT_MS + 5_000));
    expect(plots[0]!.shown.at(-1)?.pointedMs).toBe(CUT_MS + 5_000);
    plots[1]!.onPoint(null);
    await settled();
    expect(box.find("figure")[0]?.text).toBe("Riders waitingwaiting 30");
    expect(plots[0]!.shown.at(-1)?.pointedMs).toBeNull();
  });

  it("can be read by keyboard: the slider is the time", async () => {
    const { box } = await open();
    const [slider] = box.find("input");
    expect(slider?.attributes.get("aria-valuetext")).toBe(clock(CUT_MS + 10_000));
    Object.assign(slider!, { value: "0" });
    slider?.dispatch("input");
    await settled();
    expect(box.find("figure")[0]?.text).toBe("Riders waitingwaiting 10");
    expect(slider?.attributes.get("aria-valuetext")).toBe(clock(CUT_MS));
  });

  it("show 15 minutes, or all since the page opened, with what was killed in that time", async () => {
    const { box, done } = await open();
    expect(box.find(".marks")[0]?.text).toBe(`${clock(CUT_MS + 4_000)} gateway-1 killed`);
    expect(plots[0]!.shown.at(-1)?.marks).toHaveLength(1);
    box.button("Since this page opened").click();
    await settled();
    expect(plots[0]!.shown.at(-1)?.samples).toHaveLength(4);
    expect(box.find(".marks")[0]?.text).toContain("dispatcher killed");
    expect(plots[0]!.shown.at(-1)?.marks).toHaveLength(2);
    box.button("Close").click();
    expect(done).toEqual([["closePanel"]]);
  });
});
