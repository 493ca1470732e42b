/**
 * A site that breaks what a server should keep to, on chosen codes: the tests'
 * own, on raw sockets, as an HTTP server is too polite for it.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { delay } from "@std/async/delay";
import { constants, deflateRawSync, gzipSync } from "node:zlib";
import { eventually, freePort, type TemporaryFolder } from "./testing.ts";

/** How a request is met; {@linkcode FaultSite} answers the others well. */
export type Fault = keyof typeof FAULTS;

/** What a fault has at hand. */
interface Exchange {
  /** The code that is asked for, in upper case. */
  cc: string;
  /** Send text (as Latin-1) and bytes. */
  send(...parts: Part[]): Promise<void>;
  /** Which request of its connection it is, from 1 on. */
  here: number;
  /** The site. */
  site: FaultSite;
}

/** Whether the connection takes another request; none comes without an answer. */
type Next = "keep" | "close";

type Part = string | Uint8Array;

/** A megabyte. */
const ZEROS = new Uint8Array(2 ** 20);

/** The end of {@linkcode flagOf}: an image of one point, and the trailer. */
const POINT = ",\0\0\0\0\x01\0\x01\0\0\x02\x02L\x01\0;";

/** Each letter as a byte. */
function latin1(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}

/**
 * The flag of a code on this site; no two are alike. It is a GIF whose comment,
 * in blocks of 128 bytes, holds the trailer's byte again and again.
 */
export function flagOf(cc: string): Uint8Array<ArrayBuffer> {
  const block = `\x7f${`${cc};`.repeat(127).slice(0, 127)}`;
  const head = "GIF89a\x01\0\x01\0\0\0\0!\xfe";
  return latin1(`${head}${block.repeat(26)}\0${POINT}`);
}

/** A flag of the most bytes that are taken, with zeros at its end, and `more`. */
export function bigFlag(cc: string, more = 0): Uint8Array {
  const flag = new Uint8Array(16 * ZEROS.length + more);
  flag.set(flagOf(cc));
  return flag;
}

/** The first part of a flag, up to a byte that looks like its end. */
function cutFlag(cc: string): Uint8Array {
  const flag = flagOf(cc);
  return flag.slice(0, flag.lastIndexOf(0x3b, 2000) + 1);
}

const zippedFlag = (cc: string): Uint8Array => gzipSync(flagOf(cc));

/** The first 1,000 MB of zeros without end, zipped: each is a part of the stream. */
function bomb(): Uint8Array {
  const finishFlush = constants.Z_SYNC_FLUSH;
  const part = deflateRawSync(ZEROS, { finishFlush });
  const head = latin1("\x1f\x8b\b\0\0\0\0\0\0\x03");
  return Buffer.concat([head, ...Array(1000).fill(part)]);
}

/**
 * In the folder `downloads` the site's flags for `codes` are, byte for byte,
 * and nothing else.
 */
export async function assertFlags(
  folder: TemporaryFolder,
  codes: string[],
  flag: (cc: string) => Uint8Array = flagOf,
): Promise<void> {
  const names = codes.map((cc) => `${cc.toLowerCase()}.gif`).sort();
  assertEquals(await folder.list(), names);
  for (const cc of codes) {
    const path = `${folder.path}/downloads/${cc.toLowerCase()}.gif`;
    assert(Buffer.compare(await Deno.readFile(path), flag(cc)) === 0, path);
  }
}

/** The start of an answer with a body of a known length. */
function head(status: string, length: number, headers = ""): string {
  return `HTTP/1.1 ${status}\r\nContent-Length: ${length}\r\n${headers}\r\n`;
}

/** What is sent, as it is. */
function raw(
  parts: string | ((exchange: Exchange) => Part[]),
  next: Next = "close",
) {
  return async (exchange: Exchange): Promise<Next> => {
    await exchange.send(
      ...typeof parts === "string" ? [parts] : parts(exchange),
    );
    return next;
  };
}

function answer(status: string, body = "oops", headers = "") {
  return raw(head(status, body.length, headers) + body, "keep");
}

function flag(headers: string, flag: (cc: string) => Uint8Array = flagOf) {
  return raw(({ cc }) => {
    const body = flag(cc);
    return [head("200 OK", body.length, headers), body];
  }, "keep");
}

function coded(coding: string, body?: (cc: string) => Uint8Array) {
  return flag(`Content-Encoding: ${coding}\r\n`, body);
}

function redirect(to: (exchange: Exchange) => string) {
  return raw((exchange) => {
    return [head("302 Found", 0, `Location: ${to(exchange)}\r\n`)];
  }, "keep");
}

/** Raw text when that is so, else the flag. */
function goodUnless(isBad: (exchange: Exchange) => boolean, text: string) {
  return (exchange: Exchange): Promise<Next> =>
    (isBad(exchange) ? raw(text) : good)(exchange);
}

/** Whether a code is asked for the first time. */
const isFirst = ({ cc, site: { requests } }: Exchange) =>
  requests.indexOf(cc) === requests.lastIndexOf(cc);

