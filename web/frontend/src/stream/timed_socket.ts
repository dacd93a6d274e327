// SPDX-License-Identifier: Apache-2.0
/** A WebSocket with time limits, which is not listened to once it is closed. Sockets and timers are here alone. */

import { diagnose } from "./diagnose.ts";
import type { Hello, Mismatch } from "./messages.ts";
import type { Problem } from "./problem.ts";
import { ANSWER_MS, QUIET_MS, SILENCE_MS, SUBPROTOCOL } from "./protocol.ts";
import type { ViewMessage } from "./viewport.ts";

export type Message = ArrayBuffer | string;

/** What the client needs of a browser (or of Node, or of a test). */
export interface Platform {
  /** May throw, if such a connection is not allowed at all. */
  open(): WebSocket;
  /** Calls `then` after a while; returns a function that cancels it. */
  after(ms: number, then: () => void): () => void;
  /** Drawn evenly from [0, 1). */
  random(): number;
  /** Finds out why a connection does not open. Null: nothing more is known. */
  diagnose?(): Promise<Problem | null>;
}

/** The platform of a browser or of Node: WebSocket, timers and chance. */
export function browser(url: string): Platform {
  return {
    open: () => new WebSocket(url, SUBPROTOCOL),
    after: (ms, then) => {
      const timer = setTimeout(then, ms);
      return () => clearTimeout(timer);
    },
    random: Math.random,
    diagnose: () => diagnose(url),
  };
}

/** The last part of a time limit: enough to handle what has arrived meanwhile. */
const LISTEN_MS = 500;

export interface SocketEvents {
  opened(): void;
  /** Returns whether the message was a sign of life. */
  message(message: Message): boolean;
  closed(code: number, reason: string, problem: Problem | null): void;
  /** Nothing came for `QUIET_MS` after the last message. */
  quiet(): void;
  /** A time limit has passed: the socket did not open, or no message came. */
  silent(): void;
}

export class TimedSocket {
  events: SocketEvents;
  private readonly platform: Platform;
  private readonly socket: WebSocket | null;
  private isClosed = false;
  private problem: Problem | null = null;
  private stopOpening = () => {};
  private stopWatch = () => {};

  /** `openMs`: how long it may take to open. The first message has `ANSWER_MS` more, counted from now. */
  constructor(platform: Platform, events: SocketEvents, openMs: number) {
    this.platform = platform;
    this.events = events;
    this.socket = this.open();
    if (this.socket === null) return;
    const { socket } = this;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      if (this.isClosed) return;
      this.stopOpening();
      this.events.opened();
    };
    socket.onmessage = ({ data }: MessageEvent<Message>) => {
      if (!this.isClosed && this.events.message(data)) this.watch();
    };
    // Browsers say nothing here; Node says what went wrong.
    socket.onerror = (event) => {
      const { message } = event as ErrorEvent;
      if (message) this.problem = { kind: "unopened", text: `no connection to the gateway: ${message}` };
    };
    socket.onclose = ({ code, reason }) => this.closed(code, reason);
    this.stopOpening = this.afterReading(openMs, () => this.events.silent());
    this.stopWatch = this.afterReading(openMs + ANSWER_MS, () => this.events.silent());
  }

  send(message: Hello | ViewMessage | Mismatch): void {
    this.socket?.send(JSON.stringify(message));
  }

  /** No event comes after this. */
  close(): void {
    if (this.isClosed) return;
    this.end();
    this.socket?.close(1000);
  }

  private open(): WebSocket | null {
    try {
      return this.platform.open();
    } catch (error) {
      const text = `this connection is not allowed: ${error instanceof Error ? error.message : error}`;
      this.problem = { kind: "blocked", text };
      this.stopWatch = this.platform.after(0, () => this.closed(1006, ""));
      return null;
    }
  }

  private closed(code: number, reason: string): void {
    if (this.isClosed) return;
    this.end();
    this.events.closed(code, reason, this.problem);
  }

  private end(): void {
    this.isClosed = true;
    this.stopOpening();
    this.stopWatch();
  }

  /** Starts the limits for the next message. */
  private watch(): void {
    this.stopWatch();
    if (this.isClosed) return;
    this.stopWatch = this.afterReading(QUIET_MS, () => {
      this.stopWatch = this.afterReading(SILENCE_MS - QUIET_MS, () => this.events.silent());
      this.events.quiet();
    });
  }

  /**
   * Calls `then` after `ms`, in two parts: if the page was itself too busy to read, the first timer is late, and
   * what has arrived meanwhile is handled before the second one is due.
   */
  private afterReading(ms: number, then: () => void): () => void {
    let stop = this.platform.after(ms - LISTEN_MS, () => {
      stop = this.platform.after(LISTEN_MS, then);
    });
    return () => stop();
  }
}
