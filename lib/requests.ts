/**
 * What the chapter takes from Python's `requests`: {@linkcode get}, and the two
 * ways in which a request fails; and which hosts need no proxy.
 *
 * @module
 */

import { isGranted } from "./permissions.ts";
import { quote } from "./terminal.ts";

/** An answer other than 200 OK (RFC 9110, 15.3.1), after redirects. */
export class HTTPError extends Error {
  /** Both are those of the answer. */
  constructor(readonly status: number, readonly reason: string) {
    super(`${status} ${reason}`);
  }
}
HTTPError.prototype.name = "HTTPError";

/** No whole answer, or none in time; the message says why. */
export class ConnectionError extends Error {}
ConnectionError.prototype.name = "ConnectionError";

/** An answer. */
export interface Reply {
  /** Status code. */
  status: number;
  /** The standard's phrase for it: `fetch` hides the server's own. */
  reason: string;
  /** The body, decoded; empty unless `status` is 200. */
  content: Uint8Array<ArrayBuffer>;
}

/** How a request is made. */
export interface RequestOptions {
  /** Seconds for all of it: headers and body, redirects and further tries. */
  timeout: number;
  /** Gives it up at once. */
  signal: AbortSignal;
  /** Asked when nobody listens at the URL: whether somebody does now. */
  revive?: ((url: string, signal: AbortSignal) => Promise<boolean>) | undefined;
}

/** The most tries when connections close, redirects, and bytes of a body, decoded. */
const MAX_TRIES = 3, MAX_REDIRECTS = 20, MAX_BYTES = 16 * 1024 * 1024;

/**
 * What `fetch` says of a connection that was closed before an answer began. Of
 * what the system says only the number counts: the text is in the user's language.
 */
const CLOSED =
  /closed before message completed|\(os error (32|54|104|10053|10054)\)/;

/**
 * Reach localhost without a proxy that the environment may name, from now on and
 * on threads that are started later: none knows the servers of this machine. The
 * runtime reads NO_PROXY at a thread's first `fetch`; it stays as it is without
 * the permission to set it.
 */
export function exemptLocalhost(): void {
  const granted = ["NO_PROXY", "no_proxy"]
    .filter((variable) => isGranted({ name: "env", variable }));
  if (granted[0] !== "NO_PROXY") return;
  const [exempt] = granted.flatMap((name) => Deno.env.get(name) ?? []);
  const localhost = "localhost,127.0.0.0/8,::1";
  if (exempt?.endsWith(localhost)) return;
  Deno.env.set("NO_PROXY", exempt ? `${exempt},${localhost}` : localhost);
}

/**
 * GET a URL.
 *
 * @returns The answer, whatever its status, after redirects.
 * @throws {ConnectionError} When no whole answer comes in time, or too long a one.
 * @throws {DOMException} An `AbortError`, after `signal`.
 */
export async function get(
  url: string,
  options: RequestOptions,
): Promise<Reply> {
  const { timeout, signal } = options;
  const timer = AbortSignal.timeout(1000 * timeout);
  const either = AbortSignal.any([timer, signal]);
  try {
    const response = await follow(url, { ...options, signal: either });
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
    throw new ConnectionError(`Connection error: ${explain(error)}`);
  }
}

/**
 * Fetch a URL, or what it leads to. `fetch` would follow a redirect to any host,
 * and on a terminal the runtime would ask for one that was not granted.
 */
async function follow(url: string, options: RequestOptions): Promise<Response> {
  for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
    const response = await ask(url, options);
    const location = response.headers.get("location");
    const isRedirect = [301, 302, 303, 307, 308].includes(response.status);
    if (!location || !isRedirect) return response; // RFC 9110, 15.4
    await response.body?.cancel();
    // What is not ASCII came as bytes, UTF-8 nearly always: they stay as they are.
    const bytes = location.replace(
      /[\x80-\xff]/g,
      (byte) => `%${byte.charCodeAt(0).toString(16).toUpperCase()}`,
    );
    const { href, protocol, hostname, port } = new URL(bytes, url);
    if (!/^https?:$/.test(protocol)) {
      throw new TypeError("Can not redirect to a non HTTP(s) url");
    }
    const host = `${hostname}:${port || (protocol === "http:" ? 80 : 443)}`;
    if (!isGranted({ name: "net", host })) {
      throw new TypeError(`redirect to ${quote(host)}, which was not granted`);
    }
    url = href;
  }
  throw new TypeError(`Maximum number of redirects (${MAX_REDIRECTS}) reached`);
}

/**
 * `fetch`, and again where there was no answer: a server may close an idle
 * connection just as it is used once more, unannounced or with a 408 (RFC 9110,
 * 9.2.2 and 15.5.9; RFC 9112, 9.3.1). The next try has a connection of its own,
 * as other idle ones may be dead, too.
 */
async function ask(url: string, options: RequestOptions): Promise<Response> {
  const { signal, revive } = options;
  const ownConnection = { poolMaxIdlePerHost: 0 };
  for (let tries = 1;;) {
    using client = tries > 1 ? Deno.createHttpClient(ownConnection) : null;
    try {
      const init = { signal, redirect: "manual", ...client && { client } };
      const response = await fetch(url, init as RequestInit);
      if (response.status !== 408 || tries === MAX_TRIES) return response;
      await response.body?.cancel();
      tries++;
    } catch (error) {
      const why = reasonOf(error);
      const isRefused = /\(os error (61|111|10061)\)/.test(why); // Nobody listens.
      if (CLOSED.test(why) && tries < MAX_TRIES) tries++;
      else if (!(isRefused && await revive?.(url, signal))) throw error;
    }
  }
}

/** The body, decoded. */
async function readBody(response: Response): Promise<Uint8Array<ArrayBuffer>> {
  const { body, headers } = response;
  const coding = headers.get("content-encoding") ?? "";
  // In one go is faster than chunk by chunk, where the length can be trusted.
  const length = Number(headers.get("content-length") ?? Infinity);
  // These codings are undone: x-gzip here, the others by `fetch`.
  const isPlain = !/^(gzip|br|x-gzip)$/i.test(coding) &&
    !headers.has("transfer-encoding");
  if (isPlain && length <= MAX_BYTES) {
    const bytes = await response.bytes();
    // On HTTP/2 it just ends where the server has reset the stream.
    if (bytes.length < length) throw new TypeError("incomplete body");
    return bytes;
  }
  const decoded = /^x-gzip$/i.test(coding)
    ? body?.pipeThrough(new DecompressionStream("gzip"))
    : body;
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let size = 0;
  for await (const chunk of decoded ?? []) {
    size += chunk.length;
    if (size > MAX_BYTES) throw new ConnectionError("Body larger than 16 MB");
    chunks.push(chunk.slice()); // Less the large buffer that it is a part of.
  }
  return await new Blob(chunks).bytes();
}

/** What `fetch` says, less the layers that it names first. */
function reasonOf(error: unknown): string {
  const { message, cause } = error as Error;
  return cause instanceof Error ? cause.message : message;
}

/** Why a request failed, in words for its user. */
function explain(error: unknown): string {
  return reasonOf(error)
    .replace(/^.*client error \(\w+\): |^Fetch failed: /, "")
    .replace(/ \(os error \d+\)$/, "")
    .replace(/^Invalid URL\b.*/s, "invalid URL, or a redirect to one")
    .replace(
      /^invalid peer certificate: (?:.*\()?(\w+)\)*$/,
      "the server's certificate cannot be trusted: $1",
    )
    .replace(/^error reading a body from connection$/, "incomplete body");
}