/** Whether a connection is used again. */
const isAgain = ({ here }: Exchange) => here > 1;

const REQUEST_TIMEOUT = head("408 Request Timeout", 0);

const good = flag("Content-Type: image/gif\r\n");

/** Goes on until somebody has enough of it. */
function endless(head: string, parts: Part[], pause = 0) {
  return async ({ send, site: { signal } }: Exchange): Promise<Next> => {
    await send(head);
    while (!signal.aborted) {
      await send(...parts);
      if (pause > 0) await delay(pause, { signal }).catch(() => {});
    }
    return "close";
  };
}

const OK = "HTTP/1.1 200 OK\r\n";
const CHUNKED = `${OK}Transfer-Encoding: chunked\r\n\r\n`;

const FAULTS = {
  good,
  "closed at once": raw(""),
  "half the headers": raw(`${OK}Content-Le`),
  "reset in mid-body": raw(head("200 OK", 5000) + "GIF89a half"),
  "reset at once": raw(""),
  "closed at first": goodUnless(isFirst, ""),
  "closed when used again": goodUnless(isAgain, ""),
  "408": answer("408 Request Timeout"),
  "408 at first": goodUnless(isFirst, REQUEST_TIMEOUT),
  "408 when used again": goodUnless(isAgain, REQUEST_TIMEOUT),
  // What a network that wants a login answers.
  "HTML page": answer("200 OK", "<!DOCTYPE html><title>Log in</title>"),
  "empty body": answer("200 OK", ""),
  "no length": raw(({ cc }) => [`${OK}\r\n`, flagOf(cc)]),
  "no length, cut short": raw(({ cc }) => [`${OK}\r\n`, cutFlag(cc)]),
  "short body": raw(head("200 OK", 5000) + "GIF89a half"),
  "chunks cut off": raw(`${CHUNKED}6\r\nGIF89a\r\n`),
  "bad chunk": raw(`${CHUNKED}6\r\nGIF89a\r\nzz\r\n`),
  "bad status line": raw("HTTP/1.1 two hundred OK\r\n\r\n"),
  "bad length": raw(`${OK}Content-Length: many\r\n\r\nGIF89a`),
  // The same each time: what is said depends on the first of them.
  "random bytes": raw(
    String.fromCharCode(...Array(256).keys().map((i) => (i * 167 + 129) % 256)),
  ),
  "no answer": raw("", "keep"),
  "headers and silence": raw(head("200 OK", 5000) + "GIF89a", "keep"),
  "byte by byte": endless(head("200 OK", 5000), ["G"], 200),
  "redirect": redirect(({ site, cc }) => `${site.url}/${cc}/good`),
  "redirect loop": redirect(({ site, cc }) => `${site.url}/${cc}/${cc}.gif`),
  "redirect to a closed port": redirect(() =>
    `http://127.0.0.1:${freePort()}/`
  ),
  "redirect to no URL": redirect(() => "http://[nowhere"),
  "redirect to a long URL": redirect(({ site, cc }) =>
    `${site.url}/${cc}/${"a".repeat(70_000)}`
  ),
  "redirect to a file": redirect(() => "file:///etc/hostname"),
  "redirect to data": redirect(() => "data:image/gif,GIF89a;"),
  "redirect to nothing": answer("302 Found", ""),
  "redirect to an empty URL": redirect(() => ""),
  "redirect in UTF-8": redirect(({ site, cc }) =>
    `${site.url}/${cc}/${unescape(encodeURIComponent("국기"))}`
  ),
  "redirect to 404": redirect(({ site }) => `${site.url}/none`),
  "204": raw("HTTP/1.1 204 No Content\r\n\r\n", "keep"),
  "206": answer("206 Partial Content"),
  "304": raw("HTTP/1.1 304 Not Modified\r\n\r\n", "keep"),
  "403": answer("403 Forbidden"),
  "404": answer("404 Not Found"),
  "410": answer("410 Gone"),
  "418": answer("418 I'm a teapot"),
  "429": answer("429 Too Many Requests", "", "Retry-After: 3600\r\n"),
  "500": answer("500 Internal Server Error"),
  "503": answer("503 Service Unavailable"),
  "599": answer("599 "),
  "503 without a reason": answer("503 "),
  "503 with an odd reason": answer("503 Indispon\xedvel\t\x80"),
  "503 with a long reason": answer(`503 ${"very ".repeat(2000)}busy`),
  "503 with half a body": raw(head("503 Service Unavailable", 5000) + "half"),
  "503 and silence": raw(
    head("503 Service Unavailable", 5000) + "half",
    "keep",
  ),
  "false gzip": coded("gzip"),
  "false br": coded("br"),
  "unknown coding": coded("zstd"),
  "two codings": coded("gzip, gzip"),
  "identity coding": coded("identity"),
  "coding none": coded(" None "),
  "empty coding": coded(""),
  "gzip": coded("gzip", zippedFlag),
  "gzip in two": coded("gzip", (cc) => {
    const part = cutFlag(cc);
    const rest = flagOf(cc).subarray(part.length);
    return Buffer.concat([gzipSync(part), gzipSync(rest)]);
  }),
  "x-gzip": coded("x-gzip", zippedFlag),
  "X-GZip and spaces": coded("  X-GZip ", zippedFlag),
  "false x-gzip": coded("x-gzip"),
  "gzip as transfer coding": raw(({ cc }) => {
    const body = zippedFlag(cc);
    const head = CHUNKED.replace("chunked", "gzip, chunked");
    return [`${head}${body.length.toString(16)}\r\n`, body, "\r\n0\r\n\r\n"];
  }, "keep"),
  "big": flag("", bigFlag),
  "too big": flag("", (cc) => bigFlag(cc, 1)),
  "gzip bomb": coded("gzip", bomb),
  "x-gzip bomb": coded("x-gzip", bomb),
  "endless body": endless(`${OK}\r\n`, [ZEROS]),
  "endless chunks": endless(
    head("200 OK", 5000, "Transfer-Encoding: chunked\r\n"),
    ["100000\r\n", ZEROS, "\r\n"],
  ),
} satisfies Record<string, (exchange: Exchange) => Promise<Next>>;

