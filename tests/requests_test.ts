import { assert, assertEquals, assertRejects } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { ConnectionError, get } from "../lib/requests.ts";
import { FaultSite, flagOf, readTo } from "./fault_site.ts";
import {
  commandLine,
  freePort,
  has,
  itIf,
  itInTerminal,
  parseReport,
  quoted,
  run,
  TemporaryFolder,
  terminalOf,
} from "./testing.ts";

const { signal } = new AbortController();
const limits = { timeout: 60, signal };

/** A server on a free port. */
function serve(handler: (url: URL) => Response, port = 0) {
  const server = Deno.serve(
    { hostname: "127.0.0.1", port, onListen() {} },
    (request) => handler(new URL(request.url)),
  );
  return Object.assign(server, { url: `http://127.0.0.1:${server.addr.port}` });
}

/** An answer that leads elsewhere. */
function redirect(location: string, status = 302): Response {
  return new Response(null, { status, headers: { location } });
}

describe("a redirect", () => {
  it("is followed, or is not one, by its status", async () => {
    for (const status of [300, 301, 302, 303, 304, 305, 307, 308]) {
      await using server = serve(({ pathname }) =>
        pathname === "/a/b" ? redirect("../c", status) : new Response(pathname)
      );
      const reply = await get(`${server.url}/a/b`, limits);
      const isOne = ![300, 304, 305].includes(status);
      assertEquals(reply.status, isOne ? 200 : status);
      const text = new TextDecoder().decode(reply.content);
      assertEquals(text, isOne ? "/c" : "");
    }
  });

  it("may be the 20th, and not the 21st", async () => {
    await using server = serve(({ pathname }) => {
      const left = Number(pathname.slice(1));
      return left > 0 ? redirect(`/${left - 1}`) : new Response();
    });
    assertEquals((await get(`${server.url}/20`, limits)).status, 200);
    await assertRejects(() => get(`${server.url}/21`, limits), ConnectionError);
  });
});

const FLAG = flagOf("BR");

describe("a connection that is closed", () => {
  const ask = (site: FaultSite, timeout = 60) =>
    get(`${site.url}/br/br.gif`, { timeout, signal });

  it("when it is used again costs no flag, be all idle ones closed", async () => {
    for (const how of ["closed", "408"] as const) {
      await using site = new FaultSite({ "*": `${how} when used again` });
      await Promise.all(Array.from({ length: 5 }, () => ask(site)));
      assertEquals((await ask(site)).content, FLAG);
    }
  });

  it("again and again is an error after three requests", async () => {
    await using site = new FaultSite({ "*": "closed at once" });
    await assertRejects(() => ask(site), ConnectionError);
    assertEquals(site.requests.length, 3);
  });

  it("after an answer has begun is an error at once", async () => {
    await using site = new FaultSite({ "*": "short body" });
    await assertRejects(() => ask(site), ConnectionError, "incomplete");
    assertEquals(site.requests.length, 1);
  });

  it("leaves the next requests what is left of the timeout", async () => {
    const options = { latency: 600 };
    await using site = new FaultSite({ "*": "closed at once" }, options);
    await assertRejects(() => ask(site, 1), ConnectionError, "Timed out after");
    // With a timeout of its own there would be a third.
    assert(site.requests.length < 3);
  });
});

describe("when nobody listens, a request", () => {
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
    const { content } = await get(url, { ...limits, revive });
    await server![Symbol.asyncDispose]();
    assertEquals(new TextDecoder().decode(content), "here");
    assertEquals(asked, [url, url]);
  });

  it("is an error where that is not asked, or denied", async () => {
    const url = `http://127.0.0.1:${freePort()}/`;
    for (const revive of [undefined, () => Promise.resolve(false)]) {
      const asked = () => get(url, { ...limits, revive });
      await assertRejects(asked, ConnectionError, "Connection error: ");
    }
  });
});

const itSecure = itIf(await has("openssl", "version"), "openssl");

