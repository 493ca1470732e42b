/**
 * A site that breaks what a server should keep to, on chosen codes: the tests'
 * own, on raw sockets, as an HTTP server is too polite for it.
 *
 * @module
 */

import { assert } from "@std/assert";
import { delay } from "@std/async/delay";
import { constants, deflateRawSync, gzipSync } from "node:zlib";
import { freePort, type TemporaryFolder } from "../bench/scripts.ts";
import { eventually } from "./testing.ts";

/** How a request is met; {@linkcode FaultSite} answers the others well. */
export type Fault = keyof typeof FAULTS;

/** A request: the first for its code, or again on a connection? */
type Asked = { cc: string; isFirst: boolean; isAgain: boolean };

/** Ends the connection; without it another request may come on it. */
const CLOSE = null;

/** What is sent: text (as Latin-1) and bytes. */
type Part = string | Uint8Array | typeof CLOSE;

/** What a request is answered with, or who tells. */
type Answer = Part[] | ((asked: Asked) => Part[] | AsyncIterable<Part>);

/** A megabyte. */
const ZEROS = new Uint8Array(2 ** 20);

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
  const image = ",\0\0\0\0\x01\0\x01\0\0\x02\x02L\x01\0";
  return latin1(`${head}${block.repeat(26)}\0${image};`);
}

/** A flag with zeros after its end, up to a length. */
function longFlag(cc: string, length: number): Uint8Array {
  const flag = new Uint8Array(length);
  flag.set(flagOf(cc));
  return flag;
}

/** The most bytes of a body that a script accepts. */
const MAX_BYTES = 16 * ZEROS.length;

/** The lengths of flags that are longer than the others. */
const LENGTHS: Record<string, number> = {
  "big": MAX_BYTES,
  "tiny chunks": 20_000,
};

/** The flag that a script saves for a code with a fault. */
export function savedFlag(cc: string, fault = "good"): Uint8Array {
  const length = LENGTHS[fault];
  return length ? longFlag(cc, length) : flagOf(cc);
}

/** The first part of a flag, up to a byte that looks like its end. */
function cutFlag(cc: string): Uint8Array {
  const flag = flagOf(cc);
  return flag.slice(0, flag.lastIndexOf(0x3b, 2000) + 1);
}

const zippedFlag = (cc: string): Uint8Array => gzipSync(flagOf(cc));

/** A flag in two gzip members. */
function twiceZipped(cc: string): Uint8Array {
  const part = cutFlag(cc);
  const rest = flagOf(cc).subarray(part.length);
  return Buffer.concat([gzipSync(part), gzipSync(rest)]);
}

/** The first 1,000 MB of endless zeros, zipped: each is a part of the stream. */
function bomb(): Uint8Array {
  const open = { finishFlush: constants.Z_SYNC_FLUSH };
  const zeros = Array(1000).fill(deflateRawSync(ZEROS, open));
  return Buffer.concat([gzipSync("", open), ...zeros]);
}

/** The codes whose flags `downloads` holds: whole ones, and nothing else. */
export async function savedIn(folder: TemporaryFolder): Promise<string[]> {
  const names = await folder.list();
  return names.map((name) => {
    const cc = name.replace(/\.gif$/, "").toUpperCase();
    const bytes = Deno.readFileSync(`${folder.path}/downloads/${name}`);
    assert(Buffer.compare(bytes, flagOf(cc)) === 0, name);
    return cc;
  });
}

/** The start of an answer with a body of a known length. */
function head(status: string, length: number, headers = ""): string {
  return `HTTP/1.1 ${status}\r\nContent-Length: ${length}\r\n${headers}\r\n`;
}

const answer = (status: string, body = "oops", headers = "") => //
[head(status, body.length, headers) + body];

const redirect = (location: string) =>
  answer("302 Found", "", `Location: ${location}\r\n`);

function flag(headers: string, flag: (cc: string) => Uint8Array = flagOf) {
  return ({ cc }: Asked): Part[] => {
    const body = flag(cc);
    return [head("200 OK", body.length, headers), body];
  };
}