/** A site on a free port, with a fault for some codes. */
export class FaultSite implements AsyncDisposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  /** Base URL, as in `SERVERS`. */
  readonly url: string = `http://127.0.0.1:${this.#listener.addr.port}/flags`;
  /** The codes that were asked for, in the order in which they were. */
  readonly requests: string[] = [];
  readonly #released = Promise.withResolvers<void>();
  readonly #connections = new Set<Deno.Conn>();
  /** Pending until the port and every connection are closed. */
  readonly #pending = new Set<Promise<void>>();
  readonly #stop = new AbortController();

  /**
   * It listens at once.
   *
   * @param faults Codes in upper case, each with its fault; `*` for all others.
   * @param options Requests after which the port is closed for ever; those that
   *   are answered, while the others wait for `release`; and milliseconds that
   *   each answer takes.
   */
  constructor(
    readonly faults: Record<string, Fault> = {},
    readonly options: {
      dieAfter?: number;
      holdAfter?: number;
      latency?: number;
    } = {},
  ) {
    this.#pending.add(this.#accept());
  }

  /** Aborted when the site ends. */
  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** Answer those that wait, and hold back no other. */
  release(): void {
    this.#released.resolve();
  }

  /** Wait for the request number `n`. */
  async asked(n: number): Promise<void> {
    await eventually(() => this.requests.length >= n);
  }

  /** Closes the port and every connection, and waits until they are. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#close();
    await Promise.all(this.#pending);
  }

  #close(): void {
    if (this.signal.aborted) return;
    this.#stop.abort();
    this.release();
    this.#listener.close();
    for (const connection of this.#connections) connection.close();
    this.#connections.clear();
  }

  async #accept(): Promise<void> {
    try {
      for await (const connection of this.#listener) {
        this.#connections.add(connection);
        const serving = this.#serve(connection).catch(() => {}).finally(() => {
          if (this.#connections.delete(connection)) connection.close();
          this.#pending.delete(serving);
        });
        this.#pending.add(serving);
      }
    } catch (error) {
      if (!this.signal.aborted) throw error;
    }
  }

  async #serve(connection: Deno.Conn): Promise<void> {
    const send = async (...parts: Part[]) => {
      for (const part of parts) {
        const bytes = typeof part === "string" ? latin1(part) : part;
        for (let sent = 0; sent < bytes.length;) {
          sent += await connection.write(bytes.subarray(sent));
        }
      }
    };
    const { dieAfter = Infinity, holdAfter = Infinity, latency = 0 } =
      this.options;
    let next: Next = "keep";
    for (let here = 1; next === "keep"; here++) {
      const line = await readTo("\n", connection, 16);
      const [, cc, file] = line.match(/^GET \/flags\/(\w+)(?:\/(\S+))? /) ?? [];
      if (!cc) return;
      const code = cc.toUpperCase();
      this.requests.push(code);
      if (this.requests.length > dieAfter) return this.#close();
      if (this.requests.length > holdAfter) await this.#released.promise;
      if (latency > 0) await delay(latency);
      const fault = ["good", "국기"].includes(decodeURIComponent(file ?? ""))
        ? "good"
        : code === "NONE"
        ? "404"
        : this.faults[code] ?? this.faults["*"] ?? "good";
      // Whoever closes a socket with bytes unread resets the connection.
      if (!fault.startsWith("reset")) {
        await readTo("\r\n\r\n", connection, 1024, line);
      }
      next = await FAULTS[fault]({ cc: code, send, here, site: this });
    }
  }
}

/** Read on to `end`, `step` bytes at a time. */
export async function readTo(
  end: string,
  connection: Deno.Conn,
  step: number,
  text = "",
): Promise<string> {
  const bytes = new Uint8Array(step);
  while (!text.includes(end)) {
    const count = await connection.read(bytes);
    if (count === null) return text;
    text += String.fromCharCode(...bytes.subarray(0, count));
  }
  return text;
}
