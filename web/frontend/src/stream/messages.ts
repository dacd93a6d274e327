// SPDX-License-Identifier: Apache-2.0
/** What to send to a gateway and what its messages mean, on whichever connection. No socket, no timer, no clock. */

import { cityTimeOf, REAL_TIME } from "./city_time.ts";
import { cursorText } from "./cursor.ts";
import { DecodeError, decodeUpdate, type Update } from "./decode.ts";
import type { Grid } from "./grid.ts";
import type { Lanes } from "./hash.ts";
import type { LinkEvent } from "./link.ts";
import { VERSION } from "./protocol.ts";
import { Replica } from "./replica.ts";
import { NO_SCENARIOS, scenariosOf } from "./scenarios.ts";
import { type View, ViewportRequests } from "./viewport.ts";

export interface Ready {
  readonly session: string;
  readonly gateway: string;
  readonly mode: "image" | "resume";
  readonly reason?: string;
  readonly epoch: string;
  readonly grid: Grid;
  readonly cut_interval_ms: number;
  readonly beat_interval_ms: number;
}

export interface Hello {
  readonly type: "hello";
  readonly v: number;
  readonly city: string;
  readonly view?: View;
  readonly cursor?: string;
  readonly token?: string;
}

export interface Mismatch {
  readonly type: "mismatch";
  readonly cursor: string;
  readonly own: readonly [number, number];
  readonly received: readonly [number, number];
}

/** A fault of a gateway or of its input, as it reports it (docs/operations.md). */
export interface Fault {
  readonly code: string;
  /** What is wrong and what to do, for people. */
  readonly text: string;
}

/** What a verifier says of one gateway: it compares what the gateway sends with the log. */
export interface CheckedGateway {
  readonly gateway: string;
  /** The cut time of the newest update that was compared, in log time. */
  readonly cut_ms: number;
  /** Updates that were compared, and how many of them were not as the log says. */
  readonly checked: number;
  readonly wrong: number;
  /** What is wrong with the newest one, as a rule and for people. Empty: nothing. */
  readonly rule: string;
  readonly text: string;
}

/** The last verdict of a verifier. */
export interface Verdict {
  readonly verifier: string;
  readonly gateways: readonly CheckedGateway[];
}

/** Calls to the application. */
export interface Listener {
  /** An update was applied, and its hash is that of the rows. */
  update(update: Update, replica: Replica): void;
  /** An update was applied, and counts or hash of the rows differ. It is reported; an image will follow. */
  mismatch(update: Update, own: Lanes, replica: Replica): void;
  /** The next update is an image. What is drawn stays until then, greyed. */
  reset(reason: string): void;
  /** A gateway serves this client from now on. */
  ready(ready: Ready): void;
  /** A verifier has compared what the gateways send with the log. */
  verdict(verdict: Verdict): void;
  /** The gateway's list of faults changed; empty: it says that all is well. */
  health(faults: readonly Fault[]): void;
}

/** What came of a message. */
export interface Handled {
  /** Whether the gateway showed by it that it serves this client. */
  readonly isSignOfLife: boolean;
  readonly event?: LinkEvent;
  readonly answer?: Mismatch;
}

const SIGN_OF_LIFE: Handled = { isSignOfLife: true };

/** Handles the messages of whichever connection is the present one, and holds the rows. */
export class MessageHandler {
  readonly replica = new Replica();
  readonly views: ViewportRequests;
  /** Of the gateway that serves, or served last. */
  faults: readonly Fault[] = [];
  private epoch = "";
  /** Only an image may be applied now. */
  private awaitsImage = true;
  /** The rows cannot be continued from any cursor. */
  private isForgotten = true;
  private readonly city: string;
  private readonly listener: Partial<Listener>;

  constructor(city: string, view: View, listener: Partial<Listener>) {
    this.city = city;
    this.listener = listener;
    this.views = new ViewportRequests(view);
  }

  /** Whether the rows match the hash of the last update. */
  get trusted(): boolean {
    return !this.isForgotten && !this.awaitsImage;
  }

  forget(): void {
    this.isForgotten = true;
  }

  hello(token: string | null): Hello {
    const cursor = this.isForgotten ? null : this.replica.cursor;
    const view = this.views.greet(cursor !== null);
    return {
      type: "hello",
      v: VERSION,
      city: this.city,
      ...(view && { view }),
      ...(cursor && { cursor: cursorText(cursor) }),
      ...(token !== null && { token }),
    };
  }

  /** Messages come from the connection on which the last hello was sent. */
  adopt(): void {
    this.views.adopt();
  }

  handle(message: ArrayBuffer | string): Handled {
    try {
      return typeof message === "string" ? this.control(message) : this.update(decodeUpdate(message));
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      console.error(`a message of the gateway could not be read: ${error.message}`);
      return { isSignOfLife: true, event: { type: "broken", forget: true, why: "unreadable" } };
    }
  }

