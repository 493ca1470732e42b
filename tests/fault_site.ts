/**
 * A server that breaks the rules of HTTP for chosen codes. It uses raw sockets,
 * because an HTTP server cannot break the rules.
 *
 * @module
 */

import { assert } from "@std/assert";
import { delay } from "@std/async/delay";
import { constants, deflateRawSync, gzipSync } from "node:zlib";
import { freePort, type TemporaryFolder } from "../bench/scripts.ts";
import { eventually } from "./testing.ts";

export type Fault = keyof typeof FAULTS;

/** A request: is it the first for its code, or a later one on its connection? */
type Request = { cc: string; isFirst: boolean; isAgain: boolean };

/** Ends the connection; otherwise the client may use the connection again. */
const CLOSE = null;

/** A part of an answer: text in Latin-1, or bytes. */
type Part = string | Uint8Array | typeof CLOSE;

/** An answer to every request, or a function that makes one. */
type Answer = Part[] | ((request: Request) => Part[] | AsyncIterable<Part>);

const ZEROS = new Uint8Array(2 ** 20);

const latin1 = (text: string) => new Uint8Array(Buffer.from(text, "latin1"));

/**
 * Return the flag of a code, which no other code has, with zeros up to a length. It
 * is a GIF with a comment that contains the byte of the trailer many times.
 */
export function flagOf(cc: string, length = 0): Uint8Array<ArrayBuffer> {
  const block = `\x7f${`${cc};`.repeat(127).slice(0, 127)}`;
  const head = "GIF89a\x01\0\x01\0\0\0\0!\xfe";
  const image = ",\0\0\0\0\x01\0\x01\0\0\x02\x02L\x01\0";
  const gif = `${head}${block.repeat(26)}\0${image};`;
  return latin1(gif.padEnd(length, "\0"));
}

/** The end of a part of each flag; its last byte looks like the trailer. */
const CUT = flagOf("BR").lastIndexOf(0x3b, 2000) + 1;

/** The lengths of flags that are saved with zeros after their end, up to 16 MB. */
const LENGTHS: Record<string, number> = { big: 2 ** 24, "tiny chunks": 20000 };

const zippedFlag = (cc: string): Uint8Array => gzipSync(flagOf(cc));

/** Return 1,000 MB of zeros, zipped without an end. */
function bomb(): Uint8Array {
  const open = { finishFlush: constants.Z_SYNC_FLUSH };
  const zeros = Array(1000).fill(deflateRawSync(ZEROS, open));
  return Buffer.concat([gzipSync("", open), ...zeros]);
}

/** Return the codes of `downloads`, in which every file must be a whole flag. */
export async function savedIn(
  folder: TemporaryFolder,
  faults: Record<string, string> = {},
): Promise<string[]> {
  return (await folder.list()).map((name) => {
    const cc = name.replace(/\.gif$/, "").toUpperCase();
    const bytes = Deno.readFileSync(`${folder.path}/downloads/${name}`);
    const flag = flagOf(cc, LENGTHS[faults[cc] ?? "good"]);
    assert(Buffer.compare(bytes, flag) === 0, name);
    return cc;
  });
}

/** Return the start of an answer with a body of a known length. */
const head = (status: string, length: number, headers = "") =>
  `HTTP/1.1 ${status}\r\nContent-Length: ${length}\r\n${headers}\r\n`;

const answer = (status: string, body = "oops", headers = "") => [
  head(status, body.length, headers) + body,
];

const redirect = (location: string) =>
  answer("302 Found", "", `Location: ${location}\r\n`);

function flag(headers: string, flag: (cc: string) => Uint8Array = flagOf) {
  return ({ cc }: Request): Part[] => {
    const body = flag(cc);
    return [head("200 OK", body.length, headers), body];
  };
}

const coded = (coding: string, body?: (cc: string) => Uint8Array) =>
  flag(`Content-Encoding: ${coding}\r\n`, body);

const good = flag("Content-Type: image/gif\r\n");

/** Return an answer that is a text and the end in one case, otherwise the flag. */
function goodUnless(when: "isFirst" | "isAgain", text = "") {
  return (request: Request) => request[when] ? [text, CLOSE] : good(request);
}

