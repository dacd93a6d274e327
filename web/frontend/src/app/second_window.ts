// SPDX-License-Identifier: Apache-2.0
/** A second window of the same page: how it is opened, and how windows say their hashes to each other. */

import { readSeen, reduceWindows, type Seen } from "../city/windows";
import { attempt, randomWords } from "./safely";
import type { Store } from "./store";

const CHANNEL = "taxistream.hashes";

/** Opens this page a second time, in a window of its own beside this one where the browser allows that. */
export function openSecondWindow(): void {
  const width = Math.round(attempt(() => screen.availWidth, 1_600) / 2);
  const height = attempt(() => screen.availHeight, 1_000);
  const size = `popup,width=${width},height=${height},left=${width},top=0`;
  attempt(() => window.open(location.href, "_blank", size), null);
}

/** The part of a BroadcastChannel that is used. */
export interface Channel {
  postMessage(message: unknown): void;
  onmessage: ((event: { readonly data: unknown }) => void) | null;
  close(): void;
}

/** Says each verified update to the other windows of this browser, and compares what they say. */
export class WindowComparison {
  private readonly id = randomWords(2).join("-");
  /** Null where the browser has none. */
  private readonly channel: Channel | null;

  constructor(
    private readonly store: Store,
    private readonly now: () => number = () => performance.now(),
    open: () => Channel = () => new BroadcastChannel(CHANNEL) as Channel,
  ) {
    this.channel = attempt(open, null);
    if (this.channel) this.channel.onmessage = ({ data }) => this.hear(data);
  }

  say(update: Omit<Seen, "id">): void {
    if (this.channel === null) return;
    const { store, id, channel } = this;
    const seen = { id, ...update };
    store.windows.value = reduceWindows(store.windows.value, { type: "own", seen });
    attempt(() => channel.postMessage(seen), undefined);
  }

  close(): void {
    attempt(() => this.channel?.close(), undefined);
  }

  private hear(data: unknown): void {
    const seen = readSeen(data);
    if (seen === null || seen.id === this.id) return;
    const { windows } = this.store;
    windows.value = reduceWindows(windows.value, { type: "other", seen, at: this.now() });
  }
}
