// SPDX-License-Identifier: Apache-2.0
/** As much of a DOM as Preact needs to draw panels into, and as tests need to look at them and to click. */

import { render, type VNode } from "preact";

const TEXT = 3;

export class FakeNode {
  readonly childNodes: FakeNode[] = [];
  parentNode: FakeNode | null = null;
  readonly attributes = new Map<string, string>();
  readonly listeners = new Map<string, Set<(event: unknown) => void>>();
  readonly style: Record<string, unknown> = {};
  data = "";

  constructor(
    readonly localName: string,
    readonly nodeType = 1,
  ) {}

  get ownerDocument(): unknown {
    return fakeDocument;
  }

  get firstChild(): FakeNode | null {
    return this.childNodes[0] ?? null;
  }

  get nextSibling(): FakeNode | null {
    const siblings = this.parentNode?.childNodes ?? [];
    return siblings[siblings.indexOf(this) + 1] ?? null;
  }

  insertBefore(child: FakeNode, before: FakeNode | null): FakeNode {
    child.remove();
    const at = before === null ? this.childNodes.length : this.childNodes.indexOf(before);
    this.childNodes.splice(at, 0, child);
    child.parentNode = this;
    return child;
  }

  appendChild(child: FakeNode): FakeNode {
    return this.insertBefore(child, null);
  }

  removeChild(child: FakeNode): void {
    child.remove();
  }

  remove(): void {
    const siblings = this.parentNode?.childNodes;
    siblings?.splice(siblings.indexOf(this), 1);
    this.parentNode = null;
  }

  contains(other: FakeNode | null): boolean {
    return other !== null && (other === this || this.contains(other.parentNode));
  }

  setAttribute(name: string, value: unknown): void {
    this.attributes.set(name, String(value));
  }

  removeAttribute(name: string): void {
    this.attributes.delete(name);
  }

  addEventListener(type: string, listener: (event: unknown) => void): void {
    const some = this.listeners.get(type) ?? new Set();
    this.listeners.set(type, some.add(listener));
  }

  removeEventListener(type: string, listener: (event: unknown) => void): void {
    this.listeners.get(type)?.delete(listener);
  }

  // --- what tests use

  get text(): string {
    if (this.nodeType === TEXT) return this.data;
    return this.childNodes.map(({ text }) => text).join("");
  }

  /** This node and all below it, in document order. */
  *all(): Iterable<FakeNode> {
    yield this;
    for (const child of this.childNodes) yield* child.all();
  }

  /** Elements of a name, or with a class (".name"). */
  find(selector: string): FakeNode[] {
    const wanted = selector.slice(1);
    const matches = selector.startsWith(".")
      ? (node: FakeNode) => (node.attributes.get("class") ?? "").split(" ").includes(wanted)
      : (node: FakeNode) => node.localName === selector;
    return [...this.all()].filter((node) => node.nodeType !== TEXT && matches(node));
  }

  /** The button with this text or label. */
  button(name: string): FakeNode {
    const found = this.find("button").find(
      (node) => node.text === name || node.attributes.get("aria-label") === name,
    );
    if (!found) throw new Error(`no button "${name}" in: ${this.text}`);
    return found;
  }

  click(): void {
    this.dispatch("click");
  }

  dispatch(type: string, more: object = {}): void {
    const event = { type, target: this, currentTarget: this, preventDefault: () => {}, ...more };
    for (const listener of this.listeners.get(type) ?? []) listener.call(this, event);
  }
}

const fakeDocument = {
  createElement: (name: string) => new FakeNode(name),
  createElementNS: (_: string, name: string) => new FakeNode(name),
  createTextNode: (text: string) => {
    const node = new FakeNode("#text", TEXT);
    node.data = text;
    return node;
  },
};

/** Draw a panel. Preact draws it again after a change; `settled` waits for that. */
export function draw(panel: VNode): FakeNode {
  const box = new FakeNode("div");
  render(panel, box as unknown as Element);
  return box;
}

/** Wait until Preact has drawn what changed. */
export async function settled(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise((done) => setTimeout(done, 0));
}
