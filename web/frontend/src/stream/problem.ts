// SPDX-License-Identifier: Apache-2.0
/** Why no connection to a gateway serves, as far as a client can know. */

export interface Problem {
  readonly kind: ProblemKind;
  /** One sentence for people, without a full stop. */
  readonly text: string;
}

export type ProblemKind =
  /** The connection never opened, and nothing more is known: browsers do not say why. */
  | "unopened"
  /** Diagnosed: nothing answers at that address. */
  | "unreachable"
  /** Diagnosed: a server answers there, but it does not open the socket. */
  | "refused"
  /** This browser or program does not allow the connection at all. */
  | "blocked"
  /** No answer within the time limit. */
  | "silent"
  /** The gateway has not reached this client's cursor. */
  | "pending"
  /** The connection was lost, or the gateway closed it. */
  | "closed"
  /** A message that could not be read, or that does not continue the rows. */
  | "unreadable"
  | "no token";

/** Whether more is known than that the connection does not open. */
export function isDiagnosed({ kind }: Problem): boolean {
  return kind === "unreachable" || kind === "refused" || kind === "blocked";
}

const CLOSED: Record<number, string> = {
  1006: "the connection was lost",
  1012: "the gateway restarts",
  4001: "the gateway leaves, or has not caught up",
  4002: "this client read too slowly",
  4008: "the gateway did not understand this client",
  4010: "the gateway did not expect what this client said",
  4029: "too many connections or messages from here",
};

/** A close code in words (docs/protocol.md). */
export function closedText(code: number, reason: string): string {
  const words = CLOSED[code];
  if (words !== undefined) return words;
  return `the gateway closed the connection: ${code}${reason === "" ? "" : `, ${reason}`}`;
}
