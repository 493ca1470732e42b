import { assert, assertEquals, assertRejects } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { ConnectionError, exemptLocalhost, get } from "../lib/requests.ts";
import { FaultSite, flagOf, readTo } from "./fault_site.ts";
import {
  commandLine,
  freePort,
  has,
  hasIPv6,
  itIf,
  itInTerminal,
  itOnPosix,
  parseReport,
  quoted,
  run,
  serve,
  sharedProject,
  TemporaryFolder,
  terminalOf,
} from "./testing.ts";

const { signal } = new AbortController();
const limits = { timeout: 60, signal };
const FLAG = flagOf("BR");

/** An answer that leads elsewhere. */
function redirect(location: string, status = 302): Response {
  return new Response(null, { status, headers: { location } });
}

it("a redirect is followed, or is not one, by its status", async () => {
  await using server = serve(({ pathname }) => {
    const [, status] = pathname.split("/");
    return status ? redirect("..", Number(status)) : new Response("there");
  });
  for (const status of [300, 301, 302, 303, 304, 305, 307, 308]) {
    const reply = await get(`${server.url}/${status}/here`, limits);
    const text = new TextDecoder().decode(reply.content);
    const isOne = ![300, 304, 305].includes(status);
    const expected = isOne ? [200, "there"] : [status, ""];
    assertEquals([reply.status, text], expected);
  }
});

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

  it("leaves the next requests what is left of the timeout", async () => {
    const options = { latency: 600 };
    await using site = new FaultSite({ "*": "closed at once" }, options);
    await assertRejects(() => ask(site, 1), ConnectionError, "Timed out after");
    // With a timeout of its own there would be a third.
    assert(site.requests.length < 3);
  });
});

it("when nobody listens, a request asks whether somebody does now, and goes on as long as it is told so", async () => {
  const port = freePort();
  const url = `http://127.0.0.1:${port}/`;
  await using started = new AsyncDisposableStack();
  const asked: string[] = [];
  const revive = (url: string) => {
    if (asked.push(url) === 2) {
      started.use(serve(() => new Response("here"), { port }));
    }
    return Promise.resolve(true);
  };
  const { content } = await get(url, { ...limits, revive });
  assertEquals(new TextDecoder().decode(content), "here");
  assertEquals(asked, [url, url]);
});

const itSecure = itIf(await has("openssl", "version"), "openssl");

/** A key and a certificate of 127.0.0.1 that nobody but itself has signed. */
async function certificate({ path }: TemporaryFolder) {
  const options = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 " +
    "-nodes -keyout key.pem -days 2 -out cert.pem -subj /CN=localhost " +
    "-addext subjectAltName=IP:127.0.0.1 " +
    "-addext basicConstraints=critical,CA:FALSE";
  const args = options.split(" ");
  await new Deno.Command("openssl", { args, cwd: path }).output();
  const read = (name: string) => Deno.readTextFile(`${path}/${name}`);
  return { cert: await read("cert.pem"), key: await read("key.pem") };
}

describe("over TLS", () => {
  itSecure("a certificate of nobody is told in words", async () => {
    await using folder = new TemporaryFolder();
    const secrets = await certificate(folder);
    await using server = serve(() => new Response(), secrets);
    await assertRejects(
      () => get(server.url, limits),
      ConnectionError,
      "Connection error: the server's certificate cannot be trusted: ",
    );
  });

  itSecure("a body that HTTP/2 breaks off is an error", async () => {
    await using folder = new TemporaryFolder();
    const address = { hostname: "127.0.0.1", port: 0, alpnProtocols: ["h2"] };
    const secrets = await certificate(folder);
    using listener = Deno.listenTls({ ...address, ...secrets });
    const served = breakOff(listener);
    const url = `https://127.0.0.1:${listener.addr.port}/flags`;
    const env = { DENO_CERT: "cert.pem" };
    const { stdout } = //
      await run("asyncio", ["-v", "-s", url, "br"], { cwd: folder.path, env });
    await served;
    const line = "*** Error for BR: Connection error: incomplete body";
    assertEquals(stdout.split("\n")[3], line);
  });
});

