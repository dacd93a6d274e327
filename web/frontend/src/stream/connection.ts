// SPDX-License-Identifier: Apache-2.0
/** Carries out what the table in `link.ts` decides. Sockets and timers are touched here and nowhere else. */

import { Follower, type Hello, type Listener, type Mismatch, typeOf } from "./follow";
import { atRest, type Effect, isServing, type Link, type LinkEvent, SILENCE_MS, step } from "./link";
import type { Picture } from "./state";
import { QUIET_MS, type View, type ViewMessage } from "./views";

/** Gives a token, another one each time if it can: it is asked at the start, and whenever one was refused. */
export type TokenSource = () => string | null | Promise<string | null>;

export interface LinkListener extends Listener {
  /** The line is in another state; `retryInMs` where the next try is known. */
  link(link: Link, retryInMs: number | null): void;
}

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

export interface Options {
  readonly city: string;
  readonly view?: View;
  readonly token?: TokenSource;
  readonly listener?: Partial<LinkListener>;
}

const SUBPROTOCOL = "taxi.v1";
/** The last part of the silence that means a fault: enough to hear what waits in line. */
const LISTEN_MS = 500;
type Message = ArrayBuffer | string;

export class Connection {
  private link: Link;
  private readonly follower: Follower;
  private readonly listener: Partial<LinkListener>;
  private readonly askForToken: TokenSource | null;
  private token: string | null | undefined;
  private main: Wire | null = null;
  private successor: Wire | null = null;
  /** What came on the main wire since hello was said on the successor's, and on that one before it was ready. */
  private aside: Message[] | null = null;
  private kept: Message[] = [];
  private quiet = false;
  private stopRetry = () => {};

  constructor(
    options: Options,
    private readonly around: Surroundings,
  ) {
    this.listener = options.listener ?? {};
    this.follower = new Follower(options.city, options.view ?? null, this.listener);
    this.askForToken = options.token ?? null;
    this.link = atRest(this.askForToken !== null);
  }

  get picture(): Picture {
    return this.follower.picture;
  }

  /** Of the rows now held. */
  get view(): View {
    return this.follower.views.rows;
  }

  get trusted(): boolean {
    return this.follower.trusted;
  }

  get state(): Link {
    return this.link;
  }

  /** Connect now, also when the next try was meant for later. */
  start(): void {
    this.happen({ type: "retry" });
  }

  leave(): void {
    this.happen({ type: "leave" });
    this.stopRetry();
  }

  /** Wish for another view. Wishes in quick succession end in the last one. */
  look(view: View): void {
    this.follower.views.wish(view);
    this.sayView();
  }

  private happen(event: LinkEvent): void {
    const before = this.link;
    const [link, effects] = step(before, event, this.around.random());
    this.link = link;
    const retry = effects.find((effect) => effect.do === "retry");
    for (const effect of effects) this.carryOut(effect);
    if (event.type !== "verified" || link.state !== before.state)
      this.listener.link?.(this.link, retry ? retry.inMs : null);
    if (event.type === "ready" || event.type === "successor ready") this.sayView();
  }

  private carryOut(effect: Effect): void {
    if (effect.do === "retry") this.retry(effect.inMs);
    else this.deeds[effect.do]();
  }

  private readonly deeds: Record<Exclude<Effect["do"], "retry">, () => void> = {
    open: () => {
      this.stopRetry();
      this.main = this.dial(this.mainEvents());
    },
    hello: () => {
      this.main?.say(this.hello());
      this.follower.moved();
    },
    close: () => {
      this.main?.leave();
      this.main = this.aside = null;
    },
    reach: () => {
      this.stopRetry();
      this.kept = [];
      this.successor = this.dial(this.successorEvents());
    },
    greet: () => {
      this.aside = [];
      this.successor?.say(this.hello());
    },
    drop: () => {
      this.successor?.leave();
      this.successor = null;
    },
    resume: () => {
      const messages = this.aside ?? [];
      this.aside = null;
      for (const message of messages) this.receive(message);
    },
    promote: () => this.promote(),
    forget: () => this.follower.forget(),
    ask: () => void this.ask(),
  };

  private promote(): void {
    this.main?.leave();
    this.main = this.successor;
    this.successor = null;
    if (this.main) this.main.events = this.mainEvents();
    if (this.aside !== null) this.follower.moved();
    this.aside = null;
    for (const message of this.kept.splice(0)) this.receive(message);
  }

  private dial(events: WireEvents): Wire {
    return new Wire(this.around, events);
  }

  private mainEvents(): WireEvents {
    return {
      opened: () => this.happen({ type: "opened" }),
      message: (message) => this.take(message),
      closed: (code, reason) => {
        this.main = null;
        this.happen({ type: "closed", code, reason });
      },
      silent: () => this.happen({ type: "broken", forget: false }),
    };
  }

  /** Until it is ready, the successor's words are kept: should it go down, they were never said. */
  private successorEvents(): WireEvents {
    return {
      opened: () => this.happen({ type: "successor opened" }),
      message: (message) => {
        this.kept.push(message);
        if (typeOf(message) === "ready") this.happen({ type: "successor ready" });
        return true;
      },
      closed: (code, reason) => {
        this.successor = null;
        this.happen({ type: "successor closed", code, reason });
      },
      silent: () => this.happen({ type: "successor broken" }),
    };
  }

  private take(message: Message): boolean {
    if (this.aside === null) return this.receive(message);
    this.aside.push(message);
    return true;
  }

  private receive(message: Message): boolean {
    // What was set aside may end the line that it came on: the rest of it then means nothing.
    if (this.main === null) return false;
    const { word, event, answer } = this.follower.hear(message);
    if (answer) this.main.say(answer);
    if (event) this.happen(event);
    return word;
  }

  private hello(): Hello {
    return this.follower.hello(this.token ?? null);
  }

  private sayView(): void {
    if (this.quiet || this.aside !== null || !isServing(this.link.state)) return;
    const message = this.follower.views.next();
    if (message === null) return;
    this.main?.say(message);
    this.quiet = true;
    this.around.after(QUIET_MS, () => {
      this.quiet = false;
      this.sayView();
    });
  }

  private retry(inMs: number): void {
    this.stopRetry();
    this.stopRetry = this.around.after(inMs, () => this.happen({ type: "retry" }));
  }

  private async ask(): Promise<void> {
    try {
      const token = (await this.askForToken?.()) ?? null;
      const other = token !== this.token;
      this.token = token;
      this.happen({ type: "token", other });
    } catch (error) {
      console.warn("no token:", error);
      this.happen({ type: "no token" });
    }
  }
}

interface WireEvents {
  opened(): void;
  /** Answers whether that was a sign of life. */
  message(message: Message): boolean;
  closed(code: number, reason: string): void;
  silent(): void;
}

/** A socket that is listened to until it is left, and that may not be silent for long. */
class Wire {
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