/** A key and a certificate of localhost that nobody but itself has signed. */
async function certificate(folder: TemporaryFolder) {
  const options = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 " +
    "-nodes -keyout key.pem -days 2 -out cert.pem -subj /CN=localhost " +
    "-addext subjectAltName=DNS:localhost " +
    "-addext basicConstraints=critical,CA:FALSE";
  const args = options.split(" ");
  await new Deno.Command("openssl", { args, cwd: folder.path }).output();
  const read = (name: string) => Deno.readTextFile(`${folder.path}/${name}`);
  return { cert: await read("cert.pem"), key: await read("key.pem") };
}

describe("over TLS", () => {
  itSecure("a certificate of nobody is told in words", async () => {
    await using folder = new TemporaryFolder();
    const options = { port: 0, onListen() {}, ...await certificate(folder) };
    await using server = Deno.serve(options, () => new Response());
    const url = `https://localhost:${server.addr.port}/`;
    await assertRejects(
      () => get(url, limits),
      ConnectionError,
      "Connection error: the server's certificate cannot be trusted: ",
    );
  });

  itSecure("a body that HTTP/2 breaks off is an error", async () => {
    await using folder = new TemporaryFolder();
    const secrets = await certificate(folder);
    // With NO_ERROR and CANCEL the runtime's bytes just end.
    for (const code of [0, 8]) {
      using listener = Deno.listenTls({
        hostname: "127.0.0.1",
        port: 0,
        alpnProtocols: ["h2"],
        ...secrets,
      });
      const served = breakOff(listener, code);
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

/** Answer the first request with a part of its flag, and reset the stream. */
async function breakOff(listener: Deno.TlsListener, code: number) {
  using connection = await listener.accept();
  /** Send a frame of HTTP/2 (RFC 9113, 4.1). */
  const send = (start: number[], stream: number, data: number[]) => {
    const length = [0, data.length >> 8, data.length & 255];
    const frame = [...length, ...start, 0, 0, 0, stream, ...data];
    return connection.write(Uint8Array.from(frame));
  };
  const [DATA, HEADERS, RST_STREAM, SETTINGS] = [0, 1, 3, 4];
  await send([SETTINGS, 0], 0, []);
  // The client's headers, whole: its stream is there.
  await readTo("\x01\x05\0\0\0\x01", connection, 1024);
  await send([SETTINGS, 1], 0, []);
  // Status 200 and content-length, by their places in HPACK's static table.
  const length = [...new TextEncoder().encode(`${FLAG.length}`)];
  await send([HEADERS, 4], 1, [0x88, 0x0f, 0x0d, length.length, ...length]);
  await send([DATA, 0], 1, [...FLAG.subarray(0, 300)]);
  await send([RST_STREAM, 0], 1, [0, 0, 0, code]);
  while (await connection.read(new Uint8Array(1024)).catch(() => null));
}

describe("in a pseudo-terminal, a redirect", () => {
  itInTerminal("asks for no permission", async () => {
    const elsewhere = [
      "http://example.com/flag.gif http://user:password@example.com/",
      "https://example.com/ //example.com/ http://a..b/ ws://example.com/",
      "http://127.0.0.1:1/ http://[::1]:8001/ http://localhost/",
      "file:///etc/hostname data:image/gif,GIF89a; blob:http://127.0.0.1/1",
    ].join(" ").split(" ");
    await using granted = serve(() => new Response(flagOf("OK")));
    await using site = serve(({ pathname }) => {
      const place = pathname.charCodeAt(2) - "a".charCodeAt(0);
      return redirect(elsewhere[place] ?? granted.url);
    });
    await using folder = new TemporaryFolder();
    const hosts = [site, granted].map(({ url }) => new URL(url).host);
    const some = `--allow-net=${hosts} --allow-read --allow-write=downloads`;
    const permissions = some.split(" ");
    const args = ["-s", site.url, "a"];
    const words = commandLine("threadpool", args, { permissions });
    // Nothing else ends a thread that asks for a permission.
    const line = `timeout --foreground -s KILL 60 ${quoted(words)}`;
    const text = await terminalOf(line, { cwd: folder.path });
    assert(!/allow\?|\[y\/n/i.test(text), text);
    const { flags, errors } = parseReport(text);
    const { length } = elsewhere;
    assertEquals([flags, errors], [26 - length, length], text);
  });
});
