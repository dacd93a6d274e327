// SPDX-License-Identifier: Apache-2.0
/** What verifiers say: they compare what each gateway sends with the log. Pure functions. */

import type { CheckedGateway, Fault, Verdict } from "../stream";

export interface Heard {
  readonly verdict: Verdict;
  /** When it came, on the page's monotonic clock. */
  readonly at: number;
}

/** The last verdict of each verifier, by name. */
export type Verdicts = ReadonlyMap<string, Heard>;

export const NO_VERDICTS: Verdicts = new Map();
/** A verdict comes every second. After so long without, nothing is known any more. */
export const SILENT_MS = 5_000;
/** One object, so that nothing is drawn again while nothing is wrong. */
const NO_FAULTS: readonly Fault[] = [];

export function heard(verdicts: Verdicts, verdict: Verdict, at: number): Verdicts {
  return new Map(verdicts).set(verdict.verifier, { verdict, at });
}

/** The gateways of all verifiers that still speak, with who compared them. */
export function checkedNow(
  verdicts: Verdicts,
  now: number,
): readonly (CheckedGateway & { verifier: string })[] {
  return [...verdicts.values()]
    .filter(({ at }) => now - at < SILENT_MS)
    .flatMap(({ verdict }) => verdict.gateways.map((one) => ({ ...one, verifier: verdict.verifier })))
    .sort((a, b) => a.gateway.localeCompare(b.gateway, "en", { numeric: true }));
}

/** What is wrong with gateways, for the headline: one entry for each. */
export function verifierFaults(verdicts: Verdicts, now: number): readonly Fault[] {
  const wrong = checkedNow(verdicts, now).filter(({ rule }) => rule !== "");
  if (wrong.length === 0) return NO_FAULTS;
  return wrong.map(({ verifier, gateway, rule, text }) => ({
    code: "differs_from_log",
    text: `${gateway} does not send what the log says: found by ${verifier} (${rule}: ${text})`,
  }));
}

/** Verifiers that have spoken and do no longer. */
export function silent(verdicts: Verdicts, now: number): readonly string[] {
  return [...verdicts].filter(([, { at }]) => now - at >= SILENT_MS).map(([name]) => name);
}
