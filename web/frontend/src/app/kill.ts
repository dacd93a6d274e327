// SPDX-License-Identifier: Apache-2.0
/** Breaks parts of a local demo, and measures how long each takes until all is well again. */

import type { PartNow } from "../city/recovery";
import { actOnPart, demoParts, type PartAction } from "./api";
import { randomWords } from "./safely";
import type { Store } from "./store";

/** Between two looks at the parts while one recovers, and while they are only shown. */
const LOOK_SOON_MS = 250;
const LOOK_MS = 1_000;

export interface Breaks {
  readonly act: typeof actOnPart;
  readonly parts: typeof demoParts;
}

const GATEWAY: Breaks = { act: actOnPart, parts: demoParts };

const DONE: Record<PartAction, string> = { kill: "killed", freeze: "frozen", wake: "woken" };

export class PartBreaker {
  private lookedAt = Number.NEGATIVE_INFINITY;
  private isLooking = false;

  constructor(
    private readonly store: Store,
    private readonly gateway: Breaks = GATEWAY,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** Kill the gateway that serves this page. */
  async killOwn(): Promise<void> {
    const { gateway, killing } = this.store.outage.value;
    const noConnection = ["reconnecting", "refused", "starting"].includes(this.store.health.value);
    if (killing !== null || gateway === "" || noConnection) return;
    await this.act(gateway, "kill");
  }

  /** Do it, note it on the time lines, and say so if it failed. */
  async act(part: string, action: PartAction): Promise<void> {
    const { store } = this;
    if (!store.canKill.value) return;
    const isOwn = part === store.outage.value.gateway;
    store.notice.value = null;
    if (isOwn && action === "kill") store.noteOutage({ type: "kill", gateway: part });
    if (action === "wake") store.noteRecovery({ type: "woken", part });
    else {
      const pid = store.parts.value?.find(({ name }) => name === part)?.pid ?? 0;
      store.noteRecovery({ type: "begun", part, deed: action, pid, at: this.now(), isOwn });
    }
    const answer = await this.gateway.act(part, action);
    if (typeof answer === "string") {
      if (isOwn && action === "kill") store.noteOutage({ type: "not_killed" });
      if (action !== "wake") store.noteRecovery({ type: "refused", part, deed: action });
      store.notice.value = `${part} was not ${DONE[action]}: ${answer}`;
      return;
    }
    store.noteMark(`${part} ${DONE[action]}`);
    if (answer !== null && action !== "wake") store.noteRecovery({ type: "answered", part, pid: answer });
  }

  /** Kill or freeze one of the parts that are ready, by chance. */
  async surprise(): Promise<void> {
    const ready = (this.store.parts.value ?? []).filter(({ state }) => state === "ready");
    if (ready.length === 0) return;
    const [which, how] = randomWords(2) as [number, number];
    await this.act(ready[which % ready.length]!.name, how % 2 === 0 ? "kill" : "freeze");
  }

  /** Look at the parts if it is time, while somebody wants to know. */
  async tick(): Promise<void> {
    const { store } = this;
    const isSoon = store.recovery.value.going.length > 0;
    const isWanted = store.canKill.value && (isSoon || store.proof.value || store.parts.value === null);
    const now = this.now();
    if (!isWanted || this.isLooking || now - this.lookedAt < (isSoon ? LOOK_SOON_MS : LOOK_MS)) return;
    this.isLooking = true;
    this.lookedAt = now;
    const parts = await this.gateway.parts();
    this.isLooking = false;
    if (parts !== null) this.noteParts(parts);
  }

  private noteParts(parts: readonly PartNow[]): void {
    const { store } = this;
    const { loc, ev } = store.stalls.value ?? { loc: { offset: 0 }, ev: { offset: 0 } };
    store.parts.value = parts;
    if (store.recovery.value.going.length > 0)
      store.noteRecovery({ type: "parts", parts, at: this.now(), loc: loc.offset, ev: ev.offset });
  }
}
