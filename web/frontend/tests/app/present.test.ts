// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import type { Actions } from "../../src/app/actions";
import { isPresenting, nextScene } from "../../src/app/present";
import { Store } from "../../src/app/store";

function presentation(canKill: boolean) {
  const store = new Store();
  store.canKill.value = canKill;
  const done: unknown[][] = [];
  const get =
    (_: unknown, name: string) =>
    (...given: unknown[]) =>
      done.push([name, ...given]);
  const actions = new Proxy({}, { get }) as Actions;
  return { store, done, next: () => nextScene(store, actions) };
}

describe("the presenter's mode", () => {
  it("is asked for in the address", () => {
    expect(["?present", "?view=map&present=1", "", "?x=present"].map(isPresenting)).toEqual([
      true,
      true,
      false,
      false,
    ]);
  });

  it("goes from the moving city to the proof to the kill, and begins again", () => {
    const { store, done, next } = presentation(true);
    store.scene.value = "watch";
    for (let i = 0; i < 3; i++) next();
    expect(done).toEqual([["showProof", true], ["kill"], ["showProof", false], ["watch"]]);
    expect(store.scene.value).toBe("watch");
  });

  it("kills nothing where nothing can be killed, and nothing outside the mode", () => {
    const { store, done, next } = presentation(false);
    next();
    expect([done, store.scene.value]).toEqual([[], null]);
    store.scene.value = "watch";
    for (let i = 0; i < 2; i++) next();
    expect(done).toEqual([["showProof", true], ["showProof", false], ["watch"]]);
  });
});