/** Return an answer that goes on until the client closes the connection. */
function endless(head: string, parts: Part[], pause = 0) {
  return async function* () {
    yield head;
    for (;; await delay(pause)) yield* parts;
  };
}

const OK = "HTTP/1.1 200 OK\r\n";
const CHUNKED = `${OK}Transfer-Encoding: chunked\r\n\r\n`;
const HALF = head("200 OK", 5000) + "GIF89a half";
const BUSY = head("503 Service Unavailable", 5000) + "half";

const FAULTS = {
  good,
  "closed at once": [CLOSE],
  "half the headers": [`${OK}Content-Le`, CLOSE],
  "reset in mid-body": [HALF, CLOSE],
  "reset at once": [CLOSE],
  "closed at first": goodUnless("isFirst"),
  "closed when used again": goodUnless("isAgain"),
  "408": answer("408 Request Timeout"),
  "408 at first": goodUnless("isFirst", head("408 Request Timeout", 0)),
  "408 when used again": goodUnless("isAgain", head("408 Request Timeout", 0)),
  // A network that requires a login answers with a page.
  "HTML page": answer("200 OK", "<!DOCTYPE html><title>Log in</title>"),
  "empty body": answer("200 OK", ""),
  "no length": ({ cc }) => [`${OK}\r\n`, flagOf(cc), CLOSE],
  "no length, cut short": (
    { cc },
  ) => [`${OK}\r\n`, flagOf(cc).slice(0, CUT), CLOSE],
  "short body": [HALF, CLOSE],
  "chunks cut off": [`${CHUNKED}6\r\nGIF89a\r\n`, CLOSE],
  "bad chunk": [`${CHUNKED}6\r\nGIF89a\r\nzz\r\n`, CLOSE],
  "bad status line": ["HTTP/1.1 two hundred OK\r\n\r\n", CLOSE],
  "bad length": [`${OK}Content-Length: many\r\n\r\nGIF89a`, CLOSE],
  // These bytes are the same each time, because the message depends on the first.
  "random bytes": [ZEROS.slice(0, 256).map((_, i) => i * 167 + 129), CLOSE],
  "no answer": [],
  "headers and silence": [HALF],
  "byte by byte": endless(head("200 OK", 5000), ["G"], 200),
  "redirect": redirect("good"),
  "redirect loop": redirect("again"),
  "redirect to a closed port": redirect(`http://127.0.0.1:${freePort()}/`),
  "redirect to an invalid URL": redirect("http://[nowhere"),
  "redirect to a long URL": redirect("a".repeat(70_000)),
  "redirect to a file": redirect("file:///etc/hostname"),
  "redirect to data": redirect("data:image/gif,GIF89a;"),
  "redirect without a location": answer("302 Found", ""),
  "redirect to 404": redirect("404"),
  "204": ["HTTP/1.1 204 No Content\r\n\r\n"],
  "206": answer("206 Partial Content"),
  "304": ["HTTP/1.1 304 Not Modified\r\n\r\n"],
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
  "503 with half a body": [BUSY, CLOSE],
  "503 and silence": [BUSY],
  "false gzip": coded("gzip"),
  "false br": coded("br"),
  "unknown coding": coded("zstd", zippedFlag),
  "two codings": coded("gzip, gzip", (cc) => gzipSync(zippedFlag(cc))),
  "identity coding": coded("identity"),
  "coding none": coded(" None "),
  "empty coding": coded(""),
  "gzip": coded("gzip", zippedFlag),
  "gzip in two": coded("gzip", (cc) => {
    const parts = [flagOf(cc).slice(0, CUT), flagOf(cc).slice(CUT)];
    return Buffer.concat(parts.map((part) => gzipSync(part)));
  }),
  "gzip as transfer coding": ({ cc }) => {
    const body = zippedFlag(cc);
    const head = CHUNKED.replace("chunked", "gzip, chunked");
    return [`${head}${body.length.toString(16)}\r\n`, body, "\r\n0\r\n\r\n"];
  },
  "tiny chunks": ({ cc }) => {
    const bytes = [...flagOf(cc, LENGTHS["tiny chunks"])];
    const chunks = bytes.flatMap((byte) => [49, 13, 10, byte, 13, 10]);
    return [CHUNKED, Uint8Array.from(chunks), "0\r\n\r\n"];
  },
  "big": flag("", (cc) => flagOf(cc, LENGTHS.big)),
  "too big": flag("", (cc) => flagOf(cc, 2 ** 24 + 1)),
  "gzip bomb": coded("gzip", bomb),
  "endless body": endless(`${OK}\r\n`, [ZEROS]),
  "endless chunks": endless(
    head("200 OK", 5000, "Transfer-Encoding: chunked\r\n"),
    ["100000\r\n", ZEROS, "\r\n"],
  ),
} satisfies Record<string, Answer>;

