// SPDX-License-Identifier: Apache-2.0
/** What verifiers say counts while they speak, and what they find is a fault. */

import { describe, expect, it } from "vitest";
import { Store } from "../../src/app/store";
import {
  checkedNow,
  heard,
  NO_VERDICTS,
  SILENT_MS,
  silent,
  type Verdicts,
  verifierFaults,
} from "../../src/city/verdicts";
import { atRest, type CheckedGateway } from "../../src/stream";

const RIGHT: CheckedGateway = {
  gateway: "gateway-1",
  cut_ms: 1_000,
  checked: 7,
  wrong: 0,
  rule: "",
  text: "",
};
const WRONG: CheckedGateway = {
  ...RIGHT,
  gateway: "gateway-10",
  wrong: 2,
  rule: "wrong_hash",
  text: "a for b",
};

function said(at: number, ...gateways: CheckedGateway[]): Verdicts {
  return heard(NO_VERDICTS, { verifier: "verifier", gateways }, at);
}

describe("verdicts", () => {
  it("replace each other, and are of their verifier", () => {
    const verdicts = heard(said(0, WRONG), { verifier: "verifier", gateways: [RIGHT] }, 10);
    expect(checkedNow(verdicts, 20)).toEqual([{ ...RIGHT, verifier: "verifier" }]);
  });

  it("are in the order of the gateways' numbers", () => {
    const second = { ...RIGHT, gateway: "gateway-2" };
    const names = checkedNow(said(0, WRONG, second), 1).map(({ gateway }) => gateway);
    expect(names).toEqual(["gateway-2", "gateway-10"]);
  });

  it("count only while the verifier speaks", () => {
    const verdicts = said(0, WRONG);
    expect(silent(verdicts, SILENT_MS - 1)).toEqual([]);
    expect(verifierFaults(verdicts, SILENT_MS - 1)).toHaveLength(1);
    expect(silent(verdicts, SILENT_MS)).toEqual(["verifier"]);
    expect(checkedNow(verdicts, SILENT_MS)).toEqual([]);
    expect(verifierFaults(verdicts, SILENT_MS)).toEqual([]);
  });

  it("name the gateway, the rule and who found it", () => {
    const [fault] = verifierFaults(said(0, RIGHT, WRONG), 1);
    expect(fault).toEqual({
      code: "differs_from_log",
      text: "gateway-10 does not send what the log says: found by verifier (wrong_hash: a for b)",
    });
  });

  it("keep the headline from saying that all is well", () => {
    const store = new Store();
    store.link.value = { ...atRest(false), state: "live" };
    store.held.value = { drivers: 5, byStatus: [], cutMs: 2_000, stale: false };
    store.verifiedAt.value = store.now.value;
    store.verdicts.value = said(store.now.value, RIGHT);
    expect(store.health.value).toBe("fine");
    store.verdicts.value = said(store.now.value, WRONG);
    expect(store.health.value).toBe("troubled");
  });
});
