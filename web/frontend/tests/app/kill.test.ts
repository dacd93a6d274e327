// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { killGateway } from "../../src/app/kill";
import { Store } from "../../src/app/store";

function served(): Store {
  const store = new Store();
  store.canKill.value = true;
  store.noteOutage({ type: "ready", gateway: "gateway-1", fresh: true });
  return store;
}

/** Notes whom it was asked to kill, and answers with a problem or none. */
function killer(problem: string | null) {
  const killed: string[] = [];
  const kill = async (name: string) => {
    killed.push(name);
    return problem;
  };
  return { killed, kill };
}

describe("the kill button", () => {
  it("kills the gateway that serves, once", async () => {
    const [store, { killed, kill }] = [served(), killer(null)];
    await killGateway(store, kill);
    await killGateway(store, kill);
    expect(killed).toEqual(["gateway-1"]);
    expect(store.outage.value.killing).toBe("gateway-1");
  });

  it("says so if the gateway was not killed, and may be pressed again", async () => {
    const [store, { killed, kill }] = [served(), killer("it is not a part of this demo")];
    await killGateway(store, kill);
    expect(store.notice.value).toBe("gateway-1 was not killed: it is not a part of this demo");
    await killGateway(store, kill);
    expect(killed).toHaveLength(2);
  });

  it("does nothing where nothing may be killed, or before a gateway serves", async () => {
    const [{ killed, kill }, forbidden, early] = [killer(null), served(), new Store()];
    forbidden.canKill.value = false;
    early.canKill.value = true;
    await killGateway(forbidden, kill);
    await killGateway(early, kill);
    expect(killed).toEqual([]);
  });
});
