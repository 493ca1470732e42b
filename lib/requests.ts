/**
 * What the chapter takes from Python's `requests`: {@linkcode get}, and the two
 * ways in which a request fails.
 *
 * @module
 */

import { quote } from "./argparse.ts";
import { isGranted } from "./permissions.ts";
import { exemptLocalhost } from "./proxy.ts";

/** An answer other than 200 OK (RFC 9110, 15.3.1), after redirects. */
export class HTTPError extends Error {
  static {
    this.prototype.name = "HTTPError";
  }

  /** Both are those of the answer. */
  constructor(readonly status: number, readonly reason: string) {
    super(`${status} ${reason}`);
  }
}

/** No whole answer, or none in time; the message says why. */
export class ConnectionError extends Error {
  static {
    this.prototype.name = "ConnectionError";
  }

  /** With `isGone` there was no server, or one that went before it answered. */
  constructor(message: string, readonly isGone = false) {
    super(message);
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

/** The statuses that lead to another URL (RFC 9110, 15.4). */
const REDIRECTS = [301, 302, 303, 307, 308];

/** A request follows no more of them. */
const MAX_REDIRECTS = 20;

/** A body is no longer than this, decoded. */
const MAX_BYTES = 64 * 1024 * 1024;

/** The content codings that are undone: x-gzip here, the others by `fetch`. */
const DECODED = /^(gzip|br|x-gzip)$/i;

/** What servers send for no coding at all. */
const NO_CODING = /^(identity|none|)$/i;

/** What `fetch` says of a server that is not there, or no longer. */
const GONE = /refused|reset|connection closed before message completed/;

// As soon as this is loaded: the threads of a pool may not set variables.
exemptLocalhost();

/**
 * GET a URL.
 *
 * @returns The answer, whatever its status, after redirects.
 * @throws {ConnectionError} When there is no whole answer in time, or it is too
 *   long.
 * @throws {DOMException} An `AbortError`, after `signal`.
 */
export async function get(
  url: string,
  { timeout, signal }: Limits,
): Promise<Reply> {
  const timer = AbortSignal.timeout(1000 * timeout);
  try {
    const response = await follow(url, AbortSignal.any([timer, signal]));
    const { status, statusText } = response;
    const reason = statusText || "Unassigned"; // As IANA's registry has it.
    if (status === 200) {
      return { status, reason, content: await readBody(response) };
    }
    await response.body?.cancel();
    return { status, reason, content: new Uint8Array() };
  } catch (error) {
    if (signal.aborted) throw new DOMException("Given up", "AbortError");
    if (error instanceof ConnectionError) throw error;
    if (timer.aborted) {
      throw new ConnectionError(`Timed out after ${timeout} s`);
    }
    const why = explain(error);
    throw new ConnectionError(`Connection error: ${why}`, GONE.test(why));
  }
}

/**
 * Fetch a URL, or what it leads to. `fetch` would follow a redirect to any host,
 * and on a terminal the runtime would ask for one that was not granted.
 */
async function follow(url: string, signal: AbortSignal): Promise<Response> {
  for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
    const response = await fetch(url, { signal, redirect: "manual" });
    if (!REDIRECTS.includes(response.status)) return response;
    const location = response.headers.get("location");
    if (location === null) return response;
    await response.body?.cancel();
    const { href, protocol, hostname, port } = new URL(location, url);
    if (!/^https?:$/.test(protocol)) {
      throw new TypeError("Can not redirect to a non HTTP(s) url");
    }
    const host = `${hostname}:${port || (protocol === "http:" ? 80 : 443)}`;
    if (!isGranted({ name: "net", host })) {
      throw new TypeError(`redirect to ${host}, which was not granted`);
    }
    url = href;
  }
  throw new TypeError(`Maximum number of redirects (${MAX_REDIRECTS}) reached`);
}

/** The body, decoded. */
async function readBody(response: Response): Promise<Uint8Array<ArrayBuffer>> {
  const { body, headers } = response;
  const coding = headers.get("content-encoding") ?? "";
  const isCoded = DECODED.test(coding);
  if (!isCoded && !NO_CODING.test(coding)) {
    await body?.cancel();
    throw new ConnectionError(`Unknown content coding: ${quote(coding)}`);
  }
  // In one go is faster than chunk by chunk, where the length can be trusted.
  const length = Number(headers.get("content-length") ?? Infinity);
  const isPlain = !isCoded && !headers.has("transfer-encoding");
  if (isPlain && length <= MAX_BYTES) return await response.bytes();
  const decoded = /^x-gzip$/i.test(coding)
    ? body?.pipeThrough(new DecompressionStream("gzip"))
    : body;
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let size = 0;
  for await (const chunk of decoded ?? []) {
    size += chunk.length;
    if (size > MAX_BYTES) throw new ConnectionError("Body larger than 64 MB");
    chunks.push(chunk.slice()); // Less the large buffer that it is a part of.
  }
  return await new Blob(chunks).bytes();
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
