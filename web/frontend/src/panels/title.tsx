// SPDX-License-Identifier: Apache-2.0

import type { Actions } from "../app/actions";
import { IconButton } from "./glyphs";

/** The title of an open panel, with the button that closes it. */
export function Title({ actions, text }: { actions: Actions; text: string }) {
  return (
    <div class="row spread detail-title">
      <h2 class="mid">{text}</h2>
      <IconButton icon="close" label="Close" onClick={actions.closePanel} />
    </div>
  );
}