const coded = (coding: string, body?: (cc: string) => Uint8Array) =>
  flag(`Content-Encoding: ${coding}\r\n`, body);

const good = flag("Content-Type: image/gif\r\n");

/** Nothing but the end, or that after some text, when that is so; else the flag. */
function goodUnless(when: "isFirst" | "isAgain", text = "") {
  return (asked: Asked) => asked[when] ? [text, CLOSE] : good(asked);
}

/** Goes on until nobody takes it. */
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
  // What a network that wants a login answers.
  "HTML page": answer("200 OK", "<!DOCTYPE html><title>Log in</title>"),
  "empty body": answer("200 OK", ""),
  "no length": ({ cc }) => [`${OK}\r\n`, flagOf(cc), CLOSE],
  "no length, cut short": ({ cc }) => [`${OK}\r\n`, cutFlag(cc), CLOSE],
  "short body": [HALF, CLOSE],
  "chunks cut off": [`${CHUNKED}6\r\nGIF89a\r\n`, CLOSE],
  "bad chunk": [`${CHUNKED}6\r\nGIF89a\r\nzz\r\n`, CLOSE],
  "bad status line": ["HTTP/1.1 two hundred OK\r\n\r\n", CLOSE],
  "bad length": [`${OK}Content-Length: many\r\n\r\nGIF89a`, CLOSE],
  // The same each time: what is said depends on the first of them.
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
  "redirect to 404": redirect("none"),
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
  "gzip in two": coded("gzip", twiceZipped),
  "gzip as transfer coding": ({ cc }) => {
    const body = zippedFlag(cc);
    const head = CHUNKED.replace("chunked", "gzip, chunked");
    return [`${head}${body.length.toString(16)}\r\n`, body, "\r\n0\r\n\r\n"];
  },
  "tiny chunks": ({ cc }) => {
    const bytes = [...savedFlag(cc, "tiny chunks")];
    const chunks = bytes.flatMap((byte) => [49, 13, 10, byte, 13, 10]);
    return [CHUNKED, Uint8Array.from(chunks), "0\r\n\r\n"];
  },
  "big": flag("", (cc) => savedFlag(cc, "big")),
  "too big": flag("", (cc) => longFlag(cc, MAX_BYTES + 1)),
  "gzip bomb": coded("gzip", bomb),
  "endless body": endless(`${OK}\r\n`, [ZEROS]),
  "endless chunks": endless(
    head("200 OK", 5000, "Transfer-Encoding: chunked\r\n"),
    ["100000\r\n", ZEROS, "\r\n"],
  ),
} satisfies Record<string, Answer>;

/** How files of any code are met to which a redirect leads. */
const LED_TO: Record<string, Fault> = {
  good: "good",
  none: "404",
};

type Options = { dieAfter?: number; holdAfter?: number; latency?: number };

/** A site on a free port, with a fault for some codes. */
export class FaultSite implements AsyncDisposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  /** Base URL, as in `SERVERS`. */
  readonly url: string = `http://127.0.0.1:${this.#listener.addr.port}/flags`;
  /** The codes that were asked for, in the order in which they were. */
  readonly requests: string[] = [];
  readonly #released = Promise.withResolvers<void>();
  readonly #connections: Deno.Conn[] = [];
  /** Each pending until the port, or a connection, is closed. */
  readonly #pending: Promise<void>[] = [this.#accept()];

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
    readonly options: Options = {},
  ) {}

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
      const fault = LED_TO[decodeURIComponent(file)] ?? this.faults[cc] ??
        this.faults["*"] ?? "good";
      // Whoever closes a socket with bytes unread resets the connection.
      if (!fault.startsWith("reset")) {
        await readTo("\r\n\r\n", connection, 1024, line);
      }
      const answer: Answer = FAULTS[fault];
      const parts = Array.isArray(answer)
        ? answer
        : answer({ cc, isFirst, isAgain });
      for await (const part of parts) {
        if (part === CLOSE) return;
        let bytes = typeof part === "string" ? latin1(part) : part;
        while (bytes.length > 0) {
          bytes = bytes.subarray(await connection.write(bytes));
        }
      }
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
