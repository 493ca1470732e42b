import { assert, assertEquals } from "@std/assert";
import { delay } from "@std/async/delay";
import { describe, it } from "@std/testing/bdd";
import {
  eventually,
  freePort,
  itOnLinux,
  outcome,
  ROOT,
  spawn,
  STD,
} from "./testing.ts";

const HOST = "HTTP/1.1\r\nHost: localhost\r\n";
const GET = `GET /flags/br/br.gif ${HOST}`;
const hostname = "127.0.0.1";

/** Start sites in a process of their own. */
async function start(ports: Record<string, number>, within: string[] = []) {
  const url = (name: string) => new URL(`../site/${name}`, import.meta.url);
  const program = `import { serveSite } from "${url("serve.ts")}";
import { SITES } from "${url("sites.ts")}";
// The runtime opens what it needs for signals now: out of files it would panic.
Deno.addSignalListener("SIGTERM", Deno.exit);
for (const [label, port] of Object.entries(${JSON.stringify(ports)})) {
  serveSite({ ...SITES[label], port });
}`;
  const config = `--config=${ROOT}/deno.json`;
  const words = [Deno.execPath(), "eval", ...STD, config, program];
  const site = spawn([...within, ...words], { limit: 300 }); // For all tests.
  for (const port of Object.values(ports)) {
    await eventually(() => lengthOfFlag(port));
  }
  return site;
}

/** Bytes of a flag on a new connection; none when it is not to be had. */
const lengthOfFlag = (port: number) =>
  fetch(`http://${hostname}:${port}/flags/br/br.gif`, {
    headers: { connection: "close" },
  }).then(async (answer) => (await answer.bytes()).length, () => 0);

const [port, latePort] = [freePort(), freePort()];
const site = await start({ LOCAL: port, DELAY: latePort });
addEventListener("unload", () => site.kill());

/** What sites have said on standard error. */
let said = "";
site.stderr.pipeThrough(new TextDecoderStream())
  .pipeTo(new WritableStream({ write: (text) => void (said += text) }));

describe("a site, attacked,", () => {
  /** The site serves, and has said nothing. */
  async function assertWell(): Promise<void> {
    assertEquals([await lengthOfFlag(port), said], [3402, ""]);
  }

  /** A connection on which some text was sent. */
  async function connect(text: string, at = port): Promise<Deno.TcpConn> {
    const connection = await Deno.connect({ hostname, port: at });
    await connection.write(new TextEncoder().encode(text));
    return connection;
  }

  /** The head of what comes back, within half a second or until the end. */
  async function send(text: string): Promise<string> {
    using connection = await connect(text);
    const timer = setTimeout(() => connection.closeWrite(), 500);
    let answer = "";
    try {
      for await (const chunk of connection.readable) {
        answer += new TextDecoder("latin1").decode(chunk);
        if (answer.includes("\r\n\r\n")) break;
      }
    } catch (error) {
      assert(error instanceof Deno.errors.ConnectionReset, `${error}`);
    } finally {
      clearTimeout(timer);
    }
    return answer;
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
    paths.push(`/flags/${"../".repeat(20000)}etc/passwd`);
    const requests = paths.map((path) => `GET ${path} ${HOST}\r\n`);
    requests.push("GET / HTTP/9.9\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    for (const request of [...requests, "\0".repeat(100)]) {
      const answer = await send(request);
      assert(!/^HTTP\/\S+ [23]/.test(answer), request.slice(0, 80) + answer);
    }
    await assertWell();
  });

  it("survives absurd headers and hosts", async () => {
    const both = "Transfer-Encoding: chunked\r\nContent-Length: 5";
    const large = `X: ${"x".repeat(100_000)}`;
    for (const header of ["Host: [[[", "Host: a/b?c#d", both, large]) {
      await send(`GET /flags/br/br.gif HTTP/1.1\r\n${header}\r\n\r\n`);
    }
    await assertWell();
  });

  it("serves beside clients that are idle, do not read, or vanish", async () => {
    const clients: [text: string, isLate: boolean][] = [
      ["", false],
      [GET, false],
      [`GET /page/events ${HOST}\r\n`, false],
      [`${GET}\r\n`.repeat(5), false],
      [`${GET}\r\n`, true],
    ];
    const connections: Deno.TcpConn[] = [];
    for (let i = 0; i < 500; i++) {
      const [text, isLate] = clients[i % clients.length]!;
      const connection = await connect(text, isLate ? latePort : port);
      connections.push(connection);
      if (i % 3 === 2) await connection.closeWrite();
    }
    await assertWell();
    for (const connection of connections) connection.close();
    assertEquals(await lengthOfFlag(latePort), 3402);
    await assertWell();
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

  itOnLinux("serves on when it was out of open files", async () => {
    const port = freePort();
    const within = ["sh", "-c", 'ulimit -n 64 && exec "$@"', "sh"];
    const site = await start({ LOCAL: port }, within);
    const connections: Deno.Conn[] = [];
    for (let i = 0; i < 200; i++) {
      await Deno.connect({ hostname, port }).then(
        (connection) => connections.push(connection),
        () => {}, // The site takes none just now.
      );
    }
    await delay(200);
    for (const connection of connections) connection.close();
    assertEquals(await eventually(() => lengthOfFlag(port)), 3402);
    site.kill();
    assertEquals((await outcome(site)).stderr, "");
  });
});
