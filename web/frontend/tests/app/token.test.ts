// SPDX-License-Identifier: Apache-2.0
import { afterEach, describe, expect, it, vi } from "vitest";
import { token } from "../../src/app/token";

/** A tab, as far as a token sees of it. */
function tab(hash: string, kept = new Map<string, string>()) {
  const location = { hash, pathname: "/", search: "?view=map" };
  const addresses: string[] = [];
  vi.stubGlobal("location", location);
  vi.stubGlobal("sessionStorage", {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => kept.set(key, value),
  });
  vi.stubGlobal("history", {
    state: null,
    replaceState: (_: unknown, __: string, url: string) => addresses.push(url),
  });
  return { addresses, kept };
}

describe("a token", () => {
  afterEach(() => vi.unstubAllGlobals());

  it("is taken out of the address and kept while the tab is open", () => {
    const { addresses, kept } = tab("#token=a.b%2Dc");
    expect(token()).toBe("a.b-c");
    expect(addresses).toEqual(["/?view=map"]);
    tab("", kept);
    expect(token()).toBe("a.b-c");
  });

  it("leaves a city and a place in the address", () => {
    for (const [hash, rest] of [
      ["#token=a.b&city=helsinki", "city=helsinki"],
      ["#city=helsinki&token=a.b", "city=helsinki"],
      ["#city=helsinki&token=a.b&at=24.9,60.1/16", "city=helsinki&at=24.9,60.1/16"],
    ] as const) {
      const { addresses } = tab(hash);
      expect(token()).toBe("a.b");
      expect(addresses).toEqual([`/?view=map#${rest}`]);
    }
  });

  it("is replaced by a newer one", () => {
    const { kept } = tab("#token=old");
    token();
    tab("#token=new", kept);
    expect(token()).toBe("new");
  });

  it("is not there if none was given", () => {
    const { addresses } = tab("#elsewhere");
    expect(token()).toBeNull();
    expect(addresses).toEqual([]);
  });
});
