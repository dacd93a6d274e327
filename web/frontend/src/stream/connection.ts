// SPDX-License-Identifier: Apache-2.0
/** Carries out what the rules in `link.ts` decide, on one connection or two. */

import { atRest, type Effect, isServing, type Link, type LinkEvent, openMs, step } from "./link.ts";
import { type Fault, type Hello, type Listener, MessageHandler, typeOf } from "./messages.ts";
import { VIEW_PAUSE_MS } from "./protocol.ts";
import type { Replica } from "./replica.ts";
import { type Message, type Platform, type SocketEvents, TimedSocket } from "./timed_socket.ts";
import type { View } from "./viewport.ts";

/** Gives a token, a new one each time if it can. It is asked at the start, and whenever a token was refused. */
export type TokenSource = () => string | null | Promise<string | null>;

export interface StreamListener extends Listener {
  /** The connection is in another state; `retryInMs` if the next attempt is known. */
  link(link: Link, retryInMs: number | null): void;
}

export interface Options {
  readonly city: string;
  readonly view?: View;
  readonly token?: TokenSource;
  readonly listener?: Partial<StreamListener>;
  /**
   * How long to try for a first image, in ms; then the state is `unreachable`, until `start()` is called again.
   * Null: for ever. A client that had an image always goes on trying.
   */
  readonly giveUpMs?: number | null;
}

export const GIVE_UP_MS = 30_000;
/** How long the application may take to find a token. */
const TOKEN_MS = 10_000;
/** From so many failures on, a problem is looked into, and logged on the console. */
const LASTING_FAILURES = 3;
const DIAGNOSIS_PAUSE_MS = 10_000;

export class Connection {
  private link: Link;
  private readonly handler: MessageHandler;
  private readonly listener: Partial<StreamListener>;
  private readonly tokenSource: TokenSource | null;
  private token: string | null = null;
  private present: TimedSocket | null = null;
  private next: TimedSocket | null = null;
  /** What arrived on the present connection since `hello` was sent on the next one; null: it is handled at once. */
  private kept: Message[] | null = null;
  /** What arrived on the next connection before it was adopted. */
  private early: Message[] = [];
  private isViewPaused = false;
  private stopRetry = () => {};
  private readonly platform: Platform;
  private readonly giveUpMs: number | null;
  private stopGivingUp: (() => void) | null = null;
  private hadImage = false;
  private isDiagnosing = false;
  /** What was last logged on the console. */
  private logged = "";

  constructor(options: Options, platform: Platform) {
    this.platform = platform;
    this.giveUpMs = options.giveUpMs === undefined ? GIVE_UP_MS : options.giveUpMs;
    this.listener = options.listener ?? {};
    this.handler = new MessageHandler(options.city, options.view ?? null, this.listener);
    this.tokenSource = options.token ?? null;
    this.link = atRest(this.tokenSource !== null);
  }

  get replica(): Replica {
    return this.handler.replica;
  }

  /** Of the rows held now. */
  get view(): View {
    return this.handler.views.shown;
  }

  get trusted(): boolean {
    return this.handler.trusted;
  }

  get state(): Link {
    return this.link;
  }

  /** What the gateway says is wrong, although its updates may come. */
  get faults(): readonly Fault[] {
    return this.handler.faults;
  }

  /** Connect now, also if the next attempt was meant for later. */
  start(): void {
    this.handle({ type: "retry" });
    if (this.giveUpMs === null || this.hadImage || this.stopGivingUp !== null) return;
    this.stopGivingUp = this.platform.after(this.giveUpMs, () => this.giveUp());
  }

  stop(): void {
    this.handle({ type: "stop" });
    this.stopRetry();
    this.stopGivingUp?.();
  }

  /** Ask for another view. Requests in quick succession end in the last one. */
  requestView(view: View): void {
    this.handler.views.want(view);
    this.sendView();
  }

  private giveUp(): void {
    this.stopGivingUp = null;
    this.stopRetry();
    this.handle({ type: "give_up" });
  }

  private handle(event: LinkEvent): void {
    const before = this.link;
    const [link, effects] = step(before, event, this.platform.random());
    this.link = link;
    const retry = effects.find((effect) => effect.type === "retry");
    if (event.type === "verified") this.noteImage();
    for (const effect of effects) this.carryOut(effect);
    this.explain(event);
    if (event.type !== "verified" || link.state !== before.state)
      this.listener.link?.(this.link, retry ? retry.inMs : null);
    if (event.type === "ready" || event.type === "next_ready") this.sendView();
  }

  private noteImage(): void {
    this.hadImage = true;
    this.logged = "";
    this.stopGivingUp?.();
    this.stopGivingUp = null;
  }

  /** A problem that lasts is looked into, and logged on the console once. */
  private explain(event: LinkEvent): void {
    const { problem, failures, refusal, state } = this.link;
    const text =
      state === "refused" && refusal ? `refused: ${refusal.code} ${refusal.reason}` : problem?.text;
    const isLasting = failures >= LASTING_FAILURES || state === "refused" || state === "unreachable";
    if (text === undefined || !isLasting) return;
    if (text !== this.logged) console.warn(`no connection to a gateway: ${text}`);
    this.logged = text;
    if (event.type === "closed" && problem?.kind === "unopened") void this.diagnose();
  }

