/**
 * Servers over TLS that end their connections early, on HTTP/1.1 and HTTP/2.
 *
 * @module
 */

import { flagOf, readTo, write } from "./fault_site.ts";
import { type Script, TemporaryFolder } from "../bench/scripts.ts";
import { type Outcome, runScript } from "./processes.ts";

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

/** A protocol, and a function that answers the requests of a connection. */
interface Behaviour {
  protocol: "http/1.1" | "h2";
  /** Answers requests; `cut` ends the connection without TLS's close_notify. */
  serve: (connection: Deno.TlsConn, cut: () => void) => Promise<void>;
}

/** Start a TLS server behind a relay, which can cut connections (RFC 8446, 6.1). */
function serveTls(
  secrets: Deno.TlsCertifiedKeyPem,
  { protocol, serve }: Behaviour,
): AsyncDisposable & { url: string } {
  const address = { hostname: "127.0.0.1", port: 0 };
  const outer = Deno.listen(address);
  const alpnProtocols = [protocol];
  const inner = Deno.listenTls({ ...address, ...secrets, alpnProtocols });
  const open: Disposable[] = [outer, inner];
  const accept = async () => {
    for await (const client of outer) {
      const relay = await Deno.connect({ port: inner.addr.port });
      const connection = await inner.accept();
      open.push(client, relay, connection);
      const running = [
        client.readable.pipeTo(relay.writable),
        relay.readable.pipeTo(client.writable),
        serve(connection, () => client[Symbol.dispose]()),
      ];
      pending.push(Promise.allSettled(running));
    }
  };
  const pending: Promise<unknown>[] = [accept()];
  return {
    url: `https://127.0.0.1:${outer.addr.port}/flags`,
    async [Symbol.asyncDispose]() {
      for (const one of open) one[Symbol.dispose]();
      await Promise.all(pending);
    },
  };
}

/** Run a script with `-v` against a site whose certificate the script trusts. */
export async function runOverTls(
  script: Script,
  args: string,
  behaviour: Behaviour,
): Promise<Outcome> {
  await using folder = new TemporaryFolder();
  const secrets = await certificate(folder);
  await using site = serveTls(secrets, behaviour);
  const options = { cwd: folder.path, env: { DENO_CERT: "cert.pem" } };
  return await runScript(script, `-s ${site.url} -v ${args}`, options);
}

/** Return a behaviour on HTTP/1.1: cut each connection before the n-th answer. */
export function cutBefore(answer: number): Behaviour {
  const head = `HTTP/1.1 200 OK\r\nContent-Length: ${FLAG.length}\r\n\r\n`;
  const bytes = Buffer.concat([Buffer.from(head), FLAG]);
  const serve: Behaviour["serve"] = async (connection, cut) => {
    for (let n = 1; await readTo("\r\n\r\n", connection, 1024); n++) {
      if (n === answer) return cut();
      await write(connection, bytes);
    }
  };
  return { protocol: "http/1.1", serve };
}

/** Read exactly `length` bytes. */
async function read(connection: Deno.Conn, length: number): Promise<DataView> {
  const bytes = new Uint8Array(length);
  for (let done = 0; done < length;) {
    const count = await connection.read(bytes.subarray(done));
    if (count === null) throw new Deno.errors.UnexpectedEof();
    done += count;
  }
  return new DataView(bytes.buffer);
}

/** Types of frames (RFC 9113, 6). */
const DATA = 0, HEADERS = 1, RST_STREAM = 3, SETTINGS = 4, GOAWAY = 7;
/** Error codes (RFC 9113, 7). */
const REFUSED_STREAM = 7, CANCEL = 8;

type Reaction = "answer" | "breakOff" | "refuse" | "goAway";

/** The `n`-th request of a connection on HTTP/2, and the server's reactions. */
type Stream = { n: number } & Record<Reaction, () => Promise<void>>;

/** Return a behaviour on HTTP/2. */
export function http2(respond: (stream: Stream) => Promise<void>): Behaviour {
  const serve = async (connection: Deno.TlsConn) => {
    /** Send a frame (RFC 9113, 4.1); a byte keeps the low bits of its number. */
    const send = (type: number, flags: number, id: number, data: number[]) => {
      const head = [0, data.length >> 8, data.length, type, flags];
      const stream = [0, 0, id >> 8, id];
      const frame = Uint8Array.from([...head, ...stream, ...data]);
      return write(connection, frame);
    };
    await send(SETTINGS, 0, 0, []);
    await read(connection, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".length);
    for (let n = 1;;) {
      const head = await read(connection, 9);
      const [type, flags] = [head.getUint8(3), head.getUint8(4)];
      await read(connection, head.getUint32(0) >> 8);
      if (type === SETTINGS && !(flags & 1)) await send(SETTINGS, 1, 0, []);
      if (type !== HEADERS) continue;
      const id = head.getUint32(5);
      const sendFlag = async (flags: number, bytes?: number) => {
        // The numbers are status 200 and content-length in HPACK's static table.
        const length = [...new TextEncoder().encode(`${FLAG.length}`)];
        const headers = [0x88, 0x0f, 0x0d, length.length, ...length];
        await send(HEADERS, 4, id, headers);
        await send(DATA, flags, id, [...FLAG.subarray(0, bytes)]);
      };
      const reset = (error: number) =>
        send(RST_STREAM, 0, id, [0, 0, 0, error]);
      await respond({
        n: n++,
        answer: () => sendFlag(1),
        breakOff: () => sendFlag(0, 300).then(() => reset(CANCEL)),
        refuse: () => reset(REFUSED_STREAM),
        // The server refuses this request and later ones.
        async goAway() {
          const last = Math.max(0, id - 2);
          await send(GOAWAY, 0, 0, [0, 0, 0, last, 0, 0, 0, 0]);
          // The client closes the connection once it has all the answers.
          for await (const _ of connection.readable);
        },
      });
    }
  };
  return { protocol: "h2", serve };
}
