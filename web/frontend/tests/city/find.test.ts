// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { find, type Rows } from "../../src/city/find";
import type { RideRecord } from "../../src/stream";

const ride = (id: string) => [id, { id } as RideRecord] as const;
const rows: Rows = {
  drivers: { slots: new Map([[42, 0]]) },
  rides: new Map([ride("r-0zot9302"), ride("r-0zot9303"), ride("web-1")]),
};
const found = (text: string) => find(text, rows, "the city");

describe("finding", () => {
  it("takes a taxi's number with or without its letter and zeros", () => {
    for (const text of ["42", "t-42", "T-0042", " t-0042 "]) {
      expect(found(text)).toEqual({ what: "taxi", driver: 42 });
    }
  });

  it("names a taxi that is not there, and where it was looked for", () => {
    expect(found("7")).toEqual({ what: "nothing", words: "No t-0007 in the city" });
    expect(find("7", rows, "this view")).toEqual({ what: "nothing", words: "No t-0007 in this view" });
  });

  it("takes a ride's name, or as much of it as is its alone", () => {
    expect(found("r-0zot9302")).toMatchObject({ what: "ride", ride: { id: "r-0zot9302" } });
    expect(found("web")).toMatchObject({ what: "ride", ride: { id: "web-1" } });
  });

  it("says how many rides could be meant, or that there is none", () => {
    expect(found("r-0zot")).toEqual({ what: "nothing", words: "2 rides begin with r-0zot" });
    expect(found("r-9")).toEqual({ what: "nothing", words: "No ride r-9 now" });
  });
});
