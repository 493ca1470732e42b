import { assert, assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { DOWNLOAD_PERMISSIONS } from "../flags2_common.ts";
import { ThreadPoolExecutor } from "../lib/futures.ts";
import { attempt } from "./calls.ts";
import {
  freePort,
  itInTerminal,
  outcome,
  parseReport,
  project,
  projectAtFreePorts,
  resultOf,
  ROOT,
  run,
  SCRIPTS,
  spawn,
  STD,
  TemporaryFolder,
  terminal,
} from "./testing.ts";

const CONFIG = JSON.parse(await Deno.readTextFile(`${ROOT}/deno.json`));
const SET: Record<"read" | "write", string[]> = CONFIG.permissions.default;

/** What the default set comes to, for a site at a free port. */
function options(port: number, cwd: string, without = ""): string[] {
  const allow = {
    net: [`localhost:${port}`, `127.0.0.1:${port}`, `[::1]:${port}`],
    read: SET.read.map((path) => `${cwd}/${path}`),
    write: SET.write.map((path) => `${cwd}/${path}`),
  };
  return Object.entries(allow).map(([name, values]) =>
    `--allow-${name}=${values.filter((value) => value !== without)}`
  ).filter((option) => !option.endsWith("=") && option !== without);
}

/** The first two lines that Deno itself writes about `-P` are not ours. */
const ours = (stderr: string) => stderr.replace(/^.*Warning.*\n/, "");

describe("with the permissions it needs, a script", () => {
  for (const script of SCRIPTS) {
    it(`runs under deno run -P: ${script}`, async () => {
      await using copy = await projectAtFreePorts();
      const servers = script === "asyncio" ? ["LOCAL", "ERROR"] : ["DELAY"];
      for (const server of servers) {
        const args = ["-s", server, "-m", "4", "-l", "4"];
        const { code, stdout, stderr } = await run(script, args, {
          cwd: copy.path,
          root: copy.path,
          permissions: ["-P"],
        });
        const started = `Started the ${server} site for this run.\n`;
        assertEquals(ours(stderr), started);
        const { flags, errors } = parseReport(stdout);
        assertEquals([code, flags + errors], [0, 4]);
      }
    });
  }

  it("writes nothing into its own folder, the site neither", async () => {
    await using copy = await projectAtFreePorts();
    await using folder = new TemporaryFolder();
    const { code, stdout, stderr } = await run("threadpool", [], {
      cwd: folder.path,
      root: copy.path,
      permissions: ["-A", `--deny-write=${copy.path}`],
    });
    assertEquals([code, parseReport(stdout).flags], [0, 20], stderr);
  });

  it("runs at any port, with the like", async () => {
    await using copy = await projectAtFreePorts();
    const { code, stdout } = await run("threadpool", [], {
      cwd: copy.path,
      root: copy.path,
      permissions: options(copy.ports[0], copy.path),
    });
    assertEquals([code, parseReport(stdout).flags], [0, 20]);
  });
});

describe("a script that lacks a permission", () => {
  it("names it before anything is begun, and asks nothing", async () => {
    await using copy = await projectAtFreePorts();
    const [port] = copy.ports;
    const granted = options(port, copy.path);
    const hosts = ["localhost", "127.0.0.1", "[::1]"];
    const missing: [permissions: string[], option: string][] = [
      [[], "--allow-net"],
      ...[...granted, ...hosts.map((host) => `${host}:${port}`)].map((
        without,
      ): [string[], string] => [
        options(port, copy.path, without),
        without.startsWith("--") ? without.split("=")[0]! : "--allow-net",
      ]),
    ];
    await Promise.all(missing.map(async ([permissions, option]) => {
      const { code, stdout, stderr } = await run("asyncio", ["-l", "5"], {
        cwd: copy.path,
        root: copy.path,
        permissions,
      });
      assertEquals(code, 1);
      assertMatch(stderr, /^\*\*\* .*\n$/);
      assert(stderr.startsWith(`*** ${option}=`), stderr);
      assert(!stdout.includes("downloaded"), stdout);
    }));
    assertEquals(await copy.list(), []);
  });

  for (
    const [what, server, message] of [
      ["a host that -s gives", "http://localhost:9000/flags", "localhost:9000"],
      ["what cannot be a host", "http://*/", "*"],
    ] as const
  ) {
    it(`names ${what}, under -P`, async () => {
      await using copy = await project();
      const options = { cwd: copy.path, root: copy.path, permissions: ["-P"] };
      const { code, stdout, stderr } = //
        await run("asyncio", ["-s", server, "br"], options);
      assertEquals([code, stdout], [1, ""]);
      const line = `*** --allow-net=${message} is needed: `;
      assert(ours(stderr).startsWith(line), stderr);
      assertEquals(ours(stderr).split("\n").length, 2);
    });
  }

  it("says so in another folder, where -P does not reach", async () => {
    await using folder = new TemporaryFolder();
    const { code, stderr } = await run("asyncio", ["-l", "5"], {
      cwd: folder.path,
      permissions: ["-P"],
    });
    assertEquals(code, 1);
    assertMatch(
      ours(stderr),
      /^\*\*\* --allow-read=downloads is needed: .*\n$/,
    );
  });

  itInTerminal("does not ask in a terminal", async () => {
    await using folder = new TemporaryFolder();
    const options = { cwd: folder.path, permissions: [], columns: 200 };
    const text = await terminal("asyncio", [], options);
    assert(text.includes("*** --allow-net=localhost:8001 is needed"), text);
    assert(!/allow\?|\[y\/n/i.test(text), text);
  });
});

describe("a thread that downloads", () => {
  it("may read the code, write downloads, and do nothing else", async () => {
    await using executor = new ThreadPoolExecutor({
      maxWorkers: 1,
      module: import.meta.resolve("./calls.ts"),
      permissions: DOWNLOAD_PERMISSIONS,
    });
    const elsewhere = Deno.execPath();
    const refused = ["read", "write"].map((name) => `${name} ${elsewhere}`);
    refused.push(`write ${ROOT}/deno.json`, "run", "env", "sys", "ffi");
    for (const what of refused) {
      const outcome = await resultOf(executor.submit(attempt, what));
      assertEquals(outcome, "NotCapable", what);
    }
    const code = `read ${ROOT}/deno.json`;
    assertEquals(await resultOf(executor.submit(attempt, code)), "ok");
  });

  it("reaches the ports that the script may, and no other", async () => {
    using other = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const port = freePort();
    await using copy = await project();
    const program = `
import { DOWNLOAD_PERMISSIONS } from "./flags2_common.ts";
import { asCompleted, ThreadPoolExecutor } from "./lib/futures.ts";
export async function attempt(port) {
  try {
    await Deno.connect({ hostname: "127.0.0.1", port });
  } catch (error) {
    return error.name;
  }
}
if (import.meta.main) {
  await using executor = new ThreadPoolExecutor({
    maxWorkers: 1,
    module: import.meta.url,
    permissions: DOWNLOAD_PERMISSIONS,
  });
  for (const port of [${port}, ${other.addr.port}]) {
    const call = executor.submit(attempt, port);
    for await (const _ of asCompleted([call])) console.log(call.result());
  }
}`;
    await Deno.writeTextFile(`${copy.path}/program.js`, program);
    const { stdout, stderr } = await outcome(spawn([
      Deno.execPath(),
      "run",
      ...STD,
      `--allow-net=127.0.0.1:${port}`,
      `--allow-read=${copy.path},downloads`,
      "--allow-write=downloads",
      "program.js",
    ], { cwd: copy.path }));
    assertEquals(stdout, "ConnectionRefused\nNotCapable\n", stderr);
  });
});

describe("a thread with permissions of its own", () => {
  for (
    const [may, permissions, told] of [
      ["may import what the caller may", "{ read: true }", /^loaded\n$/],
      [
        "may import nothing when it is told so",
        "{ read: true, import: false }",
        /^Requires import access to "127\.0\.0\.1:\d+"/,
      ],
    ] as const
  ) {
    it(may, async () => {
      await using copy = await project();
      const headers = { "content-type": "text/javascript" };
      const code = "export const load = () => 'loaded';";
      await using server = Deno.serve(
        { hostname: "127.0.0.1", port: 0, onListen() {} },
        () => new Response(code, { headers }),
      );
      const module = `export * from "http://127.0.0.1:${server.addr.port}/";`;
      await Deno.writeTextFile(`${copy.path}/module.js`, module);
      const program = `
import { asCompleted, ThreadPoolExecutor } from "./lib/futures.ts";
import { load } from "./module.js";
await using executor = new ThreadPoolExecutor({
  maxWorkers: 1,
  module: import.meta.resolve("./module.js"),
  permissions: ${permissions},
});
const call = executor.submit(load);
for await (const _ of asCompleted([call])) {
  try {
    console.log(call.result());
  } catch (error) {
    console.log(error.message);
  }
}`;
      await Deno.writeTextFile(`${copy.path}/program.js`, program);
      const words = ["run", "-A", ...STD, "--frozen=false", "program.js"];
      const { stdout, stderr } = await outcome(
        spawn([Deno.execPath(), ...words], { cwd: copy.path }),
      );
      assertMatch(stdout, told, stderr);
    });
  }
});

describe("deno.lock", () => {
  it("names @std only: a first run fetches whatever stands there", async () => {
    const lock = JSON.parse(await Deno.readTextFile(`${ROOT}/deno.lock`));
    assertEquals(
      Object.keys(lock.npm).map((name) => name.split("@")[0]),
      ["deno-std"],
      "a deno check or deno test without --lock=tests/deno.lock adds to it",
    );
  });
});
