// SPDX-License-Identifier: Apache-2.0
/**
 * Finds out why a WebSocket does not open. Browsers do not say, so this asks the same address over HTTP: whether
 * something answers there distinguishes a wrong address from a refusal.
 */

import type { Problem } from "./problem.ts";

const ANSWER_MS = 3_000;
const DETAIL_CHARS_MAX = 300;

export type Fetch = (url: string, options: RequestInit) => Promise<Response>;

/** What is the matter with `url` (`ws://…` or `wss://…`); null if it is not known. Never throws. */
export async function diagnose(url: string, ask: Fetch = fetch): Promise<Problem | null> {
  try {
    return await diagnosed(new URL(url), ask);
  } catch {
    return null;
  }
}

async function diagnosed(socket: URL, ask: Fetch): Promise<Problem> {
  const secure = socket.protocol === "wss:";
  const where = `${socket.host}${socket.pathname}`;
  const found = await reach(httpUrl(socket, secure), ask);
  if (found.answer) return refused(where, found.answer);
  if (isOffline()) return { kind: "unreachable", text: "this device is offline" };
  const other = await reach(httpUrl(socket, !secure), ask);
  if (other.answer) {
    const text = secure
      ? "speaks no TLS: use ws:// instead of wss://"
      : "speaks TLS: use wss:// instead of ws://";
    return { kind: "unreachable", text: `the server at ${socket.host} ${text}` };
  }
  const why = found.why === "" ? "" : ` (${found.why})`;
  return { kind: "unreachable", text: `nothing answers at ${socket.host}${why}: no gateway listens there` };
}

interface Answer {
  /** 0: another origin's, which a browser does not show. */
  readonly status: number;
  readonly detail: string;
}

interface Reached {
  readonly answer: Answer | null;
  readonly why: string;
}

/** A browser lets a page read another origin's answer only if that allows it, but always shows that there is one. */
async function reach(url: string, ask: Fetch): Promise<Reached> {
  let why = "";
  for (const mode of ["cors", "no-cors"] as const) {
    try {
      const signal = AbortSignal.timeout(ANSWER_MS);
      const response = await ask(url, { mode, cache: "no-store", credentials: "omit", signal });
      return { answer: { status: response.status, detail: await detailOf(response) }, why };
    } catch (error) {
      why = causeOf(error);
    }
  }
  return { answer: null, why };
}

function refused(where: string, { status, detail }: Answer): Problem {
  const says = detail !== "" ? `: ${detail}` : status === 404 ? ", and says that nothing is there (404)" : "";
  const advice =
    detail !== ""
      ? ""
      : "; it may not be a gateway, not allow this page's origin, or be behind a proxy that does not forward WebSockets";
  return {
    kind: "refused",
    text: `a server answers at ${where}, but it does not open the socket${says}${advice}`,
  };
}

/** The sentence of a problem document, if it is one. */
async function detailOf(response: Response): Promise<string> {
  if (!response.headers.get("content-type")?.startsWith("application/problem+json")) return "";
  const { detail } = (await response.json()) as { detail?: unknown };
  return typeof detail === "string" ? detail.slice(0, DETAIL_CHARS_MAX) : "";
}

/** Node says what went wrong; browsers say "Failed to fetch" to everything. */
function causeOf(error: unknown): string {
  const { cause } = error as { cause?: unknown };
  return cause instanceof Error ? cause.message : "";
}

function httpUrl(socket: URL, secure: boolean): string {
  const url = new URL(socket);
  url.protocol = secure ? "https:" : "http:";
  url.search = "";
  const { origin } = globalThis.location ?? {};
  // Same-origin requests do not name their origin, but the socket's upgrade does.
  if (origin) url.searchParams.set("origin", origin);
  return url.href;
}

function isOffline(): boolean {
  return globalThis.navigator?.onLine === false;
}
