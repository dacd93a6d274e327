// SPDX-License-Identifier: Apache-2.0

/** An error in words. */
export function errorWords(error: unknown): string {
  if (error instanceof Error) return error.message === "" ? error.name : `${error.name}: ${error.message}`;
  return String(error ?? "unknown error");
}