  private async diagnose(): Promise<void> {
    if (this.isDiagnosing || !this.platform.diagnose) return;
    this.isDiagnosing = true;
    const problem = await this.platform.diagnose();
    if (problem) this.handle({ type: "diagnosed", problem });
    this.platform.after(DIAGNOSIS_PAUSE_MS, () => {
      this.isDiagnosing = false;
    });
  }

  private carryOut(effect: Effect): void {
    if (effect.type === "retry") this.retry(effect.inMs);
    else this.actions[effect.type]();
  }

  private readonly actions: Record<Exclude<Effect["type"], "retry">, () => void> = {
    open: () => {
      this.stopRetry();
      this.present = this.open(this.presentEvents());
    },
    hello: () => {
      this.present?.send(this.hello());
      this.handler.adopt();
    },
    close: () => {
      this.present?.close();
      this.present = this.kept = null;
    },
    forget: () => this.handler.forget(),
    ask: () => void this.ask(),
    open_next: () => {
      this.stopRetry();
      this.early = [];
      this.next = this.open(this.nextEvents());
    },
    hello_next: () => {
      this.kept = [];
      this.next?.send(this.hello());
    },
    close_next: () => {
      this.next?.close();
      this.next = null;
    },
    apply_kept: () => {
      const messages = this.kept ?? [];
      this.kept = null;
      for (const message of messages) this.receive(message);
    },
    adopt_next: () => this.adoptNext(),
  };

  private adoptNext(): void {
    this.present?.close();
    this.present = this.next;
    this.next = null;
    if (this.present) this.present.events = this.presentEvents();
    if (this.kept !== null) this.handler.adopt();
    this.kept = null;
    for (const message of this.early.splice(0)) this.receive(message);
  }

  private open(events: SocketEvents): TimedSocket {
    return new TimedSocket(this.platform, events, openMs(this.link));
  }

  private presentEvents(): SocketEvents {
    return {
      opened: () => this.handle({ type: "opened" }),
      message: (message) => this.keepOrReceive(message),
      closed: (code, reason, problem) => {
        this.present = null;
        this.handle({ type: "closed", code, reason, ...(problem && { problem }) });
      },
      quiet: () => this.handle({ type: "quiet" }),
      silent: () => this.handle({ type: "broken", forget: false, why: "silent" }),
    };
  }

  /** Until it is ready, messages of the next connection are kept: if it fails, they are dropped. */
  private nextEvents(): SocketEvents {
    return {
      opened: () => this.handle({ type: "next_opened" }),
      message: (message) => {
        this.early.push(message);
        if (typeOf(message) === "ready") this.handle({ type: "next_ready" });
        return true;
      },
      closed: (code, reason) => {
        this.next = null;
        this.handle({ type: "next_closed", code, reason });
      },
      quiet: () => {},
      silent: () => this.handle({ type: "next_broken" }),
    };
  }

  private keepOrReceive(message: Message): boolean {
    if (this.kept === null) return this.receive(message);
    this.kept.push(message);
    return true;
  }

  private receive(message: Message): boolean {
    // A message that was kept may end the connection that it came on: the rest of them is then dropped.
    if (this.present === null) return false;
    const { isSignOfLife, event, answer } = this.handler.handle(message);
    if (answer) this.present.send(answer);
    if (event) this.handle(event);
    return isSignOfLife;
  }

  private hello(): Hello {
    return this.handler.hello(this.token);
  }

  private sendView(): void {
    if (this.isViewPaused || this.kept !== null || !isServing(this.link.state)) return;
    const message = this.handler.views.nextRequest();
    if (message === null) return;
    this.present?.send(message);
    this.isViewPaused = true;
    this.platform.after(VIEW_PAUSE_MS, () => {
      this.isViewPaused = false;
      this.sendView();
    });
  }

  private retry(inMs: number): void {
    this.stopRetry();
    this.stopRetry = this.platform.after(inMs, () => this.handle({ type: "retry" }));
  }

  private async ask(): Promise<void> {
    try {
      const token = await this.within(TOKEN_MS, this.tokenSource?.() ?? null);
      const isNew = token !== null && token !== this.token;
      this.token = token;
      this.handle({ type: "token", isNew });
    } catch (error) {
      console.warn("no token:", error);
      this.handle({ type: "no_token" });
    }
  }

  private async within<T>(ms: number, answer: T | Promise<T>): Promise<T> {
    if (!(answer instanceof Promise)) return answer;
    let stop = () => {};
    const late = new Promise<never>((_, fail) => {
      stop = this.platform.after(ms, () => fail(new Error(`none within ${ms / 1000} s`)));
    });
    try {
      return await Promise.race([answer, late]);
    } finally {
      stop();
    }
  }
}
