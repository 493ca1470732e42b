/**
 * What the chapter takes from Python's `requests`: {@linkcode get}, and the two
 * ways in which a request fails.
 *
 * @module
 */

import { isGranted } from "./permissions.ts";
import { exemptLocalhost } from "./proxy.ts";
import { quote } from "./quote.ts";

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
export interface RequestOptions {
  /** Seconds for headers and body. */
  timeout: number;
  /** Gives it up at once. */
  signal: AbortSignal;
  /** Called when nobody listens there: whether it is worth asking again. */
  revive?: (url: string, signal: AbortSignal) => Promise<boolean>;
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

// As soon as this is loaded: the threads of a pool may not set variables.
exemptLocalhost();

/** What `fetch` says when a connection ends before an answer begins. */
const CLOSED = /closed before message completed|\(os error (54|104|1005[34])\)/;

/** What it says when nobody listens; the number, as the text may be Korean. */
const REFUSED = /\(os error (61|111|10061)\)/;

/** The most times that a request is made. */
const TRIES = 3;

/**
 * GET a URL.
 *
 * A server may close an idle connection just as it is used again. That is no
 * answer, so the request is made again, on a connection of its own (RFC 9110,
 * 9.2.2; RFC 9112, 9.3.1).
 *
 * @returns The answer, whatever its status, after redirects.
 * @throws {ConnectionError} When there is no whole answer in time, or it is too
 *   long.
 * @throws {DOMException} An `AbortError`, after `signal`.
 */
export async function get(
  url: string,
  { timeout, signal, revive }: RequestOptions,
): Promise<Reply> {
  const timer = AbortSignal.timeout(1000 * timeout);
  const either = AbortSignal.any([timer, signal]);
  for (let tries = 1;; tries++) {
    try {
      return await ask(url, either, tries > 1);
    } catch (error) {
      if (signal.aborted) throw new DOMException("Given up", "AbortError");
      if (error instanceof ConnectionError) throw error;
      if (timer.aborted) {
        throw new ConnectionError(`Timed out after ${timeout} s`);
      }
      const { message, cause } = error as Error;
      const what = cause instanceof Error ? cause.message : message;
      const again = tries < TRIES &&
        (CLOSED.test(what) ||
          REFUSED.test(what) && await revive?.(url, signal));
      if (!again) {
        throw new ConnectionError(`Connection error: ${explain(what)}`);
      }
    }
  }
}

async function ask(
  url: string,
  signal: AbortSignal,
  afresh: boolean,
): Promise<Reply> {
  using client = afresh
    ? Deno.createHttpClient({ poolMaxIdlePerHost: 0 })
    : null;
  const response = await follow(url, { signal, ...client && { client } });
  const { status, statusText } = response;
  const reason = statusText || "Unassigned"; // As IANA's registry has it.
  if (status === 200) {
    return { status, reason, content: await readBody(response) };
  }
  await response.body?.cancel();
  return { status, reason, content: new Uint8Array() };
}

/**
 * Fetch a URL, or what it leads to. `fetch` would follow a redirect to any host,
 * and on a terminal the runtime would ask for one that was not granted.
 */
async function follow(
  url: string,
  init: RequestInit & { client?: Deno.HttpClient },
): Promise<Response> {
  for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
    const response = await fetch(url, { ...init, redirect: "manual" });
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
function explain(what: string): string {
  return what
    .replace(/^.*client error \(\w+\): |^Fetch failed: /, "")
    .replace(/ \(os error \d+\)$/, "")
    .replace(/^Invalid URL: .*/s, "redirect to an invalid URL")
    .replace(/^error reading a body from connection$/, "incomplete body");
}
