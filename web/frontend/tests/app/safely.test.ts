// SPDX-License-Identifier: Apache-2.0
/** Browser features that are missing or throw: the page goes on without them. */

import { afterEach, describe, expect, it, vi } from "vitest";
import {
  decoded,
  followMedia,
  followSize,
  keep,
  kept,
  matchesMedia,
  randomWords,
  replaceFragment,
} from "../../src/app/safely";
import { token } from "../../src/app/token";
import { end, isOver } from "../../src/app/tour";

const forbid = (name: string): never => {
  throw new DOMException(`The operation is insecure: ${name}`, "SecurityError");
};

/** As a browser with cookies blocked has it: to look at the property is enough. */
function blockStorage(): void {
  for (const name of ["sessionStorage", "localStorage"])
    Object.defineProperty(globalThis, name, { configurable: true, get: () => forbid(name) });
}

/** A full disk, or a private window of old: it is there, and takes nothing. */
function fullStorage(): void {
  const full = { getItem: () => null, setItem: () => forbid("setItem") };
  vi.stubGlobal("sessionStorage", full);
  vi.stubGlobal("localStorage", full);
}

function address(hash: string, replaceState: () => void = () => {}): void {
  vi.stubGlobal("location", { hash, pathname: "/", search: "" });
  vi.stubGlobal("history", { state: null, replaceState });
}

describe("a browser that forbids or lacks", () => {
  afterEach(() => {
    vi.unstubAllGlobals();
    for (const name of ["sessionStorage", "localStorage"]) Reflect.deleteProperty(globalThis, name);
  });

  it.each([
    ["blocks", blockStorage],
    ["fills", fullStorage],
  ])("storage (%s it) keeps a token and the end of the tour while the page is open", (_, prepare) => {
    prepare();
    address("#token=abc");
    expect(token()).toBe("abc");
    address("");
    expect(token()).toBe("abc");
    end();
    expect(isOver()).toBe(true);
    expect(kept("session", "nothing")).toBeNull();
    keep("local", "a", "1");
    expect(kept("session", "a")).toBeNull();
  });

  it("changes of the address leaves the token in it", () => {
    fullStorage();
    address("#token=x", () => forbid("replaceState"));
    expect(token()).toBe("x");
    expect(() => replaceFragment("city=x")).not.toThrow();
  });

  it("properly encoded tokens gets them as they are", () => {
    expect(decoded("%E0%A4%A")).toBe("%E0%A4%A");
    expect(decoded("a%20b")).toBe("a b");
  });

  it.each([
    ["media queries", undefined],
    ["listening to media queries", () => ({ matches: true })],
  ])("%s follows the window's own width", (_, matchMedia) => {
    const listeners: (() => void)[] = [];
    const window = {
      innerWidth: 400,
      addEventListener: (_: string, then: () => void) => listeners.push(then),
    };
    vi.stubGlobal("matchMedia", matchMedia);
    vi.stubGlobal("window", window);
    const seen: boolean[] = [];
    followMedia(
      "(max-width: 720px)",
      () => window.innerWidth <= 720,
      (narrow) => seen.push(narrow),
    );
    window.innerWidth = 1600;
    listeners[0]!();
    expect(seen).toEqual([true, false]);
  });

  it("media queries has no wish for less motion", () => {
    vi.stubGlobal("matchMedia", undefined);
    expect(matchesMedia("(prefers-reduced-motion: reduce)")).toBe(false);
  });

  it("a ResizeObserver follows the window", () => {
    const listeners: string[] = [];
    vi.stubGlobal("ResizeObserver", undefined);
    vi.stubGlobal("window", { addEventListener: (name: string) => listeners.push(name) });
    followSize({} as HTMLElement, () => {});
    expect(listeners).toEqual(["resize"]);
  });

  it("random numbers still gets names that differ", () => {
    vi.stubGlobal("crypto", undefined);
    const names = new Set(Array.from({ length: 50 }, () => randomWords(2).join(":")));
    expect(names.size).toBe(50);
  });

  it("a known time zone still gets a time of day", async () => {
    vi.stubGlobal("Intl", {
      NumberFormat: () => forbid("NumberFormat"),
      DateTimeFormat: () => forbid("DateTimeFormat"),
    });
    vi.resetModules();
    const { clock, count } = await import("../../src/city/format");
    expect(clock(Date.UTC(2026, 0, 1, 12, 34, 56))).toBe("12:34:56");
    expect(clock(1e300)).toBe("–");
    expect(count(1234)).toBe("1234");
  });
});
