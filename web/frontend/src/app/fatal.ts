// SPDX-License-Identifier: Apache-2.0
/**
 * Uncaught errors. Before the page is drawn they end it, and the reason is shown in its place; later the headline
 * shows it. Imported first, so that it catches errors of all other modules.
 */

import { errorWords } from "./error_words";

type Report = (words: string) => void;

let report: Report = showFatal;

/** From now on errors are reported to `then`. */
export function reportErrorsTo(then: Report): void {
  report = then;
}

/** Show the reason in the place of the page. */
export function showFatal(words: string): void {
  const box = document.createElement("div");
  box.className = "stopped";
  box.setAttribute("role", "alert");
  const title = document.createElement("h1");
  title.textContent = "This page could not start";
  const reason = document.createElement("p");
  reason.textContent = words;
  const advice = document.createElement("p");
  advice.textContent = "Reload it, or try another browser. The figures are also at ";
  const link = document.createElement("a");
  link.href = "api/status";
  link.textContent = "/api/status";
  advice.append(link, ".");
  box.append(title, reason, advice);
  document.body.replaceChildren(box);
}

/** Browsers report this without harm when a box is resized twice in a frame. */
const HARMLESS = /ResizeObserver loop/;

window.addEventListener("error", (event) => {
  // Resources that fail to load have no error, and scripts that others put into the page are not ours.
  const ours = event.filename === "" || event.filename.startsWith(location.origin);
  if (event.message && ours && !HARMLESS.test(event.message)) report(event.message);
});
window.addEventListener("unhandledrejection", ({ reason }) => report(errorWords(reason)));
