// SPDX-License-Identifier: Apache-2.0
/**
 * The token that this page was opened with: `#token=…`, where no server ever sees it. It goes out of the address at
 * once, so that it is in no screenshot and no bookmark, and is kept for as long as the tab is open.
 */

const KEY = "taxistream.token";
const FRAGMENT = /^#token=(.+)$/;

/** Take the token out of the address, if there is one, and answer the one to use. */
export function token(): string | null {
  const told = FRAGMENT.exec(location.hash)?.[1];
  if (told !== undefined) {
    sessionStorage.setItem(KEY, decodeURIComponent(told));
    history.replaceState(history.state, "", location.pathname + location.search);
  }
  return sessionStorage.getItem(KEY);
}

/** Another token in the address of an open page: begin anew with it. */
export function followAddress(): void {
  window.addEventListener("hashchange", () => {
    if (FRAGMENT.test(location.hash) && token() !== null) location.reload();
  });
}
