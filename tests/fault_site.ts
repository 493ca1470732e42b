/**
 * A site that breaks what a server should keep to, on chosen codes: the tests'
 * own, on raw sockets, as an HTTP server is too polite for it.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { delay } from "@std/async/delay";
import type { TemporaryFolder } from "./testing.ts";

/** How a request is met; {@linkcode FaultSite} answers the others well. */
export type Fault = keyof typeof FAULTS;

/** What a fault has at hand. */
interface Exchange {
  /** The code that is asked for, in upper case. */
  cc: string;
  /** Send text (as Latin-1) or bytes. */
  send(data: string | Uint8Array): Promise<void>;
  /** Which request of its connection it is, from 1 on. */
  here: number;
  /** The site. */
  site: FaultSite;
}

/** Whether the connection takes another request. */
type Next = "keep" | "close" | "reset";

type Bytes = Uint8Array<ArrayBuffer>;

const MEGABYTE = 1024 * 1024;

/** The end of {@linkcode flagOf}: an image of one point, and the trailer. */
const POINT = ",\0\0\0\0\x01\0\x01\0\0\x02\x02L\x01\0;";

/**
 * The flag of a code on this site; no two are alike. It is a GIF whose comment,
 * in blocks of 128 bytes, holds the trailer's byte again and again.
 */
export function flagOf(cc: string, blocks = 26): Bytes {
  const block = `\x7f${`${cc};`.repeat(127).slice(0, 127)}`;
  const head = "GIF89a\x01\0\x01\0\0\0\0!?";
  const comment = `${block.repeat(blocks)}\0`;
  const flag = new TextEncoder().encode(head + comment + POINT);
  flag[14] = 0xfe; // The label of a comment, which is not ASCII.
  return flag;
}

/** A flag of `megabytes`. */
export function bigFlag(megabytes = 50): Bytes {
  return flagOf("BIG", megabytes * MEGABYTE / 128);
}

/** The first part of a flag, up to a byte that looks like its end. */
function cutFlag(cc: string): Bytes {
  const flag = flagOf(cc);
  return flag.slice(0, flag.lastIndexOf(0x3b, 2000) + 1);
}

/**
 * In the folder `downloads` the site's flags for `codes` are, byte for byte,
 * and nothing else.
 */
export async function assertFlags(
  folder: TemporaryFolder,
  codes: string[],
): Promise<void> {
  const names = codes.map((cc) => `${cc.toLowerCase()}.gif`).sort();
  assertEquals(await folder.list(), names);
  for (const cc of codes) {
    const path = `${folder.path}/downloads/${cc.toLowerCase()}.gif`;
    assertEquals(await Deno.readFile(path), flagOf(cc));
  }
}

/** An answer with a body of a known length. */
function head(status: string, length: number, headers = ""): string {
  return `HTTP/1.1 ${status}\r\nContent-Length: ${length}\r\n${headers}\r\n`;
}

function answer(status: string, headers = "") {
  return async ({ send }: Exchange): Promise<Next> => {
    await send(head(status, 4, headers) + "oops");
    return "keep";
  };
}

function coded(
  coding: string,
  flag: (cc: string) => Bytes | Promise<Bytes> = flagOf,
) {
  return async ({ send, cc }: Exchange): Promise<Next> => {
    const body = await flag(cc);
    const headers = `Content-Encoding: ${coding}\r\n`;
    await send(head("200 OK", body.length, headers));
    await send(body);
    return "keep";
  };
}

async function zipped(flag: Bytes): Promise<Bytes> {
  const body = new Response(flag).body!;
  return await new Response(body.pipeThrough(new CompressionStream("gzip")))
    .bytes();
}

const zippedFlag = (cc: string) => zipped(flagOf(cc));

function redirect(to: (exchange: Exchange) => string) {
  return async (exchange: Exchange): Promise<Next> => {
    const location = `Location: ${to(exchange)}\r\n`;
    await exchange.send(head("302 Found", 0, location));
    return "keep";
  };
}