/**
 * The numbers of requests after which the port is closed or requests wait for
 * `release`, and the milliseconds that each answer takes.
 */
type Options = { dieAfter?: number; holdAfter?: number; latency?: number };

/** A server at a free port, with a fault for some codes. */
export class FaultSite implements AsyncDisposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  /** Base URL, as in `SERVERS`. */
  readonly url: string = `http://127.0.0.1:${this.#listener.addr.port}/flags`;
  /** The codes of the requests, in the order in which they arrived. */
  readonly requests: string[] = [];
  readonly #released = Promise.withResolvers<void>();
  readonly #connections: Deno.Conn[] = [];
  /** Promises that resolve when the port and the connections are closed. */
  readonly #pending: Promise<void>[] = [this.#accept()];

  /** Start the server; `faults` has codes in upper case, and `*` for all others. */
  constructor(
    readonly faults: Record<string, Fault> = {},
    readonly options: Options = {},
  ) {}

  /** Answer all requests from now on, including those that wait. */
  release(): void {
    this.#released.resolve();
  }

  /** Wait until `n` requests have arrived. */
  async received(n: number): Promise<void> {
    await eventually(() => this.requests.length >= n);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#close();
    await Promise.all(this.#pending);
  }

  #close(): void {
    this.release();
    for (const one of [this.#listener, ...this.#connections]) {
      one[Symbol.dispose]();
    }
  }

  async #accept(): Promise<void> {
    for await (const connection of this.#listener) {
      this.#connections.push(connection);
      this.#pending.push(this.#serve(connection).catch(() => {}));
    }
  }

  async #serve(connection: Deno.Conn): Promise<void> {
    using _ = connection;
    const { dieAfter = Infinity, holdAfter = Infinity, latency = 0 } =
      this.options;
    for (let isAgain = false;; isAgain = true) {
      const line = await readTo("\n", connection, 16);
      const [, code, file] = line.match(/^GET \/flags\/(\w+)\/(\S+) /) ?? [];
      if (!code || !file) return;
      const cc = code.toUpperCase();
      const isFirst = !this.requests.includes(cc);
      this.requests.push(cc);
      if (this.requests.length > dieAfter) return this.#close();
      if (this.requests.length > holdAfter) await this.#released.promise;
      if (latency > 0) await delay(latency);
      // A redirect to the name of a fault leads to that fault.
      const fault = file in FAULTS
        ? file as Fault
        : this.faults[cc] ?? this.faults["*"] ?? "good";
      // A socket that is closed with unread bytes resets the connection.
      if (!fault.startsWith("reset")) {
        await readTo("\r\n\r\n", connection, 1024, line);
      }
      const answer: Answer = FAULTS[fault];
      const request = { cc, isFirst, isAgain };
      const parts = Array.isArray(answer) ? answer : answer(request);
      for await (const part of parts) {
        if (part === CLOSE) return;
        await write(connection, typeof part === "string" ? latin1(part) : part);
      }
    }
  }
}

/** Write all bytes to a connection. */
export async function write(connection: Deno.Conn, bytes: Uint8Array) {
  while (bytes.length > 0) {
    bytes = bytes.subarray(await connection.write(bytes));
  }
}

/** Append `step` bytes at a time to `text`, until it contains `end`. */
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
