// SPDX-License-Identifier: Apache-2.0
import { afterEach, describe, expect, it, vi } from "vitest";
import { formatAddress, notePlace, noteSelection, readAddress } from "../../src/app/address";

const PLACE = { center: [-73.98571, 40.758] as const, zoom: 15.5 };

afterEach(() => vi.unstubAllGlobals());

describe("an address", () => {
  it.each([
    ["", { city: null, selection: null, place: null }],
    ["#ride=web-1a_B", { city: null, selection: { what: "ride", id: "web-1a_B" }, place: null }],
    ["#taxi=17", { city: null, selection: { what: "taxi", driver: 17 }, place: null }],
    ["#taxi=t-0017", { city: null, selection: { what: "taxi", driver: 17 }, place: null }],
    ["#at=-73.98571,40.758/15.5", { city: null, selection: null, place: PLACE }],
    [
      "#at=-73.98571,40.758/15.5&taxi=17",
      { city: null, selection: { what: "taxi", driver: 17 }, place: PLACE },
    ],
    ["#city=helsinki&taxi=17", { city: "helsinki", selection: { what: "taxi", driver: 17 }, place: null }],
    [
      "#area=Hell's%20Kitchen",
      { city: null, selection: { what: "area", name: "Hell's Kitchen" }, place: null },
    ],
    ["#area=<b>", { city: null, selection: null, place: null }],
    ["#ride=<script>", { city: null, selection: null, place: null }],
    ["#taxi=99999999999", { city: null, selection: null, place: null }],
    ["#%E0%A4%A", { city: null, selection: null, place: null }],
  ])("%s is read", (fragment, address) => {
    expect(readAddress(fragment)).toEqual(address);
  });

  it("is written as it is read", () => {
    for (const fragment of [
      "",
      "#ride=r-1",
      "#at=-73.98571,40.75800/15.50&taxi=17",
      "#city=helsinki&ride=r-1",
      "#area=Stuyvesant%20Town",
    ])
      expect(formatAddress(readAddress(fragment))).toBe(fragment);
  });

  it("gets an entry in the history for what is opened, none for what is open, and none for a moved map", () => {
    const calls: unknown[][] = [];
    const location = { hash: "", pathname: "/", search: "?a" };
    const go = (how: string) => (_: unknown, __: unknown, url: string) => {
      calls.push([how, url]);
      location.hash = url.replace(/^[^#]*/, "");
    };
    vi.stubGlobal("location", location);
    vi.stubGlobal("history", { state: null, pushState: go("push"), replaceState: go("replace") });
    noteSelection({ what: "ride", id: "r-1" });
    noteSelection({ what: "ride", id: "r-1" });
    notePlace(PLACE);
    noteSelection(null);
    expect(calls).toEqual([
      ["push", "/?a#ride=r-1"],
      ["replace", "/?a#at=-73.98571,40.75800/15.50&ride=r-1"],
      ["push", "/?a#at=-73.98571,40.75800/15.50"],
    ]);
  });

  it("stays as it is where the browser refuses to change it", () => {
    vi.stubGlobal("location", { hash: "", pathname: "/", search: "" });
    vi.stubGlobal("history", {
      pushState: () => {
        throw new Error("denied");
      },
    });
    expect(() => noteSelection({ what: "taxi", driver: 1 })).not.toThrow();
  });
});
