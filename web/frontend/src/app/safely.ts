// SPDX-License-Identifier: Apache-2.0
/**
 * Browser features that may be missing, or throw: with cookies blocked, in a private window, in a sandboxed frame,
 * under a strict policy. Each has an answer that lets the page go on.
 */

export type Place = "session" | "local";

/** What a browser that keeps nothing would forget at once: it is remembered while the page is open. */
const remembered = new Map<string, string>();

/** What was kept under a name. */
export function kept(place: Place, key: string): string | null {
  return remembered.get(`${place} ${key}`) ?? attempt(() => storage(place).getItem(key), null);
}

export function keep(place: Place, key: string, value: string): void {
  const stored = attempt(() => {
    storage(place).setItem(key, value);
    return true;
  }, false);
  if (!stored) remembered.set(`${place} ${key}`, value);
}

/** To look at this property is enough to raise a SecurityError. */
function storage(place: Place): Storage {
  return place === "session" ? sessionStorage : localStorage;
}

/** Whether the window matches a media query, now and whenever that changes. `otherwise`: without media queries. */
export function followMedia(query: string, otherwise: () => boolean, then: (matches: boolean) => void): void {
  const followed = attempt(() => {
    const media = matchMedia(query);
    media.addEventListener("change", () => then(media.matches));
    then(media.matches);
    return true;
  }, false);
  if (followed) return;
  then(otherwise());
  window.addEventListener("resize", () => then(otherwise()));
}

export function matchesMedia(query: string): boolean {
  return attempt(() => matchMedia(query).matches, false);
}

/** Calls `then` whenever the box has another size, until the returned function is called. */
export function followSize(box: HTMLElement, then: () => void): () => void {
  const observer = attempt(() => {
    const made = new ResizeObserver(then);
    made.observe(box);
    return made;
  }, null);
  if (observer) return () => observer.disconnect();
  window.addEventListener("resize", then);
  return () => window.removeEventListener("resize", then);
}

/** Some random 32-bit numbers. They name things and need not be secret. */
export function randomWords(n: number): number[] {
  const words = attempt(() => [...crypto.getRandomValues(new Uint32Array(n))], null);
  return words ?? Array.from({ length: n }, () => Math.floor(Math.random() * 2 ** 32));
}

/** Give the address another fragment, or none if it is empty. A browser may refuse: then the address stays. */
export function replaceFragment(fragment: string): void {
  const address = location.pathname + location.search + (fragment && `#${fragment}`);
  attempt(() => history.replaceState(history.state, "", address), undefined);
}

/** Percent-decoded, or as it is if it is not encoded properly. */
export function decoded(text: string): string {
  return attempt(() => decodeURIComponent(text), text);
}

/** The result of `call`, or `otherwise` if it throws. */
export function attempt<T, U>(call: () => T, otherwise: U): T | U {
  try {
    return call();
  } catch {
    return otherwise;
  }
}
