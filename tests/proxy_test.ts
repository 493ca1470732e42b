import { assertEquals } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { exemptLocalhost } from "../lib/requests.ts";
import { flagOf } from "./fault_site.ts";
import {
  hasIPv6,
  itOnPosix,
  parseReport,
  run,
  type RunOptions,
  type Script,
  sharedProject,
  TemporaryFolder,
} from "./testing.ts";

/** A server at a free port, a proxy that answers by itself, too. */
function serve(answer: (url: URL) => Response, hostname = "127.0.0.1") {
  /** The URLs that were asked for. */
  const requests: string[] = [];
  const server = Deno.serve({ hostname, port: 0, onListen() {} }, ({ url }) => {
    requests.push(url);
    return answer(new URL(url));
  });
  return Object.assign(server, { requests, port: server.addr.port });
}

const flag = () => new Response(flagOf("BR"));

const NAMES = "NO_PROXY no_proxy HTTP_PROXY http_proxy ALL_PROXY all_proxy";

/** The flags that a script gets with such a variable, and no other. */
async function flagsWith(
  [variable, { port }]: [string, ReturnType<typeof serve>],
  script: Script,
  args: string[],
  options: RunOptions,
): Promise<number> {
  const without = NAMES.split(" ").flatMap((name) => ["-u", name]);
  const value = `${variable}=http://127.0.0.1:${port}`;
  const within = ["env", ...without, "DENO_NO_UPDATE_CHECK=1", value];
  const { stdout } = await run(script, args, { ...options, within });
  return parseReport(stdout).flags;
}

describe("with a proxy in the environment", () => {
  const table = [["-A", "http_proxy"], ["-P", "ALL_PROXY"]] as const;
  for (const [permission, variable] of table) {
    itOnPosix(`only REMOTE goes through it: ${variable}`, async () => {
      const { path } = await sharedProject();
      await using proxy = serve(flag);
      const options = { cwd: path, root: path, permissions: [permission] };
      for (const server of ["LOCAL", "REMOTE"]) {
        const args = ["-s", server, "br"];
        const flags = //
          await flagsWith([variable, proxy], "threadpool", args, options);
        assertEquals(flags, 1);
        const asked = ["http://flupy.org/data/flags/br/br.gif"];
        assertEquals(proxy.requests, server === "REMOTE" ? asked : []);
      }
    });
  }

  itOnPosix("a server of this machine is reached directly", async () => {
    const hosts = ["localhost", "127.0.0.1"];
    if (Deno.build.os === "linux") hosts.push("127.0.0.2");
    if (hasIPv6) hosts.push("[::1]");
    await using proxy = serve(flag);
    // It sends each code to another of its hosts.
    await using site = serve(({ pathname, port }) => {
      const host = hosts[pathname.charCodeAt(8) - "a".charCodeAt(0)];
      return host ? Response.redirect(`http://${host}:${port}/`) : flag();
    }, hasIPv6 ? "::" : "0.0.0.0");
    await using folder = new TemporaryFolder();
    const codes = hosts.map((_, i) => `A${"ABCD"[i]}`);
    const args = ["-s", `http://localhost:${site.port}/flags`, ...codes];
    // It does without no_proxy, which is not granted.
    const permissions = "--no-prompt --allow-env=NO_PROXY --allow-net " +
      "--allow-read --allow-write=downloads";
    const options = { cwd: folder.path, permissions: permissions.split(" ") };
    const flags = //
      await flagsWith(["ALL_PROXY", proxy], "asyncio", args, options);
    assertEquals([flags, proxy.requests], [hosts.length, []]);
    const asked = site.requests.map((url) => new URL(url).hostname);
    assertEquals([...new Set(asked)].sort(), hosts.sort());
  });
});

itOnPosix("exemptLocalhost adds to what is exempt", () => {
  const names = ["NO_PROXY", "no_proxy"];
  const set = (name: string, value?: string) =>
    value === undefined ? Deno.env.delete(name) : Deno.env.set(name, value);
  const before = names.map((name) => Deno.env.get(name));
  const table = [
    [undefined, undefined, ""],
    ["", undefined, ""],
    ["a.org,.b.org", undefined, "a.org,.b.org,"],
    [undefined, "a.org", "a.org,"],
    ["a.org", "b.org", "a.org,"],
    ["", "b.org", ""],
  ];
  for (const [upper, lower, others] of table) {
    set("NO_PROXY", upper);
    set("no_proxy", lower);
    for (const _ of [1, 2]) exemptLocalhost();
    const exempt = Deno.env.get("NO_PROXY");
    names.forEach((name, i) => set(name, before[i]));
    assertEquals(exempt, `${others}localhost,127.0.0.0/8,::1`);
  }
  return Promise.resolve();
});
