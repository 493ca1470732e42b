import { assertEquals } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { exemptLocalhost } from "../lib/requests.ts";
import { flagOf } from "./fault_site.ts";
import {
  hasIPv6,
  itOnPosix,
  parseReport,
  run,
  serve,
  sharedProject,
  TemporaryFolder,
} from "./testing.ts";

const flag = () => new Response(flagOf("BR"));

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
