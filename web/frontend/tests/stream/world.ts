// SPDX-License-Identifier: Apache-2.0
/** A world without sockets and clocks: what a client does in it is noted, what happens to it is said. */

import type { Platform, Problem } from "../../src/stream";

export type Deed = "opens" | "closes" | { readonly says: unknown };

/** One socket, seen from the other side. */
export class FakeSocket {
  binaryType = "";
  readonly deeds: Deed[] = ["opens"];
  onopen = () => {};
  onmessage = (_: { data: ArrayBuffer | string }) => {};
  onclose = (_: { code: number; reason: string }) => {};
  onerror = (_: { message?: string }) => {};

  send(text: string) {
    this.deeds.push({ says: JSON.parse(text) });
  }

  close() {
    this.deeds.push("closes");
  }

  says(message: object | ArrayBuffer) {
    this.onmessage({ data: message instanceof ArrayBuffer ? message : JSON.stringify(message) });
  }
}

export class FakeWorld implements Platform {
  readonly sockets: FakeSocket[] = [];
  diagnose?: () => Promise<Problem | null>;
  private timers: { at: number; then: () => void }[] = [];
  private now = 0;

  constructor(readonly luck = 0.5) {}

  open(): WebSocket {
    const socket = new FakeSocket();
    this.sockets.push(socket);
    return socket as unknown as WebSocket;
  }

  after(ms: number, then: () => void): () => void {
    const timer = { at: this.now + ms, then };
    this.timers.push(timer);
    return () => {
      this.timers = this.timers.filter((other) => other !== timer);
    };
  }

  random(): number {
    return this.luck;
  }

  pass(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      const due = this.timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (!due) break;
      this.timers = this.timers.filter((other) => other !== due);
      this.now = due.at;
      due.then();
    }
    this.now = end;
  }

  /** Time passes while no timer runs: then those that are due run, late. */
  stall(ms: number): void {
    this.now += ms;
    const due = this.timers.filter(({ at }) => at <= this.now).sort((a, b) => a.at - b.at);
    this.timers = this.timers.filter(({ at }) => at > this.now);
    for (const { then } of due) then();
  }
}
