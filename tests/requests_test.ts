import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { ConnectionError, exemptLocalhost, get } from "../lib/requests.ts";
import { FaultSite } from "./fault_site.ts";
import {
  freePort,
  parseReport,
  SCRIPTS,
  TemporaryFolder,
} from "../bench/scripts.ts";
import { runScript } from "./processes.ts";
import { serve, sharedProject } from "./projects.ts";
import { has, hasIPv6, itIf, itOnPosix } from "./testing.ts";
import {
  answer,
  CANCEL,
  certificate,
  cutBefore,
  DATA,
  ENHANCE_YOUR_CALM,
  FLAG,
  GOAWAY,
  HEADERS,
  http2,
  REFUSED_STREAM,
  RST_STREAM,
  TlsSite,
} from "./tls_site.ts";

const { signal } = new AbortController();
const limits = { timeout: 60, signal };

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

it("a refused request goes on, with pauses, as long as a server is said to listen", async () => {
  const never = freePort();
  let calls = 0;
  const url = `http://127.0.0.1:${never}/`;
  const restartServer = () => Promise.resolve(++calls > 0);
  const options = { timeout: 0.5, signal, restartServer };
  await assertRejects(() => get(url, options), ConnectionError, "Timed out");
  assert(calls > 1 && calls < 30, `${calls} calls`);
});

it("a refused request restarts a server, and goes on when it listens", async () => {
  const port = freePort();
  const url = `http://127.0.0.1:${port}/`;
  await using started = new AsyncDisposableStack();
  const asked: string[] = [];
  const restartServer = (url: string) => {
    if (asked.push(url) === 2) {
      started.use(serve(() => new Response("here"), { port }));
    }
    return Promise.resolve(true);
  };
  const { content } = await get(url, { ...limits, restartServer });
  assertEquals(new TextDecoder().decode(content), "here");
  assertEquals(asked, [url, url]);
});

const itSecure = itIf(await has("openssl", "version"), "openssl");

describe("over TLS", () => {
  itSecure("reports an untrusted certificate", async () => {
    await using folder = new TemporaryFolder();
    const secrets = await certificate(folder);
    await using server = serve(() => new Response(), secrets);
    await assertRejects(
      () => get(server.url, limits),
      ConnectionError,
      "Connection error: the server's certificate cannot be trusted: ",
    );
    assertEquals(server.requests, []);
  });

  type Protocol = ConstructorParameters<typeof TlsSite>[1];
  type Serve = ConstructorParameters<typeof TlsSite>[2];
  const early: [what: string, Protocol, Serve][] = [
    ["cut after each answer", "http/1.1", cutBefore(2)],
    ["cut after ten answers", "http/1.1", cutBefore(11)],
    [
      "ended by GOAWAY after ten answers",
      "h2",
      http2(async (send, id, n) => {
        if (n <= 10) return await answer(send, id);
        await send(GOAWAY, 0, 0, [0, 0, 0, id - 2, 0, 0, 0, 0]);
        return false;
      }),
    ],
    [
      "ended by GOAWAY as too busy",
      "h2",
      http2(async (send, id, n) => {
        if (n <= 10) return await answer(send, id);
        await send(GOAWAY, 0, 0, [0, 0, 0, 0, 0, 0, 0, ENHANCE_YOUR_CALM]);
        return false;
      }),
    ],
    [
      "on which every third stream is refused",
      "h2",
      http2(async (send, id, n) => {
        if (n % 3 > 0) return await answer(send, id);
        await send(RST_STREAM, 0, id, [0, 0, 0, REFUSED_STREAM]);
      }),
    ],
  ];
  for (const [what, protocol, serve] of early) {
    itSecure(`no script loses a flag to connections ${what}`, async () => {
      await using folder = new TemporaryFolder();
      const secrets = await certificate(folder);
      await using site = new TlsSite(secrets, protocol, serve);
      const env = { DENO_CERT: "cert.pem" };
      for (const script of SCRIPTS) {
        const args = ["-s", site.url, "-al", "50", "-m", "20", "-v"];
        const options = { cwd: folder.path, env };
        const { stdout } = await runScript(script, args, options);
        assertEquals(parseReport(stdout).flags, 50, `${script}\n${stdout}`);
      }
    });
  }

  itSecure("explains a closed connection in words", async () => {
    await using folder = new TemporaryFolder();
    const secrets = await certificate(folder);
    const goaway = http2(async (send) => {
      await send(GOAWAY, 0, 0, Array(8).fill(0));
      return false;
    });
    for (
      const [protocol, serve] of [["http/1.1", cutBefore(1)], [
        "h2",
        goaway,
      ]] as const
    ) {
      await using site = new TlsSite(secrets, protocol, serve);
      const options = { cwd: folder.path, env: { DENO_CERT: "cert.pem" } };
      const args = ["-s", site.url, "-v", "br"];
      const { stdout } = await runScript("asyncio", args, options);
      const why = "Connection error: the server closed the connection";
      assertEquals(stdout.split("\n")[3], `*** Error for BR: ${why}`);
    }
  });

  itSecure("a body that HTTP/2 breaks off is an error", async () => {
    await using folder = new TemporaryFolder();
    const secrets = await certificate(folder);
    let requests = 0;
    const serve = http2(async (send, id) => {
      requests++;
      const length = [...new TextEncoder().encode(`${FLAG.length}`)];
      const headers = [0x88, 0x0f, 0x0d, length.length, ...length];
      await send(HEADERS, 4, id, headers);
      await send(DATA, 0, id, [...FLAG.subarray(0, 300)]);
      await send(RST_STREAM, 0, id, [0, 0, 0, CANCEL]); // Its bytes just end.
    });
    await using site = new TlsSite(secrets, "h2", serve);
    const options = { cwd: folder.path, env: { DENO_CERT: "cert.pem" } };
    const args = ["-v", "-s", site.url, "br"];
    const { stdout } = await runScript("asyncio", args, options);
    const line = "*** Error for BR: Connection error: incomplete body";
    assertEquals([stdout.split("\n")[3], requests], [line, 1]);
  });
});

it("a redirect to a host that was not granted is an error in a pipe", async () => {
  await using other = serve(() => new Response(FLAG));
  await using site = serve(({ pathname }) =>
    pathname.startsWith("/ab") ? redirect(other.url) : new Response(FLAG)
  );
  const { host } = new URL(site.url);
  await using folder = new TemporaryFolder();
  const { stdout } = await runScript(
    "threadpool",
    ["-v", "-s", site.url, "ab", "ac"],
    {
      cwd: folder.path,
      permissions: [`--allow-net=${host}`, "--allow-read", "--allow-write"],
    },
  );
  const { flags, errors } = parseReport(stdout);
  assertEquals([flags, errors, other.requests], [1, 1, []]);
  assertMatch(stdout, /Error for AB: Connection error: Requires net access to/);
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
        await runScript("threadpool", ["-s", server, "br"], options);
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
    const { stdout } = await runScript("asyncio", args, {
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
