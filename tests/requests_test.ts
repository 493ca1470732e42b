import { assert, assertEquals, assertRejects } from "@std/assert";
import { delay } from "@std/async/delay";
import { describe, it } from "@std/testing/bdd";
import { ConnectionError, get } from "../lib/requests.ts";
import { FaultSite, flagOf } from "./fault_site.ts";
import {
  commandLine,
  freePort,
  has,
  itIf,
  itInTerminal,
  itOnLinux,
  outcome,
  parseReport,
  quoted,
  run,
  spawn,
  start,
  TemporaryFolder,
} from "./testing.ts";

/** A server on a free port. */
function serve(handler: (url: URL) => Response, port = 0) {
  const server = Deno.serve(
    { hostname: "127.0.0.1", port, onListen() {} },
    (request) => handler(new URL(request.url)),
  );
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

/** An answer that leads elsewhere. */
function redirect(location: string, status = 302): Response {
  return new Response(null, { status, headers: { location } });
}

describe("a redirect", () => {
  const limits = { timeout: 60, signal: new AbortController().signal };

  for (const status of [301, 302, 303, 307, 308]) {
    it(`is followed: ${status}`, async () => {
      await using server = serve(({ pathname }) =>
        pathname === "/a/b" ? redirect("../c", status) : new Response(pathname)
      );
      const { content } = await get(`${server.url}/a/b`, limits);
      assertEquals(new TextDecoder().decode(content), "/c");
    });
  }

  for (const status of [300, 304, 305]) {
    it(`is not one: ${status}`, async () => {
      await using server = serve(() => redirect("/", status));
      assertEquals((await get(server.url, limits)).status, status);
    });
  }

  it("may be the 20th, and not the 21st", async () => {
    await using server = serve(({ pathname }) => {
      const left = Number(pathname.slice(1));
      return left > 0 ? redirect(`/${left - 1}`) : new Response();
    });
    assertEquals((await get(`${server.url}/20`, limits)).status, 200);
    await assertRejects(() => get(`${server.url}/21`, limits), ConnectionError);
  });
});

const encode = (text: string) => new TextEncoder().encode(text);
const FLAG = flagOf("BR");

describe("a connection that is closed", () => {
  const { signal } = new AbortController();
  const ask = (site: FaultSite, timeout: number) =>
    get(`${site.url}/br/br.gif`, { timeout, signal });

  for (
    const [how, fault] of [
      ["unannounced", "closed when used again"],
      ["with a 408", "408 when used again"],
    ] as const
  ) {
    it(`${how} when it is used again costs no flag`, async () => {
      await using site = new FaultSite({ "*": fault });
      await using folder = new TemporaryFolder();
      const args = ["-s", site.url, "-e", "-l", "300", "-m", "30"];
      const { stdout } = await run("asyncio", args, { cwd: folder.path });
      assertEquals(parseReport(stdout).flags, 300);
    });
  }

  it("again and again is an error after three requests", async () => {
    await using site = new FaultSite({ "*": "closed at once" });
    await assertRejects(() => ask(site, 60), ConnectionError);
    assertEquals(site.requests.length, 3);
  });

  it("after an answer has begun is an error at once", async () => {
    await using site = new FaultSite({ "*": "short body" });
    await assertRejects(() => ask(site, 60), ConnectionError, "incomplete");
    assertEquals(site.requests.length, 1);
  });

  it("leaves the next request what is left of the timeout", async () => {
    await using site = new FaultSite({ "*": "closed late" });
    const t0 = performance.now();
    await assertRejects(() => ask(site, 1), ConnectionError, "Timed out after");
    const elapsed = performance.now() - t0;
    assertEquals(site.requests.length, 2);
    // With a timeout of its own it would be 1.6 s at least; timers are not early.
    assert(elapsed < 1600, `${elapsed} ms`);
  });
});

describe("when nobody listens, a request", () => {
  const { signal } = new AbortController();

  it("asks whether somebody does now, and goes on as long as it is told so", async () => {
    const port = freePort();
    const url = `http://127.0.0.1:${port}/`;
    const asked: string[] = [];
    let server: ReturnType<typeof serve> | undefined;
    const revive = (url: string) => {
      asked.push(url);
      if (asked.length === 2) server = serve(() => new Response("here"), port);
      return Promise.resolve(true);
    };
    const { content } = await get(url, { timeout: 60, signal, revive });
    await server![Symbol.asyncDispose]();
    assertEquals(new TextDecoder().decode(content), "here");
    assertEquals(asked, [url, url]);
  });

  it("is an error where that is not asked, or denied", async () => {
    const url = `http://127.0.0.1:${freePort()}/`;
    for (const revive of [undefined, () => Promise.resolve(false)]) {
      const asked = () => get(url, { timeout: 60, signal, revive });
      await assertRejects(asked, ConnectionError, "Connection error: ");
    }
  });
});

const itSecure = itIf(await has("openssl", "version"), "openssl");

/** A key and a certificate of localhost that nobody but itself has signed. */
async function certificate(folder: TemporaryFolder) {
  const options = "req -x509 -newkey rsa:2048 -nodes -keyout key.pem -days 2 " +
    "-out cert.pem -subj /CN=localhost -addext subjectAltName=DNS:localhost " +
    "-addext basicConstraints=critical,CA:FALSE";
  const args = options.split(" ");
  await new Deno.Command("openssl", { args, cwd: folder.path }).output();
  const read = (name: string) => Deno.readTextFile(`${folder.path}/${name}`);
  return { cert: await read("cert.pem"), key: await read("key.pem") };
}

describe("over TLS", () => {
  itSecure(
    "a certificate that nobody has signed is told in words",
    async () => {
      await using folder = new TemporaryFolder();
      const options = { port: 0, onListen() {}, ...await certificate(folder) };
      await using server = Deno.serve(options, () => new Response());
      const { signal } = new AbortController();
      const url = `https://localhost:${server.addr.port}/`;
      await assertRejects(
        () => get(url, { timeout: 60, signal }),
        ConnectionError,
        "Connection error: the server's certificate cannot be trusted: ",
      );
    },
  );

  itSecure("a body that HTTP/2 breaks off is an error", async () => {
    await using folder = new TemporaryFolder();
    const secrets = await certificate(folder);
    // CANCEL and others; with NO_ERROR and CANCEL the runtime's bytes just end.
    for (const code of [0, 7, 8, 11]) {
      using listener = Deno.listenTls({
        hostname: "127.0.0.1",
        port: 0,
        alpnProtocols: ["h2"],
        ...secrets,
      });
      const served = listener.accept().then((connection) =>
        breakOff(connection, code)
      );
      const url = `https://localhost:${listener.addr.port}/flags`;
      const { stdout } = await run("asyncio", ["-v", "-s", url, "br"], {
        cwd: folder.path,
        env: { DENO_CERT: "cert.pem" },
      });
      await served;
      const line = "*** Error for BR: Connection error: incomplete body";
      assertEquals(stdout.split("\n")[3], line, `code ${code}`);
    }
  });
});

/** A frame of HTTP/2 (RFC 9113, 4.1). */
function frame(type: number, flags: number, stream: number, payload: number[]) {
  const head = [0, payload.length >> 8, payload.length & 255, type, flags];
  return Uint8Array.from([...head, 0, 0, 0, stream, ...payload]);
}

/** Answer the first request with a part of its flag, and reset the stream. */
async function breakOff(connection: Deno.Conn, code: number): Promise<void> {
  const [DATA, HEADERS, RST_STREAM, SETTINGS] = [0, 1, 3, 4];
  const length = [...encode(`${FLAG.length}`)];
  // Status 200 and content-length, by their places in HPACK's static table.
  const headers = [0x88, 0x0f, 0x0d, length.length, ...length];
  using _ = { [Symbol.dispose]: () => connection.close() };
  await connection.write(frame(SETTINGS, 0, 0, []));
  await connection.read(new Uint8Array(65536));
  await connection.write(frame(SETTINGS, 1, 0, []));
  await delay(50);
  await connection.write(frame(HEADERS, 4, 1, headers));
  await connection.write(frame(DATA, 0, 1, [...FLAG.subarray(0, 300)]));
  await connection.write(frame(RST_STREAM, 0, 1, [0, 0, 0, code]));
  while (await connection.read(new Uint8Array(65536)).catch(() => null));
}

describe("in a pseudo-terminal, a redirect", () => {
  /** Nothing else ends a thread that asks for a permission. */
  const KILL = "timeout --foreground -s KILL 60";
  const ELSEWHERE = [
    "http://example.com/flag.gif",
    "http://user:password@example.com/",
    "https://example.com/",
    "//example.com/",
    "http://127.0.0.1:1/",
    "http://[::1]:8001/",
    "http://localhost/",
    "http://a..b/",
    "file:///etc/hostname",
    "data:image/gif,GIF89a;",
    "blob:http://127.0.0.1/1",
    "ws://example.com/",
  ];
  itInTerminal("asks for no permission", async () => {
    await using granted = serve(() => new Response(flagOf("OK")));
    await using site = serve(({ pathname }) => {
      const place = pathname.charCodeAt(2) - "a".charCodeAt(0);
      return redirect(ELSEWHERE[place] ?? granted.url);
    });
    await using folder = new TemporaryFolder();
    const hosts = [site, granted].map(({ url }) => new URL(url).host);
    const words = commandLine("threadpool", ["-s", site.url, "a"], {
      permissions: [
        `--allow-net=${hosts}`,
        "--allow-read",
        "--allow-write=downloads",
      ],
    });
    const line = `${KILL} ${quoted(words)}`;
    const { code, stdout } = await outcome(
      spawn(["script", "-qec", line, "/dev/null"], { cwd: folder.path }),
    );
    const text = stdout.replaceAll("\r\n", "\n");
    assert(!/allow\?|\[y\/n/i.test(text), text);
    const { flags, errors } = parseReport(text);
    assertEquals([code, errors], [0, ELSEWHERE.length], text);
    assertEquals(flags, 26 - ELSEWHERE.length);
  });
});

describe("a body without end", () => {
  /** The most memory that a process has had so far, in megabytes. */
  const memory = async (pid: number) => {
    const { stdout } = await outcome(spawn(["cat", `/proc/${pid}/status`]));
    return Number(stdout.match(/^VmHWM:\s+(\d+) kB$/m)![1]) / 1024;
  };
  for (const fault of ["gzip bomb", "x-gzip bomb", "endless chunks"] as const) {
    itOnLinux(`takes no more memory than it needs: ${fault}`, async () => {
      await using folder = new TemporaryFolder();
      await using site = new FaultSite({ AA: fault, AB: "no answer" });
      const args = ["-s", site.url, "-m", "1", "-t", "60", "AA", "AB"];
      const child = start("asyncio", args, { cwd: folder.path });
      const ended = outcome(child);
      await site.asked(2); // It is done with the first one then.
      const megabytes = await memory(child.pid);
      child.kill("SIGKILL");
      await ended;
      assert(megabytes < 400, `${megabytes} MB`);
    });
  }
});
