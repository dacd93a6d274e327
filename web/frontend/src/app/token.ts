// SPDX-License-Identifier: Apache-2.0
/**
 * The token that this page was opened with: `#token=…`, also beside a city and a place, `#city=helsinki&token=…`. A
 * fragment is sent to no server. The token is removed from the address at once, so that it is in no screenshot and no
 * bookmark, and is kept for as long as the tab is open.
 */

import { decoded, keep, kept, replaceFragment } from "./safely";

const KEY = "taxistream.token";
const FRAGMENT = /[#&]token=([^&]+)/;

/** Take the token out of the address, if there is one, and return the one to use. */
export function token(): string | null {
  const given = FRAGMENT.exec(location.hash)?.[1];
  if (given !== undefined) {
    keep("session", KEY, decoded(given));
    replaceFragment(location.hash.replace(FRAGMENT, "").replace(/^[#&]*/, ""));
  }
  return kept("session", KEY);
}

/** Load the page again if its address gets another token. */
export function followAddress(): void {
  window.addEventListener("hashchange", () => {
    if (FRAGMENT.test(location.hash) && token() !== null) location.reload();
  });
}
