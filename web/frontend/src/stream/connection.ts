// SPDX-License-Identifier: Apache-2.0
/** Carries out what the table in `link.ts` decides, on one wire or two. */

import { Follower, type Hello, type Listener, typeOf } from "./follow";
import { atRest, type Effect, isServing, type Link, type LinkEvent, step } from "./link";
import type { Picture } from "./state";
import { QUIET_MS, type View } from "./views";
import { type Message, type Surroundings, Wire, type WireEvents } from "./wire";

/** Gives a token, another one each time if it can: it is asked at the start, and whenever one was refused. */
export type TokenSource = () => string | null | Promise<string | null>;

export interface LinkListener extends Listener {
  /** The line is in another state; `retryInMs` where the next try is known. */
  link(link: Link, retryInMs: number | null): void;
}

export interface Options {
  readonly city: string;
  readonly view?: View;
  readonly token?: TokenSource;
  readonly listener?: Partial<LinkListener>;
}

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
