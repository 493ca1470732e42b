import { assert, assertEquals } from "@std/assert";
import { delay } from "@std/async/delay";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import {
  eventually,
  freePort,
  itOnLinux,
  outcome,
  ROOT,
  spawn,
  STD,
} from "./testing.ts";

const encode = (text: string) => new TextEncoder().encode(text);
const HOST = "HTTP/1.1\r\nHost: localhost\r\n";
const GET = `GET /flags/br/br.gif ${HOST}`;
const hostname = "127.0.0.1";

/** Run a program that has `serve(label, site)`. */
function start(program: string, within: string[] = []): Deno.ChildProcess {
  const url = (name: string) => new URL(`../site/${name}`, import.meta.url);
  const imports = `import { serveSite } from "${url("serve.ts")}";
import { SITES } from "${url("sites.ts")}";
const serve = (label, site) => serveSite({ ...SITES[label], ...site });
// The runtime opens what it needs for signals now: out of files it would panic.
Deno.addSignalListener("SIGTERM", Deno.exit);
`;
  return spawn([
    ...[...within, Deno.execPath(), "eval", ...STD],
    ...[`--config=${ROOT}/deno.json`, imports + program],
  ]);
}

/** Wait for the first word of a program. */
async function isReady(site: Deno.ChildProcess): Promise<void> {
  const reader = site.stdout.getReader();
  await reader.read();
  reader.releaseLock();
}

/** Bytes of a flag; none when it is not to be had. */
const lengthOfFlag = (port: number) =>
  fetch(`http://${hostname}:${port}/flags/br/br.gif`)
    .then(async (answer) => (await answer.bytes()).length, () => 0);

describe("a site, attacked,", () => {
  let port: number;
  let latePort: number;
  let site: Deno.ChildProcess;

  beforeEach(async () => {
    [port, latePort] = [freePort(), freePort()];
    site = start(
      `serve("LOCAL", { port: ${port} });
serve("DELAY", { port: ${latePort}, delay: 0.2 });
console.log("ready");`,
    );
    await isReady(site);
  });

  // After an attack the site is alive, serves, and had nothing to say.
  afterEach(async () => {
    const length = await lengthOfFlag(port);
    try {
      site.kill();
    } catch { /* It has died. */ }
    assertEquals([(await outcome(site)).stderr, length], ["", 3402]);
  });

  /** A connection on which some text was sent. */
  async function connect(text: string, at = port): Promise<Deno.TcpConn> {
    const connection = await Deno.connect({ hostname, port: at });
    await connection.write(encode(text));
    return connection;
  }

  /** What comes back for some bytes, within half a second or until the end. */
  async function send(bytes: Uint8Array): Promise<string> {
    using connection = await Deno.connect({ hostname, port });
    const timer = setTimeout(() => connection.closeWrite(), 500);
    let answer = "";
    try {
      const sending = connection.write(bytes).catch(() => 0);
      for await (const chunk of connection.readable) {
        answer += new TextDecoder("latin1").decode(chunk);
        if (answer.includes("\r\n\r\n")) break;
      }
      await sending;
    } catch (error) {
      assert(error instanceof Deno.errors.ConnectionReset, `${error}`);
    } finally {
      clearTimeout(timer);
    }
    return answer;
  }

  /** See that what is asked for, if it is answered, is neither given nor done. */
  async function assertNothing(requests: (string | Uint8Array)[]) {
    for (const request of requests) {
      const bytes = typeof request === "string" ? encode(request) : request;
      const answer = await send(bytes);
      const what = new TextDecoder().decode(bytes.subarray(0, 80));
      assert(!/^HTTP\/\S+ [23]/.test(answer), `${what}: ${answer}`);
    }
  }

  it("serves no file outside of flags/, and nothing for what is no request", async () => {
    const paths = `/flags/../deno.json /flags/..%2fdeno.json
      /flags/%2e%2e/deno.json /flags/%252e%252e/deno.json
      /flags/....//deno.json /flags/ad/../../deno.json
      /flags/ad/..%5c..%5cdeno.json /flags/ad\\..\\..\\deno.json
      /flags//etc/passwd //etc/passwd /etc/passwd
      /flags/ad/ad.gif%00.json /flags/ad/%00 /flags/br/br.gif/
      /flags/br/br.gif/../../../deno.json /flags/br/ad.gif /flags/br/br.gif;x
      /flags/%62r/br.gif /deno.json?/flags/br/br.gif /x/flags/br/br.gif
      /deno.json#/flags/br/br.gif http://localhost/deno.json
      /page/../deno.json /page/page.ts /page/..%2fserve.ts /page/br/br.gif
      file:///etc/passwd * // /flags// /index.html /flags/index.html
      /flags/xx/xx.gif /flags/ad/ad.png /flags/AD/AD.gif /page/page.html`.split(
      /\s+/,
    );
    paths.push(`/flags/${"a".repeat(65536)}`);
    paths.push(`/flags/${"../".repeat(20000)}etc/passwd`);
    await assertNothing([
      ...paths.map((path) => `GET ${path} ${HOST}\r\n`),
      crypto.getRandomValues(new Uint8Array(4096)),
      Uint8Array.of(0x16, 3, 1, 2, 0, 1, 0), // a TLS greeting
      "\0".repeat(100),
      "\r\n".repeat(100),
      "GET\r\n\r\n",
      "GET / HTTP/9.9\r\n\r\n",
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ]);
  });

  it("survives absurd headers and hosts", async () => {
    const headers = [
      "Host: [[[",
      "Host: a/b?c#d",
      "Content-Length: 99999999999999999999",
      "Transfer-Encoding: chunked\r\nContent-Length: 5",
      "Expect: 100-continue\r\nContent-Length: 10",
      "Upgrade: websocket\r\nConnection: Upgrade",
      `X: ${"x".repeat(1_000_000)}`,
      "X: 1\r\n".repeat(5000) + "Y: 1",
    ];
    const path = "/flags/br/br.gif";
    for (const header of headers) {
      await send(encode(`GET ${path} HTTP/1.1\r\n${header}\r\n\r\n`));
    }
  });

  it("answers requests that come all at once on one connection", async () => {
    using connection = await connect(`${GET}\r\n`.repeat(20));
    let answers = "";
    for await (const chunk of connection.readable) {
      answers += new TextDecoder("latin1").decode(chunk);
      if (answers.split("HTTP/1.1 200 OK").length > 20) break;
    }
  });

  it("serves beside a thousand idle connections, half-open ones, and watchers who do not read", async () => {
    const texts = ["", GET, `GET /page/events ${HOST}\r\n`];
    const connections: Deno.Conn[] = [];
    try {
      for (let i = 0; i < 1000; i++) {
        const connection = await connect(texts[i % 50 ? i % 2 : 2]!);
        connections.push(connection);
        if (i % 3 === 2) await connection.closeWrite();
      }
      assertEquals(await lengthOfFlag(port), 3402);
    } finally {
      for (const connection of connections) connection.close();
    }
  });

  it("survives clients that vanish, also while their answer is late", async () => {
    const connections: Deno.Conn[] = [];
    for (let i = 0; i < 100; i++) {
      (await connect(`${GET}\r\n`.repeat(5))).close();
      connections.push(await connect(`${GET}\r\n`, latePort));
    }
    await delay(100);
    for (const connection of connections) connection.close();
    await delay(300);
    assertEquals(await lengthOfFlag(latePort), 3402);
  });

  it("cannot be reached at the machine's other addresses", async () => {
    const others = Deno.networkInterfaces().map(({ address }) => address)
      .filter((address) => !/^(127\.|::1$|fe80:)/.test(address));
    for (const hostname of [...others, "127.0.0.2"]) {
      const signal = AbortSignal.timeout(2000); // Some systems wait for one.
      const connected = await Deno.connect({ hostname, port, signal })
        .then((connection) => connection.close() ?? true, () => false);
      assertEquals(connected, false, hostname);
    }
  });
});

