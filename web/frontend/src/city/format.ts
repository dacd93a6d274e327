// SPDX-License-Identifier: Apache-2.0
/** Numbers as people read them: thousands with a comma, a unit after a space. */

const THOUSANDS = new Intl.NumberFormat("en-US");
const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

export function count(n: number): string {
  return THOUSANDS.format(n);
}

/** hh:mm:ss of log time, on this reader's clock. */
export function clock(ms: number): string {
  return CLOCK.format(ms);
}

/** A cut is named by its log time to a tenth of a second. */
export function cutName(ms: number): string {
  return `${clock(ms)}.${Math.floor((ms % 1000) / 100)}`;
}

/** m:ss. */
export function span(ms: number): string {
  const s = Math.round(ms / 1000);
  return `${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")}`;
}

/** "0.18 s" below ten seconds (two decimals below one, one above), m:ss beyond. */
export function brief(ms: number): string {
  if (ms >= 9950) return span(ms);
  return `${(ms / 1000).toFixed(ms < 995 ? 2 : 1)} s`;
}

/** Age for a line that ticks: tenths up to a second, whole seconds beyond. */
export function age(ms: number): string {
  if (ms >= 59_500) return span(ms);
  const s = Math.max(ms, 0) / 1000;
  return `${s <= 1 ? Math.max(0.1, s).toFixed(1) : s < 3 ? s.toFixed(1) : Math.round(s)} s`;
}

/** A fare. */
export function dollars(cents: number): string {
  return `$${(cents / 100).toFixed(2)}`;
}

export function taxi(driver: number): string {
  return `t-${String(driver).padStart(4, "0")}`;
}