function raw(text: string, next: Next = "close") {
  return async ({ send }: Exchange): Promise<Next> => {
    await send(text);
    return next;
  };
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

async function good({ cc, send }: Exchange): Promise<Next> {
  const flag = flagOf(cc);
  await send(head("200 OK", flag.length, "Content-Type: image/gif\r\n"));
  await send(flag);
  return "keep";
}

/** Ends with the site. */
async function silence({ site }: Exchange): Promise<Next> {
  const ended = Promise.withResolvers<void>();
  site.signal.addEventListener("abort", () => ended.resolve());
  await ended.promise;
  return "close";
}

/** Goes on until somebody has enough of it. */
function endless(headers: string, data: Bytes) {
  return async ({ send, site }: Exchange): Promise<Next> => {
    await send(`HTTP/1.1 200 OK\r\n${headers}\r\n`);
    while (!site.signal.aborted) await send(data);
    return "close";
  };
}

/** What a network that wants a login answers whatever it is asked for. */
const PAGE = "<!DOCTYPE html><title>Log in</title>";

/** A megabyte as a chunk. */
const CHUNK = new TextEncoder().encode(
  `${MEGABYTE.toString(16)}\r\n${"G".repeat(MEGABYTE)}\r\n`,
);

const FAULTS = {
  good,
  "closed at once": raw(""),
  "half the headers": raw("HTTP/1.1 200 OK\r\nContent-Le"),
  "reset in mid-body": raw(head("200 OK", 5000) + "GIF89a half", "reset"),
  "reset at once": raw("", "reset"),
  "closed at first": goodUnless(isFirst, ""),
  "closed when used again": goodUnless(isAgain, ""),
  "closed late": async (exchange) => {
    if (!isFirst(exchange)) return await silence(exchange);
    await delay(600);
    return "close";
  },
  "408": answer("408 Request Timeout"),
  "408 at first": goodUnless(isFirst, REQUEST_TIMEOUT),
  "408 when used again": goodUnless(isAgain, REQUEST_TIMEOUT),
  "HTML page": raw(
    head("200 OK", PAGE.length, "Content-Type: text/html\r\n") + PAGE,
    "keep",
  ),
  "empty body": raw(head("200 OK", 0), "keep"),
  "no length": async ({ send, cc }) => {
    await send("HTTP/1.1 200 OK\r\n\r\n");
    await send(flagOf(cc));
    return "close";
  },
  "no length, cut short": async ({ send, cc }) => {
    await send("HTTP/1.1 200 OK\r\n\r\n");
    await send(cutFlag(cc));
    return "close";
  },
  "short body": raw(head("200 OK", 5000) + "GIF89a half"),
  "chunks cut off": raw(
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nGIF89a\r\n",
  ),
  "bad chunk": raw(
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nGIF89a\r\nzz\r\n",
  ),
  "bad status line": raw("HTTP/1.1 two hundred OK\r\n\r\n"),
  "bad length": raw("HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nGIF89a"),
  "random bytes": async ({ send }) => {
    // The same each time: what is said depends on the first of them.
    await send(Uint8Array.from({ length: 256 }, (_, i) => i * 167 + 129));
    return "close";
  },
  "no answer": silence,
  "headers and silence": async (exchange) => {
    await exchange.send(head("200 OK", 5000) + "GIF89a");
    return await silence(exchange);
  },
  "byte by byte": async ({ send, site }) => {
    await send(head("200 OK", 5000));
    while (!site.signal.aborted) {
      await send("G");
      await delay(200, { signal: site.signal }).catch(() => {});
    }
    return "close";
  },
  "redirect": redirect(({ site, cc }) => `${site.url}/${cc}/good`),
  "redirect loop": redirect(({ site, cc }) => `${site.url}/${cc}/${cc}.gif`),
  "redirect to a closed port": redirect(({ site }) => site.closedUrl),
  "redirect to no URL": redirect(() => "http://[nowhere"),
  "redirect to a long URL": redirect(({ site, cc }) =>
    `${site.url}/${cc}/${"a".repeat(70_000)}`
  ),
  "redirect to a file": redirect(() => "file:///etc/hostname"),
  "redirect to data": redirect(() => "data:image/gif,GIF89a;"),
  "redirect to nothing": raw(head("302 Found", 0), "keep"),
  "redirect to an empty URL": redirect(() => ""),
  "redirect in UTF-8": redirect(({ site, cc }) => {
    const bytes = new TextEncoder().encode("국기");
    return `${site.url}/${cc}/${String.fromCharCode(...bytes)}`;
  }),
  "redirect to 404": redirect(({ site }) => `${site.url}/none`),
  "204": raw("HTTP/1.1 204 No Content\r\n\r\n", "keep"),
  "206": answer("206 Partial Content"),
  "304": raw("HTTP/1.1 304 Not Modified\r\n\r\n", "keep"),
  "403": answer("403 Forbidden"),
  "404": answer("404 Not Found"),
  "410": answer("410 Gone"),
  "418": answer("418 I'm a teapot"),
  "429": answer("429 Too Many Requests", "Retry-After: 3600\r\n"),
  "500": answer("500 Internal Server Error"),
  "503": answer("503 Service Unavailable"),
  "599": answer("599 "),
  "503 without a reason": answer("503 "),
  "503 with an odd reason": answer("503 Indispon\xedvel\t\x80"),
  "503 with a long reason": answer(`503 ${"very ".repeat(2000)}busy`),
  "503 with half a body": raw(head("503 Service Unavailable", 5000) + "half"),
  "503 and silence": async (exchange) => {
    await exchange.send(head("503 Service Unavailable", 5000) + "half");
    return await silence(exchange);
  },
  "false gzip": coded("gzip"),
  "false br": coded("br"),
  "unknown coding": coded("zstd"),
  "two codings": coded("gzip, gzip"),
  "identity coding": coded("identity"),
  "coding none": coded(" None "),
  "empty coding": coded(""),
  "gzip": coded("gzip", zippedFlag),
  "gzip in two": coded("gzip", async (cc) => {
    const part = cutFlag(cc);
    const rest = flagOf(cc).slice(part.length);
    return await new Blob([await zipped(part), await zipped(rest)]).bytes();
  }),
  "x-gzip": coded("x-gzip", zippedFlag),
  "X-GZip and spaces": coded("  X-GZip ", zippedFlag),
  "false x-gzip": coded("x-gzip"),
  "gzip as transfer coding": async ({ send, cc }) => {
    const body = await zippedFlag(cc);
    await send("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n");
    await send(`${body.length.toString(16)}\r\n`);
    await send(body);
    await send("\r\n0\r\n\r\n");
    return "keep";
  },
  "big": async ({ send }) => {
    const flag = bigFlag();
    await send(head("200 OK", flag.length));
    await send(flag);
    return "keep";
  },
  "too big": async ({ send }) => {
    const flag = bigFlag(65);
    await send(head("200 OK", flag.length));
    await send(flag);
    return "keep";
  },
  "gzip bomb": coded("gzip", () => zipped(bigFlag(190))),
  "x-gzip bomb": coded("x-gzip", () => zipped(bigFlag(190))),
  "endless body": endless("", new Uint8Array(MEGABYTE)),
  "endless chunks": endless(
    "Content-Length: 5000\r\nTransfer-Encoding: chunked\r\n",
    CHUNK,
  ),
} satisfies Record<string, (exchange: Exchange) => Promise<Next>>;

/** What {@linkcode FaultSite} can be told beside its faults. */
export interface FaultSiteOptions {
  /** Requests after which the port is closed for ever. */
  dieAfter?: number;
  /** Requests that are answered; the others wait for `release`. */
  holdAfter?: number;
  /** Milliseconds that each answer takes. */
  latency?: number;
}

/** A site on a free port, with a fault for some codes. */
export class FaultSite implements AsyncDisposable {
  /** Base URL, as in `SERVERS`. */
  readonly url: string;
  /** A URL at a port where nobody listens. */
  readonly closedUrl: string;
  /** The codes that were asked for, in the order in which they were. */
  readonly requests: string[] = [];
  readonly #faults: Record<string, Fault>;
  readonly #options: FaultSiteOptions;
  readonly #released = Promise.withResolvers<void>();
  readonly #listener: Deno.TcpListener;
  readonly #connections = new Set<Deno.Conn>();
  /** Pending until the port and every connection are closed. */
  readonly #pending = new Set<Promise<void>>();
  readonly #stop = new AbortController();

  /**
   * It listens at once.
   *
   * @param faults Codes in upper case, each with its fault; `*` for all others.
   * @param options When it stops, and how slow it is.
   */
  constructor(
    faults: Record<string, Fault> = {},
    options: FaultSiteOptions = {},
  ) {
    this.#faults = faults;
    this.#options = options;
    const local = { hostname: "127.0.0.1", port: 0 };
    this.#listener = Deno.listen(local);
    this.url = `http://127.0.0.1:${this.#listener.addr.port}/flags`;
    using closed = Deno.listen(local);
    this.closedUrl = `http://127.0.0.1:${closed.addr.port}/flags`;
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
    for (let i = 0; this.requests.length < n; i++) {
      assert(i < 10_000, `${this.requests.length} requests came, not ${n}`);
      await delay(5, { signal: this.signal });
    }
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
    const send = async (data: string | Uint8Array) => {
      let bytes = typeof data === "string"
        ? Uint8Array.from(data, (letter) => letter.charCodeAt(0))
        : data;
      while (bytes.length > 0) {
        bytes = bytes.subarray(await connection.write(bytes));
      }
    };
    const { dieAfter = Infinity, holdAfter = Infinity, latency = 0 } =
      this.#options;
    let next: Next = "keep";
    for (let here = 1; next === "keep"; here++) {
      const line = await readTo("\n", connection, 1);
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
        : this.#faults[code] ?? this.#faults["*"] ?? "good";
      // Whoever closes a socket with bytes unread resets the connection.
      if (!fault.startsWith("reset")) {
        await readTo("\r\n\r\n", connection, 1024);
      }
      next = await FAULTS[fault]({ cc: code, send, here, site: this });
    }
  }
}

/** Read up to and with `end`, `step` bytes at a time. */
async function readTo(
  end: string,
  connection: Deno.Conn,
  step: number,
): Promise<string> {
  const bytes = new Uint8Array(step);
  let text = "";
  while (!text.endsWith(end)) {
    const count = await connection.read(bytes);
    if (count === null) return text;
    text += String.fromCharCode(...bytes.subarray(0, count));
  }
  return text;
}