describe("a site that is out of open files", () => {
  const within = ["sh", "-c", 'ulimit -n 64 && exec "$@"', "sh"];

  itOnLinux("serves on when there are files again", async () => {
    const port = freePort();
    const site = start(
      `serve("LOCAL", { port: ${port} }); console.log("ready");`,
      within,
    );
    await isReady(site);
    const connections: Deno.Conn[] = [];
    for (let i = 0; i < 200; i++) {
      const connection = await Deno.connect({ hostname, port })
        .catch(() => undefined); // The site takes none just now.
      if (connection) connections.push(connection);
    }
    await delay(200);
    for (const connection of connections) connection.close();

    const length = await eventually(() => lengthOfFlag(port));
    site.kill();
    assertEquals([(await outcome(site)).stderr, length], ["", 3402]);
  });

  itOnLinux("answers with 500 what it cannot read, not with 404", async () => {
    const port = freePort();
    const site = start(
      `serve("LOCAL", { port: ${port} });
const connection = await Deno.connect({ hostname: "${hostname}", port: ${port} });
const statuses = [];
const ask = async (path) => {
  const request = "HEAD " + path + " HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n";
  await connection.write(new TextEncoder().encode(request));
  const answer = new Uint8Array(1000);
  await connection.read(answer);
  statuses.push(new TextDecoder().decode(answer).split(" ")[1]);
};
const files = [];
try {
  for (;;) files.push(Deno.openSync("/dev/null"));
} catch { /* There are no more. */ }
for (const path of ["/flags/br/br.gif", "/"]) await ask(path);
for (const file of files) file.close();
for (const path of ["/flags/br/br.gif", "/"]) await ask(path);
console.log(statuses.join());
Deno.exit();`,
      within,
    );
    const { stdout, stderr } = await outcome(site);
    assertEquals([stdout, stderr], ["500,500,200,200\n", ""]);
  });
});
