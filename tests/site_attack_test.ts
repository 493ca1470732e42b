import { assert, assertEquals } from "@std/assert";
import { delay } from "@std/async/delay";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import {
  FLAGS,
  freePort,
  outcome,
  projectAtFreePorts,
  ROOT,
  STD,
} from "./testing.ts";

const encode = (text: string) => new TextEncoder().encode(text);
const GET = "GET /flags/br/br.gif HTTP/1.1\r\nHost: localhost\r\n";

describe("site/serve.ts, attacked,", () => {
  let port: number;
  let latePort: number;
  let site: Deno.ChildProcess;

  beforeEach(async () => {
    [port, latePort] = [freePort(), freePort()];
    const program = `import { serveSite } from "${ROOT}/site/serve.ts";
import { SITES } from "${ROOT}/site/sites.ts";
const { signal } = new AbortController();
await serveSite({ ...SITES.LOCAL, port: ${port} }, signal);
await serveSite({ ...SITES.DELAY, port: ${latePort}, delay: 0.2 }, signal);
console.log("ready");`;
    site = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", ...STD, `--config=${ROOT}/deno.json`, "-"],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const writer = site.stdin.getWriter();
    await writer.write(encode(program));
    await writer.close();
    const reader = site.stdout.getReader();
    await reader.read();
    reader.releaseLock();
  });

  // After an attack the site is alive, serves, and had nothing to say.
  afterEach(async () => {
    const url = `http://127.0.0.1:${port}/flags/br/br.gif`;
    const flag = await fetch(url).then((answer) => answer.bytes(), String);
    try {
      site.kill();
    } catch { /* It has died. */ }
    const { stderr } = await outcome(site);
    assertEquals(stderr, "");
    assertEquals(flag, await Deno.readFile(`${FLAGS}/br/br.gif`));
  });

  /** What comes back for some bytes, within half a second or until the end. */
  async function send(bytes: Uint8Array): Promise<string> {
    using connection = await Deno.connect({ hostname: "127.0.0.1", port });
    const timer = setTimeout(() => connection.closeWrite(), 500);
    const chunks: string[] = [];
    try {
      const sending = connection.write(bytes).catch(() => 0);
      const decoder = new TextDecoder();
      for await (const chunk of connection.readable) {
        chunks.push(decoder.decode(chunk, { stream: true }));
        if (chunks.join("").includes("\r\n\r\n")) break;
      }
      await sending;
    } catch (error) {
      assert(error instanceof Deno.errors.ConnectionReset, `${error}`);
    } finally {
      clearTimeout(timer);
    }
    return chunks.join("");
  }

  const refused = (answer: string, what: string) =>
    assert(/^HTTP\/1\.1 4\d\d |^$/.test(answer), `${what}: ${answer}`);

  it("serves no file outside of flags/", async () => {
    const paths = [
      "/flags/../deno.json",
      "/flags/../flags2_common.ts",
      "/flags/..%2fdeno.json",
      "/flags/%2e%2e/deno.json",
      "/flags/%252e%252e/deno.json",
      "/flags/....//deno.json",
      "/flags/ad/../../deno.json",
      "/flags/ad/..%5c..%5cdeno.json",
      "/flags/ad\\..\\..\\deno.json",
      "/flags//etc/passwd",
      "//etc/passwd",
      "/etc/passwd",
      "/flags/ad/ad.gif%00.json",
      "/flags/ad/%00",
      "/flags/br/br.gif/",
      "/flags/br/br.gif/../../../deno.json",
      "/flags/br/ad.gif",
      "/flags/br/br.gif;x",
      "/flags/%62r/br.gif",
      "/deno.json?/flags/br/br.gif",
      "/x/flags/br/br.gif",
      "/deno.json#/flags/br/br.gif",
      "http://localhost/deno.json",
      "file:///etc/passwd",
      "*",
      `/flags/${"a".repeat(65536)}`,
      `/flags/${"../".repeat(20000)}etc/passwd`,
    ];
    for (const path of paths) {
      const request = `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`;
      refused(await send(encode(request)), path.slice(0, 80));
    }
  });

  it("refuses other methods", async () => {
    const methods = "POST PUT DELETE OPTIONS TRACE CONNECT PATCH get Get X";
    for (const method of methods.split(" ")) {
      refused(await send(encode(GET.replace("GET", method) + "\r\n")), method);
    }
  });

  it("survives absurd headers and hosts", async () => {
    const headers = [
      "Host: [[[",
      "Host: \xff\xfe",
      "Host: a/b?c#d",
      "Host: ../../..",
      "Content-Length: -1",
      "Content-Length: 1\r\nContent-Length: 2",
      "Content-Length: 99999999999999999999",
      "Transfer-Encoding: chunked\r\nContent-Length: 5",
      "Transfer-Encoding: nonsense",
      "Expect: 100-continue\r\nContent-Length: 10",
      "Upgrade: websocket\r\nConnection: Upgrade",
      "Range: bytes=9999999-",
      `X: ${"x".repeat(1_000_000)}`,
      "X: 1\r\n".repeat(5000) + "Y: 1",
      ": no name",
      "no colon",
    ];
    for (const header of headers) {
      const request = `GET /flags/br/br.gif HTTP/1.1\r\n${header}\r\n\r\n`;
      const answer = await send(
        Uint8Array.from(request, (c) => c.charCodeAt(0)),
      );
      assert(
        /^HTTP\/1\.1 (100|[24]\d\d) |^$/.test(answer),
        header.slice(0, 60) + answer,
      );
    }
  });

  it("survives bytes that are no request", async () => {
    const random = crypto.getRandomValues(new Uint8Array(4096));
    const noise = [
      random,
      encode("\0".repeat(100)),
      encode("\r\n".repeat(100)),
      encode("GET\r\n\r\n"),
      encode("GET / HTTP/9.9\r\n\r\n"),
      encode("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
      Uint8Array.of(0x16, 3, 1, 2, 0, 1, 0), // a TLS greeting
    ];
    for (const bytes of noise) {
      const answer = await send(bytes);
      assert(!answer.includes(" 200 "), answer);
    }
  });

  it(
    "answers requests that come all at once on one connection",
    async () => {
      using connection = await Deno.connect({ hostname: "127.0.0.1", port });
      await connection.write(encode(`${GET}\r\n`.repeat(20)));
      let answers = "";
      for await (const chunk of connection.readable) {
        answers += new TextDecoder("latin1").decode(chunk);
        if (answers.split("HTTP/1.1 200 OK").length > 20) break;
      }
    },
  );

  it(
    "serves beside a thousand idle connections, and half-open ones",
    async () => {
      const connections: Deno.Conn[] = [];
      try {
        for (let i = 0; i < 1000; i++) {
          const connection = await Deno.connect({
            hostname: "127.0.0.1",
            port,
          });
          connections.push(connection);
          if (i % 3 === 1) await connection.write(encode(GET));
          if (i % 3 === 2) await connection.closeWrite();
        }
        const response = await fetch(
          `http://127.0.0.1:${port}/flags/br/br.gif`,
        );
        assertEquals((await response.bytes()).length > 100, true);
      } finally {
        for (const connection of connections) connection.close();
      }
    },
  );

  it("survives clients that vanish", async () => {
    for (let i = 0; i < 100; i++) {
      const connection = await Deno.connect({ hostname: "127.0.0.1", port });
      await connection.write(encode(`${GET}\r\n`.repeat(5)));
      connection.close();
    }
    await delay(50);
  });

  it(
    "survives clients that vanish while their answer is late",
    async () => {
      const connections: Deno.Conn[] = [];
      for (let i = 0; i < 100; i++) {
        const connection = await Deno.connect({
          hostname: "127.0.0.1",
          port: latePort,
        });
        connections.push(connection);
        await connection.write(encode(`${GET}\r\n`));
      }
      await delay(100);
      for (const connection of connections) connection.close();
      await delay(300);
      const url = `http://127.0.0.1:${latePort}/flags/br/br.gif`;
      const response = await fetch(url);
      await response.body?.cancel();
      assertEquals(response.status, 200);
    },
  );

  it("cannot be reached at the machine's other addresses", async () => {
    const others = Deno.networkInterfaces().map(({ address }) => address)
      .filter((address) => !/^(127\.|::1$|fe80:)/.test(address));
    for (const hostname of [...others, "127.0.0.2"]) {
      const connected = await Deno.connect({ hostname, port })
        .then((connection) => connection.close() ?? true, () => false);
      assertEquals(connected, false, hostname);
    }
  });
});

describe("a site that is out of open files", () => {
  /** Run a program that may open 64 files and has a site. */
  function limited(port: number, program: string): Deno.ChildProcess {
    const words = [
      Deno.execPath(),
      "eval",
      ...STD,
      `--config=${ROOT}/deno.json`,
    ];
    const site = `import { serveSite } from "${ROOT}/site/serve.ts";
import { SITES } from "${ROOT}/site/sites.ts";
const { signal } = new AbortController();
await serveSite({ ...SITES.LOCAL, port: ${port} }, signal);
`;
    return new Deno.Command("sh", {
      args: ["-c", 'ulimit -n 64 && exec "$@"', "sh", ...words, site + program],
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  }

  it("serves on when there are files again", async () => {
    const port = freePort();
    const site = limited(port, 'console.log("ready");');
    const reader = site.stdout.getReader();
    await reader.read();
    reader.releaseLock();
    const connections: Deno.Conn[] = [];
    for (let i = 0; i < 200; i++) {
      const connection = await Deno.connect({ hostname: "127.0.0.1", port })
        .catch(() => undefined); // The site takes none just now.
      if (connection) connections.push(connection);
    }
    await delay(200);
    for (const connection of connections) connection.close();

    const url = `http://127.0.0.1:${port}/flags/br/br.gif`;
    let length = 0;
    for (let tries = 0; tries < 600 && length === 0; tries++) {
      length = await fetch(url).then(
        async (response) => (await response.bytes()).length,
        () => 0,
      );
      if (length === 0) await delay(50);
    }
    site.kill();
    const { stderr } = await outcome(site);
    assertEquals(stderr, "");
    assert(length > 100, "the site is gone");
  });

  it("answers with 500 what it cannot read, not with 404", async () => {
    const port = freePort();
    const site = limited(
      port,
      `const connection = await Deno.connect({ hostname: "127.0.0.1", port: ${port} });
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
    );
    const { stdout, stderr } = await outcome(site);
    assertEquals([stdout, stderr], ["500,500,200,200\n", ""]);
  });
});

describe("site/serve.ts", () => {
  it("names the port that is in use, in one line, and exits with 1", async () => {
    await using copy = await projectAtFreePorts();
    const [, used] = copy.ports;
    using _listener = Deno.listen({ hostname: "127.0.0.1", port: used });
    const program = `${copy.path}/site/serve.ts`;
    // The site that was started first must not keep the program alive.
    for (const [labels, lines] of [[["DELAY"], 0], [["LOCAL", "DELAY"], 1]]) {
      const child = new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", ...STD, program, ...labels as string[]],
        stdin: "null",
        stdout: "piped",
        stderr: "piped",
      }).spawn();
      const timer = setTimeout(() => child.kill(), 60_000);
      const { code, stdout, stderr } = await outcome(child);
      clearTimeout(timer);
      assertEquals(stderr, `*** Port ${used} is in use\n`);
      assertEquals([code, stdout.split("\n").length - 1], [1, lines]);
    }
  });
});
