// SPDX-License-Identifier: Apache-2.0
/** Colours by day and by night: what can be distinguished by one can be by the other. */

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { DAY, NIGHT, rgb } from "../../src/map/shaders";
import { groundStyle, nameStyle } from "../../src/map/style";

const CSS = readFileSync(new URL("../../src/styles/tokens.css", import.meta.url), "utf8");

/** The tokens of a block of the sheet. */
function tokens(block: string): Map<string, string> {
  return new Map([...block.matchAll(/--([a-z0-9-]+): ([^;]+);/g)].map(([, name, value]) => [name!, value!]));
}

const [night, byPreference] = CSS.split("@media (prefers-color-scheme: light)") as [string, string];
const THEMES = {
  night: tokens(night),
  day: new Map([...tokens(night), ...tokens(byPreference.split("@media")[0]!)]),
};

/** Relative luminance (WCAG 2.2). */
function luminance(colour: string): number {
  const [r, g, b] = rgb(colour).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r! + 0.7152 * g! + 0.0722 * b!;
}

function contrast(a: string, b: string): number {
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y) as [number, number];
  return (high + 0.05) / (low + 0.05);
}

describe.each(["night", "day"] as const)("by %s", (theme) => {
  const of = (name: string) => THEMES[theme].get(name)!;

  it.each([
    ["text", 16],
    ["text-2", 9],
    ["text-3", 6],
    ["vacant", 6],
    ["pickup", 6],
    ["trip", 6],
    ["lost", 6],
    ["off", 5.5],
    ["accent-line", 6],
  ])("%s is read on a panel with a contrast of %d", (name, least) => {
    expect(contrast(of(name), of("surface-solid"))).toBeGreaterThanOrEqual(least);
  });

  it("the one filled button is read", () => {
    expect(contrast(of("on-accent"), of("accent"))).toBeGreaterThan(12);
  });

  it("taxis differ from the streets, and what parts them from both", () => {
    const { kinds, casing } = theme === "day" ? DAY : NIGHT;
    const text = JSON.stringify(groundStyle("/x", "Manhattan", theme === "day"));
    const ground = /"blocks".*?"fill-color":"(#[0-9a-f]{6})"/.exec(text)?.[1];
    for (const colour of kinds) expect(contrast(colour, ground!)).toBeGreaterThan(2.9);
    for (const colour of kinds) expect(contrast(colour, casing)).toBeGreaterThan(3);
  });
});

describe("the map by day", () => {
  it("has none of the night's colours, and the same layers", () => {
    const colours = (style: object) => new Set(JSON.stringify(style).match(/#[0-9a-f]{6}\b/g));
    const [dark, light] = [groundStyle("/x", "M", false), groundStyle("/x", "M", true)];
    // The scale of values is the same.
    const scale = ["#3a6ea5", "#c9c3a5", "#e0703f"];
    const shared = [...colours(light)].filter((colour) => colours(dark).has(colour));
    expect(shared.sort()).toEqual(scale);
    expect(light.layers.map(({ id }) => id)).toEqual(dark.layers.map(({ id }) => id));
    const names = [nameStyle("/x", false), nameStyle("/x", true)].map(colours);
    expect([...names[1]!].filter((colour) => names[0]!.has(colour))).toEqual([]);
  });
});
