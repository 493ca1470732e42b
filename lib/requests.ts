/**
 * The parts of Python's `requests` that the chapter uses: {@linkcode get}, and the two
 * ways in which a request fails.
 *
 * @module
 */

import { delay } from "@std/async/delay";
import { isGranted, readVariable } from "./permissions.ts";

/** An answer other than 200 OK (RFC 9110, 15.3.1), after redirects. */
export class HTTPError extends Error {
  /** Status code and reason phrase of the answer. */
  constructor(readonly status: number, readonly reason: string) {
    super(`${status} ${reason}`);
  }
}
HTTPError.prototype.name = "HTTPError";

/** A request without a usable answer in time; the message says why. */
export class ConnectionError extends Error {}
ConnectionError.prototype.name = "ConnectionError";

/** What `get` returns, for any status. */
export interface Reply {
  /** Status code. */
  status: number;
  /** The standard's phrase for the status: `fetch` hides the server's own. */
  reason: string;
  /** The body, decoded; empty unless `status` is 200. */
  content: Uint8Array<ArrayBuffer>;
}

/** Options of a request. */
export interface RequestOptions {
  /** Seconds for the whole request: headers and body, redirects and retries. */
  timeout: number;
  /** Aborts the request. */
  signal: AbortSignal;
  /** Called if a connection is refused; resolves to true if a server listens now. */
  restartServer?: (url: string, signal: AbortSignal) => Promise<boolean>;
}

/** Matches resets (their texts are localized), and errors on an open connection. */
const LOST =
  /^(fetch failed|error sending)(?!.*client error \(Connect\))|\(os error (54|104|1005[34])\)$/s;

/** Matches a refused connection, and its URL, which may be that of a redirect. */
const REFUSED = / for url \((\S+)\): .*\(os error (?:61|111|10061)\)/s;

/** The most tries, and the most bytes of a body, decoded. */
const MAX_TRIES = 3, MAX_BYTES = 16 * 1024 * 1024;

/**
 * GET a URL.
 *
 * @returns The answer, whatever its status, after redirects.
 * @throws {ConnectionError} If no complete answer arrives in time, or one over 16 MB.
 * @throws {DOMException} An `AbortError`, if `signal` is aborted.
 */
export async function get(
  url: string,
  options: RequestOptions,
): Promise<Reply> {
  const { timeout, signal } = options;
  if (signal.aborted) throw new DOMException("Aborted", "AbortError");
  const timer = AbortSignal.timeout(1000 * timeout);
  const either = AbortSignal.any([timer, signal]);
  try {
    const response = await fetchWithRetries(url, options, either);
    const { status, statusText } = response;
    const reason = statusText || "Unassigned"; // The name in IANA's registry.
    if (status === 200) {
      return { status, reason, content: await readBody(response) };
    }
    await response.body?.cancel();
    return { status, reason, content: new Uint8Array() };
  } catch (error) {
    if (signal.aborted) throw new DOMException("Aborted", "AbortError");
    if (error instanceof ConnectionError) throw error;
    if (timer.aborted) {
      throw new ConnectionError(`Timed out after ${timeout} s`);
    }
    throw new ConnectionError(`Connection error: ${explain(error)}`);
  }
}

/**
 * Fetch a URL, and retry if the connection failed before an answer (RFC 9110, 9.2.2) or
 * the answer is 408 (15.5.9). Both happen if a server closes an idle connection just as
 * the client reuses it. Each retry has its own connection, because other idle ones may
 * be dead, too.
 */
async function fetchWithRetries(
  url: string,
  { restartServer }: RequestOptions,
  signal: AbortSignal,
): Promise<Response> {
  for (let tries = 1, refusals = 0;;) {
    const ownConnection = { poolMaxIdlePerHost: 0 };
    using client = tries > 1 ? Deno.createHttpClient(ownConnection) : null;
    try {
      const response = await fetch(url, { signal, ...client && { client } });
      if (response.status !== 408 || tries++ === MAX_TRIES) return response;
      await response.body?.cancel();
    } catch (error) {
      const said = `${(error as Error).message} ${reasonOf(error)}`;
      const [, refused] = said.match(REFUSED) ?? [];
      const mayRetry = refused
        ? refusals++ < 10 && await restartServer?.(refused, signal)
        : LOST.test(said) && tries++ < MAX_TRIES;
      if (signal.aborted || !mayRetry) throw error;
      if (refused) await delay(20);
    }
  }
}

/** Read and decode the body. */
async function readBody(response: Response): Promise<Uint8Array<ArrayBuffer>> {
  const { body, headers } = response;
  // Reading at once is faster than by chunks, if the length can be trusted.
  const length = Number(headers.get("content-length") ?? Infinity);
  const isPlain = !/^(gzip|br)$/i.test(headers.get("content-encoding") ?? "") &&
    !headers.has("transfer-encoding");
  if (isPlain && length <= MAX_BYTES) {
    const bytes = await response.bytes();
    // On HTTP/2 the body just ends if the server resets the stream.
    if (bytes.length < length) throw new TypeError("incomplete body");
    return bytes;
  }
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let size = 0;
  for await (const chunk of body ?? []) {
    size += chunk.length;
    if (size > MAX_BYTES) throw new ConnectionError("Body larger than 16 MB");
    chunks.push(chunk.slice()); // A copy frees the large buffer behind the chunk.
  }
  return await new Blob(chunks).bytes();
}

/** Return the message of `fetch` without the names of its layers. */
function reasonOf(error: unknown): string {
  const { message, cause } = error as Error;
  return cause instanceof Error ? cause.message : message;
}

/** Explain to the user why a request failed. */
function explain(error: unknown): string {
  return reasonOf(error)
    .replace(/^.*client error \(\w+\): |^Fetch failed: /, "")
    .replace(/ \(os error \d+\)$/, "")
    .replace(/^Invalid URL\b.*/s, "invalid URL, or a redirect to one")
    .replace(
      /^.*(close_notify|message completed|not a result of an error|broken pipe|dispatch task).*$/,
      "the server closed the connection",
    )
    .replace(
      /^invalid peer certificate: (?:.*\()?(\w+)\)*$/,
      "the server's certificate cannot be trusted: $1",
    )
    .replace(/^error reading a body from connection$/, "incomplete body");
}

/**
 * Make localhost bypass any proxy set in the environment. Call this before the first
 * `fetch`, which is when the runtime reads NO_PROXY; threads started later inherit the
 * setting. Without permission to set NO_PROXY, nothing changes.
 */
export function exemptLocalhost(): void {
  if (!isGranted({ name: "env", variable: "NO_PROXY" })) return;
  const exempt = readVariable("NO_PROXY") ?? readVariable("no_proxy");
  const localhost = "localhost,127.0.0.0/8,::1";
  if (exempt?.endsWith(localhost)) return;
  Deno.env.set("NO_PROXY", exempt ? `${exempt},${localhost}` : localhost);
}
