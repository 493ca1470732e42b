/**
 * What the chapter takes from Python's `requests`: {@linkcode get}, and the two
 * ways in which a request fails.
 *
 * @module
 */

import { quote } from "./argparse.ts";

/** An answer other than 200 OK (RFC 9110, 15.3.1), after redirects. */
export class HTTPError extends Error {
  static {
    this.prototype.name = "HTTPError";
  }

  /** Both are the answer's; no error says what a server may have said beside. */
  constructor(readonly status: number, readonly reason: string) {
    super(`${status} ${reason}`);
  }
}

/** No whole answer, or none in time; the message says why. */
export class ConnectionError extends Error {
  static {
    this.prototype.name = "ConnectionError";
  }
}

/** An answer. */
export interface Reply {
  /** Status code. */
  status: number;
  /** The standard's phrase for it: `fetch` hides the server's own. */
  reason: string;
  /** The body, decoded; empty unless `status` is 200. */
  content: Uint8Array<ArrayBuffer>;
}

/** When a request is given up. */
export interface Limits {
  /** Seconds for headers and body. */
  timeout: number;
  /** Gives it up at once. */
  signal: AbortSignal;
}

/** The content codings that `fetch` undoes; it hands out others as they are. */
const DECODED = /^(identity|gzip|br)$/i;

/**
 * GET a URL.
 *
 * @returns The answer, whatever its status, after redirects.
 * @throws {ConnectionError} When there is no whole answer in time.
 * @throws {DOMException} An `AbortError`, after `signal`.
 */
export async function get(
  url: string,
  { timeout, signal }: Limits,
): Promise<Reply> {
  const timer = AbortSignal.timeout(1000 * timeout);
  try {
    const response = await fetch(url, {
      signal: AbortSignal.any([timer, signal]),
    });
    const { status, statusText, headers } = response;
    const reason = statusText || "Unassigned"; // As IANA's registry has it.
    if (status !== 200) {
      await response.body?.cancel();
      return { status, reason, content: new Uint8Array() };
    }
    const coding = headers.get("content-encoding") ?? "identity";
    if (DECODED.test(coding)) {
      return { status, reason, content: await response.bytes() };
    }
    await response.body?.cancel();
    throw new ConnectionError(`Unknown content coding: ${quote(coding)}`);
  } catch (error) {
    if (signal.aborted) throw new DOMException("Given up", "AbortError");
    if (error instanceof ConnectionError) throw error;
    if (timer.aborted) {
      throw new ConnectionError(`Timed out after ${timeout} s`);
    }
    throw new ConnectionError(`Connection error: ${explain(error)}`);
  }
}

/** Why `fetch` failed, less the addresses and layers that it names first. */
function explain(error: unknown): string {
  const { message, cause } = error as Error;
  return (cause instanceof Error ? cause.message : message)
    .replace(/^.*client error \(\w+\): |^Fetch failed: /, "")
    .replace(/ \(os error \d+\)$/, "")
    .replace(/^Invalid URL: .*/s, "redirect to an invalid URL")
    .replace(/^error reading a body from connection$/, "incomplete body");
}
