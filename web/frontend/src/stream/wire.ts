// SPDX-License-Identifier: Apache-2.0
/** A socket that is listened to until it is left, and that may not be silent for long. Sockets and timers are here alone. */

import type { Hello, Mismatch } from "./follow";
import { SILENCE_MS } from "./link";
import type { ViewMessage } from "./views";

export type Message = ArrayBuffer | string;

const SUBPROTOCOL = "taxi.v1";

export interface Surroundings {
  open(): WebSocket;
  after(ms: number, then: () => void): () => void;
  random(): number;
}

/** A browser's own (or Node's): WebSocket, timers and chance. */
export function browser(url: string): Surroundings {
  return {
    open: () => new WebSocket(url, SUBPROTOCOL),
    after: (ms, then) => {
      const timer = setTimeout(then, ms);
      return () => clearTimeout(timer);
    },
    random: Math.random,
  };
}

/** The last part of the silence that means a fault: enough to hear what waits in line. */
const LISTEN_MS = 500;

export interface WireEvents {
  opened(): void;
  /** Answers whether that was a sign of life. */
  message(message: Message): boolean;
  closed(code: number, reason: string): void;
  silent(): void;
}

export class Wire {
  private readonly socket: WebSocket;
  private left = false;
  private stopWatch = () => {};

  constructor(
    private readonly around: Surroundings,
    public events: WireEvents,
  ) {
    const socket = around.open();
    this.socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.heed(() => this.events.opened());
    socket.onmessage = ({ data }: MessageEvent<Message>) => {
      if (!this.left && this.events.message(data)) this.watch();
    };
    socket.onclose = ({ code, reason }) => {
      if (this.left) return;
      this.end();
      this.events.closed(code, reason);
    };
    this.watch();
  }

  say(message: Hello | ViewMessage | Mismatch): void {
    this.socket.send(JSON.stringify(message));
  }

  leave(): void {
    if (this.left) return;
    this.end();
    this.socket.close(1000);
  }

  private end(): void {
    this.left = true;
    this.stopWatch();
  }

  private heed(then: () => void): void {
    if (this.left) return;
    this.watch();
    then();
  }

  /**
   * A gateway beats once a second: three seconds without a word mean a fault, whatever TCP thinks. In two parts: a
   * page that was itself too busy to listen finds its timer due first, and hears what was said meanwhile after it.
   */
  private watch(): void {
    this.stopWatch();
    if (this.left) return;
    this.stopWatch = this.around.after(SILENCE_MS - LISTEN_MS, () => {
      this.stopWatch = this.around.after(LISTEN_MS, () => this.events.silent());
    });
  }
}
