// SPDX-License-Identifier: Apache-2.0
/** Numbers as people read them: thousands with a comma, a unit after a space. */

/** A browser may not know the system's time zone, or not have the locale's data: then it throws. */
const THOUSANDS = made(() => new Intl.NumberFormat("en-US"));
const CLOCK = made(
  () => new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" }),
);

function made<T>(formatter: () => T): T | null {
  try {
    return formatter();
  } catch {
    return null;
  }
}

export function count(n: number): string {
  return THOUSANDS?.format(n) ?? String(n);
}

/** hh:mm:ss of log time, on this reader's clock; of a time that is none, a dash. */
export function clock(ms: number): string {
  try {
    return CLOCK?.format(ms) ?? new Date(ms).toISOString().slice(11, 19);
  } catch {
    return "–";
  }
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

/** An age that is shown as it grows: tenths up to a second, whole seconds beyond. */
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
