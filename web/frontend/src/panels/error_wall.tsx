// SPDX-License-Identifier: Apache-2.0
/** Shown in the place of all panels if one of them has an error: what they showed before may be out of date. */

import { Component, type ComponentChildren } from "preact";
import { errorWords } from "../app/error_words";
import type { Store } from "../app/store";

interface Props {
  readonly store: Store;
  readonly children: ComponentChildren;
}

export class ErrorWall extends Component<Props, { error: unknown }> {
  override state = { error: null as unknown };

  override componentDidCatch(error: unknown): void {
    console.error("a panel stopped:", error);
    this.props.store.pageError.value ??= errorWords(error);
    this.setState({ error });
  }

  override render() {
    const { error } = this.state;
    if (error === null) return this.props.children;
    return (
      <div class="layout">
        <div class="top">
          <div class="panel head banner" role="alert">
            <div>
              <h1>This page stopped because of an error in it</h1>
              <p class="note">{errorWords(error)} · what the map shows may be wrong · reload the page</p>
            </div>
          </div>
        </div>
      </div>
    );
  }
}
