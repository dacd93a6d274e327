// SPDX-License-Identifier: Apache-2.0
/**
 * The token that this page was opened with: `#token=…`, which is sent to no server. It is removed from the address at
 * once, so that it is in no screenshot and no bookmark, and is kept for as long as the tab is open.
 */

import { decoded, dropFragment, keep, kept } from "./safely";

const KEY = "taxistream.token";
const FRAGMENT = /^#token=(.+)$/;

/** Take the token out of the address, if there is one, and return the one to use. */
export function token(): string | null {
  const given = FRAGMENT.exec(location.hash)?.[1];
  if (given !== undefined) {
    keep("session", KEY, decoded(given));
    dropFragment();
  }
  return kept("session", KEY);
}

/** Load the page again if its address gets another token. */
export function followAddress(): void {
  window.addEventListener("hashchange", () => {
    if (FRAGMENT.test(location.hash) && token() !== null) location.reload();
  });
}
