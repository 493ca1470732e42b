import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { ConnectionError, exemptLocalhost, get } from "../lib/requests.ts";
import { FaultSite } from "./fault_site.ts";
import { freePort, SCRIPTS, TemporaryFolder } from "../bench/scripts.ts";
import { runScript } from "./processes.ts";
import { serve, sharedProject } from "./projects.ts";
import { has, hasIPv6, itIf, itOnPosix } from "./testing.ts";
import { certificate, cutBefore, FLAG, http2, runOverTls } from "./tls_site.ts";

const { signal } = new AbortController();
const limits = { timeout: 60, signal };

describe("a request on a closed connection", () => {
  const request = ({ url }: FaultSite, timeout = 60) =>
    get(`${url}/br/br.gif`, { timeout, signal });

  it("is retried on a fresh connection", async () => {
    for (const how of ["closed", "408"] as const) {
      await using site = new FaultSite({ "*": `${how} when used again` });
      await Promise.all(Array.from({ length: 5 }, () => request(site)));
      assertEquals((await request(site)).content, FLAG);
    }
  });

  it("has one timeout for all of its tries", async () => {
    const options = { latency: 600 };
    await using site = new FaultSite({ "*": "closed at once" }, options);
    const failing = () => request(site, 1);
    await assertRejects(failing, ConnectionError, "Timed out after");
    assert(site.requests.length < 3);
  });
});

describe("a refused request", () => {
  const port = freePort();
  const url = `http://127.0.0.1:${port}/`;

  it("is retried ten times, also at the URL of a redirect", async () => {
    const urls: string[] = [];
    const restartServer = (url: string) => Promise.resolve(!!urls.push(url));
    await using server = serve(() => Response.redirect(url));
    for (const from of [url, server.url]) {
      const options = { ...limits, restartServer };
      await assertRejects(() => get(from, options), ConnectionError, "tcp");
    }
    assertEquals(urls, Array(20).fill(url));
  });

  it("restarts a server, and succeeds when the server listens", async () => {
    await using started = new AsyncDisposableStack();
    const urls: string[] = [];
    const restartServer = (url: string) => {
      if (urls.push(url) === 2) {
        started.use(serve(() => new Response("here"), { port }));
      }
      return Promise.resolve(true);
    };
    const { content } = await get(url, { ...limits, restartServer });
    assertEquals(new TextDecoder().decode(content), "here");
    assertEquals(urls, [url, url]);
  });
});

const itSecure = itIf(await has("openssl", "version"), "openssl");

describe("a script over TLS", () => {
  itSecure("reports an untrusted certificate", async () => {
    await using folder = new TemporaryFolder();
    const secrets = await certificate(folder);
    await using server = serve(() => new Response(), secrets);
    const message =
      "Connection error: the server's certificate cannot be trusted: ";
    const failing = () => get(server.url, limits);
    await assertRejects(failing, ConnectionError, message);
    assertEquals(server.requests, []);
  });

  const early = [
    ["cuts a connection after each answer", cutBefore(2)],
    [
      "sends GOAWAY after ten answers",
      http2(({ n, answer, goAway }) => n <= 10 ? answer() : goAway()),
    ],
    [
      "refuses every third stream",
      http2(({ n, answer, refuse }) => n % 3 > 0 ? answer() : refuse()),
    ],
  ] as const;
  for (const [what, behaviour] of early) {
    itSecure(`loses no flag when a server ${what}`, async () => {
      for (const script of SCRIPTS) {
        const result = await runOverTls(script, "-al 50 -m 20", behaviour);
        const { stdout, report } = result;
        assertEquals(report.flags, 50, `${script}\n${stdout}`);
      }
    });
  }

  itSecure("reports a closed connection and a broken-off body", async () => {
    const closed = "the server closed the connection";
    let requests = 0;
    const breaking = http2(({ breakOff }) => {
      requests++;
      return breakOff();
    });
    const table = [
      [cutBefore(1), closed],
      [http2(({ goAway }) => goAway()), closed],
      [breaking, "incomplete body"],
    ] as const;
    for (const [behaviour, why] of table) {
      const { stdout } = await runOverTls("asyncio", "br", behaviour);
      const line = `*** Error for BR: Connection error: ${why}`;
      assertEquals(stdout.split("\n")[3], line);
    }
    assertEquals(requests, 1);
  });
});

const flag = () => new Response(FLAG);

it("a script in a pipe reports a redirect to a host that was not granted", async () => {
  await using other = serve(flag);
  await using site = serve(({ pathname }) =>
    pathname.startsWith("/ab") ? Response.redirect(other.url) : flag()
  );
  const { host } = new URL(site.url);
  const permissions = [`--allow-net=${host}`, "--allow-read", "--allow-write"];
  const args = `-v -s ${site.url} ab ac`;
  const result = await runScript("threadpool", args, { permissions });
  const { stdout, report: { flags, errors } } = result;
  assertEquals([flags, errors, other.requests], [1, 1, []]);
  assertMatch(stdout, /Error for AB: Connection error: Requires net access to/);
});

/** Return words that run a program with one variable of a proxy. */
function withVariable(name: string, value: string): string[] {
  const others = "NO_PROXY no_proxy HTTP_PROXY http_proxy ALL_PROXY all_proxy";
  const without = others.split(" ").flatMap((name) => ["-u", name]);
  return ["env", ...without, "DENO_NO_UPDATE_CHECK=1", `${name}=${value}`];
}

describe("a script with a proxy in the environment", () => {
  itOnPosix("uses the proxy for REMOTE, but not for LOCAL", async () => {
    const { path } = await sharedProject();
    await using proxy = serve(flag);
    const within = withVariable("ALL_PROXY", proxy.url);
    const options = { cwd: path, root: path, permissions: ["-P"], within };
    const remote = ["http://flupy.org/data/flags/br/br.gif"];
    for (const [server, urls] of [["LOCAL", []], ["REMOTE", remote]] as const) {
      const run = await runScript("threadpool", `-s ${server} br`, options);
      assertEquals(run.report.flags, 1);
      assertEquals(proxy.requests.map(String), urls);
    }
  });

  itOnPosix("reaches the servers of this machine directly", async () => {
    const hosts = ["localhost", "127.0.0.1"];
    if (Deno.build.os === "linux") hosts.push("127.0.0.2");
    if (hasIPv6) hosts.push("[::1]");
    await using proxy = serve(flag);
    const hostname = hasIPv6 ? "::" : "0.0.0.0";
    // The server redirects each code to another of its hosts.
    await using site = serve(({ pathname, port }) => {
      const host = hosts[pathname.charCodeAt(8) - "a".charCodeAt(0)];
      return host ? Response.redirect(`http://${host}:${port}/`) : flag();
    }, { hostname });
    const codes = hosts.map((_, i) => `A${"ABCD"[i]}`);
    const args = ["-s", `${site.url}/flags`, ...codes];
    const { report } = await runScript("asyncio", args, {
      permissions: ["-A", "--deny-env=no_proxy"],
      within: withVariable("http_proxy", proxy.url),
    });
    assertEquals([report.flags, proxy.requests], [hosts.length, []]);
    const reached = site.requests.map(({ hostname }) => hostname);
    assertEquals([...new Set(reached)].sort(), hosts.sort());
  });
});

itOnPosix("exemptLocalhost adds localhost to the hosts in NO_PROXY", () => {
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
