import { assertEquals } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { flagOf } from "./fault_site.ts";
import {
  itOnLinux,
  itOnPosix,
  outcome,
  parseReport,
  projectAtFreePorts,
  run,
  spawn,
  TemporaryFolder,
} from "./testing.ts";

/** A server of flags at a free port, or a proxy that has them itself. */
function serve(hostname = "127.0.0.1") {
  const requests: string[] = [];
  const server = Deno.serve({ hostname, port: 0, onListen() {} }, ({ url }) => {
    requests.push(url);
    return new Response(flagOf("BR"));
  });
  return {
    port: server.addr.port,
    /** The URLs that were asked for. */
    requests,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

const VARIABLES = ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];

/** Words that run a program with no such variables but these. */
function environment(variables: Record<string, string>): string[] {
  return [
    "env",
    ...["NO_PROXY", "no_proxy", ...VARIABLES].flatMap((name) => ["-u", name]),
    ...Object.entries(variables).map(([name, value]) => `${name}=${value}`),
  ];
}

describe("with a proxy in the environment", () => {
  const table: [permissions: string, variable: string][] = [
    ...VARIABLES.map((variable): [string, string] => ["-A", variable]),
    ["-P", "ALL_PROXY"],
  ];
  for (const [permissions, variable] of table) {
    itOnPosix(
      `a script reaches its site directly, REMOTE through the proxy: ${variable}, ${permissions}`,
      async () => {
        await using copy = await projectAtFreePorts();
        await using proxy = serve();
        const download = async (server: string) => {
          const { stdout } = await run("threadpool", ["-s", server, "br"], {
            cwd: copy.path,
            root: copy.path,
            permissions: [permissions],
            within: environment({
              DENO_NO_UPDATE_CHECK: "1",
              [variable]: `http://127.0.0.1:${proxy.port}`,
            }),
          });
          return parseReport(stdout).flags;
        };
        assertEquals(await download("LOCAL"), 1);
        assertEquals(proxy.requests, []);
        assertEquals(await download("REMOTE"), 1);
        const asked = ["http://flupy.org/data/flags/br/br.gif"];
        assertEquals(proxy.requests, asked);
      },
    );
  }

  for (const host of ["localhost", "127.0.0.1", "127.0.0.2", "[::1]"]) {
    const itThere = host === "127.0.0.2" ? itOnLinux : itOnPosix;
    itThere(`a server at ${host} is reached directly`, async () => {
      await using proxy = serve();
      await using site = serve(host.replace(/[[\]]/g, ""));
      await using folder = new TemporaryFolder();
      const url = `http://${host}:${site.port}/flags`;
      const { stdout } = await run("asyncio", ["-s", url, "br"], {
        cwd: folder.path,
        within: environment({
          DENO_NO_UPDATE_CHECK: "1",
          ALL_PROXY: `http://127.0.0.1:${proxy.port}`,
        }),
      });
      assertEquals(parseReport(stdout).flags, 1);
      assertEquals([proxy.requests, site.requests.length], [[], 1]);
    });
  }
});

describe("exemptLocalhost", () => {
  const LOCALHOST = "localhost,127.0.0.0/8,::1";

  /** What NO_PROXY becomes in a program that may see these variables. */
  const exempt = async (given: Record<string, string>, mayRead: string) => {
    await using folder = new TemporaryFolder();
    const module = import.meta.resolve("../lib/requests.ts");
    const program = `import { exemptLocalhost } from ${JSON.stringify(module)};
for (const _ of [1, 2]) exemptLocalhost();
console.log(Deno.env.get("NO_PROXY"));`;
    await Deno.writeTextFile(`${folder.path}/program.ts`, program);
    const options = ["--no-prompt", `--allow-env=${mayRead}`, "program.ts"];
    const words = [...environment(given), Deno.execPath(), "run", ...options];
    const child = spawn(words, { cwd: folder.path });
    const { stdout, stderr } = await outcome(child);
    assertEquals(stderr, "");
    return stdout.trimEnd();
  };

  const table: [given: Record<string, string>, expected: string][] = [
    [{}, LOCALHOST],
    [{ NO_PROXY: "" }, LOCALHOST],
    [{ NO_PROXY: "a.org,.b.org" }, `a.org,.b.org,${LOCALHOST}`],
    [{ no_proxy: "a.org" }, `a.org,${LOCALHOST}`],
    [{ NO_PROXY: "a.org", no_proxy: "b.org" }, `a.org,${LOCALHOST}`],
    [{ NO_PROXY: "", no_proxy: "b.org" }, LOCALHOST],
  ];
  for (const [given, expected] of table) {
    itOnPosix(`adds to what is exempt: ${JSON.stringify(given)}`, async () => {
      assertEquals(await exempt(given, "NO_PROXY,no_proxy"), expected);
    });
  }

  itOnPosix("does without no_proxy where that was not granted", async () => {
    assertEquals(await exempt({ no_proxy: "a.org" }, "NO_PROXY"), LOCALHOST);
  });
});
