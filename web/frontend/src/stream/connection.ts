// SPDX-License-Identifier: Apache-2.0
/** Carries out what the table in `link.ts` decides, with a real WebSocket, timers and chance. */

import { type Cursor, cursorText } from "./cursor";
import { type Cut, decodeCut } from "./decode";
import { type Effect, type Link, type LinkEvent, SILENCE_MS, step } from "./link";
import type { Outcome } from "./state";

export interface Ready {
  readonly type: "ready";
  readonly session: string;
  readonly gateway: string;
  readonly mode: "image" | "resume";
  readonly reason?: string;
  readonly epoch: string;
}

/** Told what happens on the line. `cut` answers what came of it. */
export interface Listener {
  cursor(): Cursor | null;
  forget(): void;
  cut(cut: Cut, epoch: string): Outcome;
  ready(ready: Ready): void;
  reset(reason: string): void;
  link(link: Link, retryInMs: number | null): void;
}

export interface Surroundings {
  open(): WebSocket;
  after(ms: number, then: () => void): () => void;
  random(): number;
}

export class Connection {
  private link: Link = { state: "waiting", tries: 0 };
  private socket: WebSocket | null = null;
  private epoch = "";
  private stopWatch = () => {};
  private stopRetry = () => {};

  constructor(
    private readonly city: string,
    private readonly listener: Listener,
    private readonly around: Surroundings,
  ) {}

  /** Connect now, also when the next try was meant for later. */
  start(): void {
    this.happen({ type: "retry" });
  }

  private happen(event: LinkEvent): void {
    const [link, effects] = step(this.link, event, this.around.random());
    this.link = link;
    const retry = effects.find((effect) => effect.do === "retry");
    for (const effect of effects) this.carryOut(effect);
    if (event.type !== "verified") this.listener.link(link, retry ? retry.inMs : null);
  }

  private carryOut(effect: Effect): void {
    if (effect.do === "open") this.open();
    else if (effect.do === "hello") this.hello();
    else if (effect.do === "close") this.drop();
    else if (effect.do === "forget") this.listener.forget();
    else {
      this.stopWatch();
      this.stopRetry = this.around.after(effect.inMs, () => this.happen({ type: "retry" }));
    }
  }

  private open(): void {
    this.stopRetry();
    const socket = this.around.open();
    socket.binaryType = "arraybuffer";
    const mine = (then: () => void) => () => {
      if (this.socket === socket) then();
    };
    socket.onopen = mine(() => this.happen({ type: "opened" }));
    socket.onmessage = (message: MessageEvent<ArrayBuffer | string>) =>
      mine(() => this.receive(message.data))();
    socket.onclose = (close) =>
      mine(() => {
        this.socket = null;
        this.happen({ type: "closed", code: close.code, reason: close.reason });
      })();
    this.socket = socket;
    this.watch();
  }

  private hello(): void {
    const cursor = this.listener.cursor();
    const hello = { type: "hello", v: 1, city: this.city, ...(cursor && { cursor: cursorText(cursor) }) };
    this.socket?.send(JSON.stringify(hello));
  }

  private drop(): void {
    const socket = this.socket;
    this.socket = null;
    socket?.close(1000);
  }

  /** A gateway beats once a second: three seconds without a word mean a fault, whatever TCP thinks. */
  private watch(): void {
    this.stopWatch();
    this.stopWatch = this.around.after(SILENCE_MS, () => this.happen({ type: "broken", forget: false }));
  }

  private receive(data: ArrayBuffer | string): void {
    this.watch();
    if (typeof data === "string") this.control(data);
    else this.happen(this.applied(data));
  }

  private applied(data: ArrayBuffer): LinkEvent {
    try {
      const outcome = this.listener.cut(decodeCut(data), this.epoch);
      if (outcome.kind === "applied") return { type: "verified" };
      return { type: "broken", forget: outcome.kind !== "gap" };
    } catch (error) {
      console.error("a cut could not be read", error);
      return { type: "broken", forget: true };
    }
  }

  private control(text: string): void {
    const message = JSON.parse(text) as Ready | { type: "reset"; reason: string } | { type: "drain" };
    if (message.type === "ready") {
      this.epoch = message.epoch;
      this.listener.ready(message);
      this.happen({ type: "ready" });
    } else if (message.type === "reset") this.listener.reset(message.reason);
    else if (message.type === "drain") this.happen({ type: "drain" });
  }
}
