/**
 * Servers over TLS that end their connections early, on HTTP/1.1 and HTTP/2.
 *
 * @module
 */

import { flagOf, readTo } from "./fault_site.ts";
import type { TemporaryFolder } from "../bench/scripts.ts";

/** The image that these servers send for every code. */
export const FLAG: Uint8Array<ArrayBuffer> = flagOf("BR");

/** Make a key and a self-signed certificate of 127.0.0.1. */
export async function certificate({ path }: TemporaryFolder) {
  const options = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 " +
    "-nodes -keyout key.pem -days 2 -out cert.pem -subj /CN=localhost " +
    "-addext subjectAltName=IP:127.0.0.1 " +
    "-addext basicConstraints=critical,CA:FALSE";
  const args = options.split(" ");
  await new Deno.Command("openssl", { args, cwd: path }).output();
  const read = (name: string) => Deno.readTextFile(`${path}/${name}`);
  return { cert: await read("cert.pem"), key: await read("key.pem") };
}

/** Answers the requests of a connection; `cut` ends it without TLS's close_notify. */
type Serve = (connection: Deno.TlsConn, cut: () => void) => Promise<void>;

/** A TLS server behind a relay, which can cut connections (RFC 8446, 6.1). */
export class TlsSite implements AsyncDisposable {
  readonly #inner: Deno.TlsListener;
  readonly #outer = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #connections: Deno.Conn[] = [];
  readonly #pending: Promise<unknown>[];
  readonly url = `https://127.0.0.1:${this.#outer.addr.port}/flags`;

  constructor(
    secrets: Deno.TlsCertifiedKeyPem,
    protocol: "http/1.1" | "h2",
    serve: Serve,
  ) {
    const address = { hostname: "127.0.0.1", port: 0 };
    const alpnProtocols = [protocol];
    this.#inner = Deno.listenTls({ ...address, ...secrets, alpnProtocols });
    this.#pending = [this.#accept(serve)];
  }

  async #accept(serve: Serve): Promise<void> {
    const { hostname, port } = this.#inner.addr;
    for await (const client of this.#outer) {
      const relay = await Deno.connect({ hostname, port });
      const connection = await this.#inner.accept();
      this.#connections.push(client, relay, connection);
      const cut = () => {
        try {
          client.close();
        } catch { /* The client has closed the connection. */ }
      };
      this.#pending.push(
        client.readable.pipeTo(relay.writable).catch(() => {}),
        relay.readable.pipeTo(client.writable).catch(() => {}),
        serve(connection, cut).catch(() => {}),
      );
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#outer.close();
    this.#inner.close();
    for (const connection of this.#connections) {
      try {
        connection.close();
      } catch { /* The connection is closed. */ }
    }
    await Promise.all(this.#pending);
  }
}

/** Return a `Serve` on HTTP/1.1 that cuts each connection before the n-th answer. */
export function cutBefore(answer: number): Serve {
  return async (connection, cut) => {
    const head = `HTTP/1.1 200 OK\r\nContent-Length: ${FLAG.length}\r\n\r\n`;
    const bytes = [...new TextEncoder().encode(head), ...FLAG];
    for (let n = 1; await readTo("\r\n\r\n", connection, 1024); n++) {
      if (n === answer) return cut();
      await connection.write(Uint8Array.from(bytes));
    }
  };
}

/** Types of frames (RFC 9113, 6). */
export const RST_STREAM = 3, GOAWAY = 7;
const DATA = 0, HEADERS = 1, SETTINGS = 4;
/** Error codes (RFC 9113, 7). */
export const REFUSED_STREAM = 7, CANCEL = 8;

/** Sends a frame (RFC 9113, 4.1). */
export type Send = (
  type: number,
  flags: number,
  stream: number,
  data: number[],
) => Promise<unknown>;

/** Answer a request with the flag, or with only some bytes of its body. */
export async function answer(
  send: Send,
  stream: number,
  bytes?: number,
): Promise<void> {
  // The numbers are status 200 and content-length in HPACK's static table.
  const length = [...new TextEncoder().encode(`${FLAG.length}`)];
  const headers = [0x88, 0x0f, 0x0d, length.length, ...length];
  await send(HEADERS, 4, stream, headers);
  await send(DATA, bytes ? 0 : 1, stream, [...FLAG.subarray(0, bytes)]);
}

/**
 * Return a `Serve` on HTTP/2.
 *
 * @param respond Answers the n-th request of a connection; `false` ends it.
 */
export function http2(
  respond: (send: Send, stream: number, n: number) => Promise<unknown>,
): Serve {
  return async (connection) => {
    const send: Send = async (type, flags, stream, data) => {
      const { length } = data;
      const head = [length >> 16, length >> 8 & 255, length & 255];
      const id = [0, stream >> 16, stream >> 8 & 255, stream & 255];
      const frame = Uint8Array.from([...head, type, flags, ...id, ...data]);
      for (let sent = 0; sent < frame.length;) {
        sent += await connection.write(frame.subarray(sent));
      }
    };
    await send(SETTINGS, 0, 0, []);
    let bytes: number[] = [];
    let requests = 0;
    const read = async (length: number) => {
      const chunk = new Uint8Array(4096);
      while (bytes.length < length) {
        const count = await connection.read(chunk);
        if (count === null) throw new Deno.errors.UnexpectedEof();
        bytes.push(...chunk.subarray(0, count));
      }
      const taken = bytes.slice(0, length);
      bytes = bytes.slice(length);
      return taken;
    };
    await read("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".length);
    for (;;) {
      const head = new DataView(Uint8Array.from(await read(9)).buffer);
      const [type, flags] = [head.getUint8(3), head.getUint8(4)];
      await read(head.getUint32(0) >> 8);
      if (type === SETTINGS && !(flags & 1)) await send(SETTINGS, 1, 0, []);
      if (type !== HEADERS) continue;
      const stream = head.getUint32(5);
      if (await respond(send, stream, ++requests) === false) {
        return connection.close();
      }
    }
  };
}