/** Answer the first request with a part of its flag, and reset the stream. */
async function breakOff(listener: Deno.TlsListener) {
  using connection = await listener.accept();
  /** Send a frame of HTTP/2 (RFC 9113, 4.1). */
  const send = (start: number[], stream: number, data: number[]) => {
    const length = [0, data.length >> 8, data.length & 255];
    const frame = [...length, ...start, 0, 0, 0, stream, ...data];
    return connection.write(Uint8Array.from(frame));
  };
  const [DATA, HEADERS, RST_STREAM, SETTINGS, CANCEL] = [0, 1, 3, 4, 8];
  await send([SETTINGS, 0], 0, []);
  // The client's headers, whole: its stream is there.
  await readTo("\x01\x05\0\0\0\x01", connection, 1024);
  await send([SETTINGS, 1], 0, []);
  // Status 200 and content-length, by their places in HPACK's static table.
  const length = [...new TextEncoder().encode(`${FLAG.length}`)];
  await send([HEADERS, 4], 1, [0x88, 0x0f, 0x0d, length.length, ...length]);
  await send([DATA, 0], 1, [...FLAG.subarray(0, 300)]);
  await send([RST_STREAM, 0], 1, [0, 0, 0, CANCEL]); // Its bytes just end.
  while (await connection.read(new Uint8Array(1024)).catch(() => null));
}

itInTerminal("a redirect asks for no permission in a terminal", async () => {
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
  const words = //
    commandLine("threadpool", ["-s", site.url, "a"], { permissions });
  // Nothing else ends a thread that asks for a permission.
  const line = `timeout --foreground -s KILL 60 ${quoted(words)}`;
  const text = await terminalOf(line, { cwd: folder.path });
  assert(!/allow\?|\[y\/n/i.test(text), text);
  const { flags, errors } = parseReport(text);
  const { length } = elsewhere;
  assertEquals([flags, errors], [26 - length, length], text);
});

const flag = () => new Response(FLAG);

/** What runs a script with such a variable, and no other one of a proxy. */
function withVariable(name: string, value: string): string[] {
  const others = "NO_PROXY no_proxy HTTP_PROXY http_proxy ALL_PROXY all_proxy";
  const without = others.split(" ").flatMap((name) => ["-u", name]);
  return ["env", ...without, "DENO_NO_UPDATE_CHECK=1", `${name}=${value}`];
}

describe("with a proxy in the environment", () => {
  itOnPosix("only REMOTE goes through it", async () => {
    const { path } = await sharedProject();
    await using proxy = serve(flag);
    const within = withVariable("ALL_PROXY", proxy.url);
    const options = { cwd: path, root: path, permissions: ["-P"], within };
    const asked = ["http://flupy.org/data/flags/br/br.gif"];
    for (const [server, urls] of [["LOCAL", []], ["REMOTE", asked]] as const) {
      const { stdout } = //
        await run("threadpool", ["-s", server, "br"], options);
      assertEquals(parseReport(stdout).flags, 1);
      assertEquals(proxy.requests.map(String), urls);
    }
  });

  itOnPosix("a server of this machine is reached directly", async () => {
    const hosts = ["localhost", "127.0.0.1"];
    if (Deno.build.os === "linux") hosts.push("127.0.0.2");
    if (hasIPv6) hosts.push("[::1]");
    await using proxy = serve(flag);
    const hostname = hasIPv6 ? "::" : "0.0.0.0";
    // It sends each code to another of its hosts.
    await using site = serve(({ pathname, port }) => {
      const host = hosts[pathname.charCodeAt(8) - "a".charCodeAt(0)];
      return host ? Response.redirect(`http://${host}:${port}/`) : flag();
    }, { hostname });
    await using folder = new TemporaryFolder();
    const codes = hosts.map((_, i) => `A${"ABCD"[i]}`);
    const args = ["-s", `${site.url}/flags`, ...codes];
    // It does without no_proxy, which is not granted.
    const permissions = "--no-prompt --allow-env=NO_PROXY --allow-net " +
      "--allow-read --allow-write=downloads";
    const { stdout } = await run("asyncio", args, {
      cwd: folder.path,
      permissions: permissions.split(" "),
      within: withVariable("http_proxy", proxy.url),
    });
    const { flags } = parseReport(stdout);
    assertEquals([flags, proxy.requests], [hosts.length, []]);
    const asked = site.requests.map(({ hostname }) => hostname);
    assertEquals([...new Set(asked)].sort(), hosts.sort());
  });
});

itOnPosix("exemptLocalhost adds to what is exempt", () => {
  const set = (name: string, value?: string) =>
    value === undefined ? Deno.env.delete(name) : Deno.env.set(name, value);
  const { NO_PROXY, no_proxy } = Deno.env.toObject();
  const table = [
    [undefined, undefined, ""],
    ["a.org,.b.org", "c.org", "a.org,.b.org,"],
    [undefined, "a.org", "a.org,"],
    ["", "b.org", ""],
  ] as const;
  for (const [upper, lower, others] of table) {
    set("NO_PROXY", upper);
    set("no_proxy", lower);
    for (const _ of [1, 2]) exemptLocalhost();
    const exempt = Deno.env.get("NO_PROXY");
    set("NO_PROXY", NO_PROXY);
    set("no_proxy", no_proxy);
    assertEquals(exempt, `${others}localhost,127.0.0.0/8,::1`);
  }
  return Promise.resolve();
});