  /** Types that this version does not know are ignored. */
  private control(text: string): Handled {
    const message = parsed(text);
    switch (message.type) {
      case "ready":
        return this.ready(message as unknown as Ready);
      case "drain":
      case "pending":
        return { isSignOfLife: true, event: { type: message.type } };
      case "health":
        this.setFaults(faultsOf(message));
        return SIGN_OF_LIFE;
      case "city_time":
        this.replica.cityTime = cityTimeOf(message);
        return SIGN_OF_LIFE;
      case "scenarios":
        this.replica.scenarios = scenariosOf(message);
        return SIGN_OF_LIFE;
      case "verdict":
        this.listener.verdict?.(verdictOf(message));
        return SIGN_OF_LIFE;
      case "reset":
        this.awaitsImage = true;
        this.listener.reset?.(String(message.reason));
        return SIGN_OF_LIFE;
      default:
        return SIGN_OF_LIFE;
    }
  }

  private ready(ready: Ready): Handled {
    this.epoch = ready.epoch;
    this.awaitsImage = ready.mode === "image";
    this.setFaults([]);
    this.replica.cityTime = REAL_TIME;
    this.replica.scenarios = NO_SCENARIOS;
    this.listener.ready?.(ready);
    return { isSignOfLife: true, event: { type: "ready" } };
  }

  private setFaults(faults: readonly Fault[]): void {
    if (faults.length === 0 && this.faults.length === 0) return;
    this.faults = faults;
    this.listener.health?.(faults);
  }

  private update(update: Update): Handled {
    // An update that cannot be applied does not show that an image will come.
    if (this.awaitsImage && !update.image) return { isSignOfLife: false };
    if (!this.views.isRequested(update.generation))
      throw new DecodeError(`view ${update.generation} was not requested`);
    const outcome = this.replica.apply(update, this.epoch);
    if (outcome.kind === "gap" || outcome.kind === "epoch") {
      const forget = outcome.kind === "epoch";
      return { isSignOfLife: true, event: { type: "broken", forget, why: "gap" } };
    }
    this.views.applied(update.generation);
    if (outcome.kind === "mismatch") return this.mismatch(update, outcome.own);
    this.awaitsImage = this.isForgotten = false;
    this.listener.update?.(update, this.replica);
    return { isSignOfLife: true, event: { type: "verified" } };
  }

  private mismatch(update: Update, { a, b }: Lanes): Handled {
    this.awaitsImage = this.isForgotten = true;
    this.listener.mismatch?.(update, { a, b }, this.replica);
    const cursor = cursorText(this.replica.cursor!);
    const received = [update.hashA, update.hashB] as const;
    const answer: Mismatch = { type: "mismatch", cursor, own: [a >>> 0, b >>> 0], received };
    return { isSignOfLife: true, answer, ...(update.image && { event: { type: "wrong_image" } }) };
  }
}

/** The type of a control message; null for an update, and for what is neither. */
export function typeOf(message: ArrayBuffer | string): unknown {
  if (typeof message !== "string") return null;
  try {
    return parsed(message).type;
  } catch {
    return null;
  }
}

/** Entries that are no fault are left out. */
function faultsOf({ faults }: { readonly faults?: unknown }): readonly Fault[] {
  return Array.isArray(faults) ? faults.filter(isFault) : [];
}

function isFault(fault: unknown): fault is Fault {
  if (typeof fault !== "object" || fault === null) return false;
  const { code, text } = fault as Partial<Fault>;
  return typeof code === "string" && typeof text === "string";
}

/** Entries that are no gateway are left out. */
function verdictOf({ verifier, gateways }: Control): Verdict {
  const found = Array.isArray(gateways) ? gateways.filter(isCheckedGateway) : [];
  return { verifier: String(verifier), gateways: found };
}

function isCheckedGateway(one: unknown): one is CheckedGateway {
  if (typeof one !== "object" || one === null) return false;
  const { gateway, cut_ms, checked, wrong, rule, text } = one as Partial<CheckedGateway>;
  const areTexts = [gateway, rule, text].every((each) => typeof each === "string");
  return areTexts && [cut_ms, checked, wrong].every((each) => typeof each === "number");
}

interface Control {
  readonly type?: unknown;
  readonly verifier?: unknown;
  readonly gateways?: unknown;
  readonly reason?: unknown;
  readonly faults?: unknown;
  readonly periods?: unknown;
  readonly under_way?: unknown;
}

function parsed(text: string): Control {
  try {
    const message: unknown = JSON.parse(text);
    if (typeof message === "object" && message !== null) return message;
  } catch {}
  throw new DecodeError(`no control message: ${text.slice(0, 80)}`);
}
