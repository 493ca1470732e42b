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
  resultOf,
  ROOT,
  run,
  sharedProject,
  spawn,
  STD,
  TemporaryFolder,
  terminal,
} from "./testing.ts";

/** What the default set comes to, for a site at a free port. */
function options(port: number, root: string, cwd: string, without = "") {
  const hosts = ["localhost", "127.0.0.1", "[::1]"]
    .map((host) => `${host}:${port}`)
    .filter((host) => host !== without);
  return [
    `--allow-net=${hosts}`,
    `--allow-read=${root},${cwd}/downloads`,
    `--allow-write=${cwd}/downloads`,
  ];
}

/** The first two lines that Deno itself writes about `-P` are not ours. */
const ours = (stderr: string) => stderr.replace(/^.*Warning.*\n/, "");

describe("with the permissions it needs, a script", () => {
  for (
    const [script, server] of [
      ["sequential", "ERROR"],
      ["threadpool", "DELAY"],
      ["asyncio", "LOCAL"],
    ] as const
  ) {
    it(`runs under deno run -P: ${script}`, async () => {
      const { path } = await sharedProject();
      const args = ["-s", server, "-m", "4", "-l", "4"];
      const { code, stdout, stderr } = await run(script, args, {
        cwd: path,
        root: path,
        permissions: ["-P"],
      });
      const started = `Started the ${server} site for this run.\n`;
      assertEquals(ours(stderr), started);
      const { flags, errors } = parseReport(stdout);
      assertEquals([code, flags + errors], [0, 4]);
    });
  }

  it("writes nothing into its own folder, the site neither, and runs at any port", async () => {
    const { path, ports } = await sharedProject();
    await using folder = new TemporaryFolder();
    const { code, stdout, stderr } = await run("threadpool", [], {
      cwd: folder.path,
      root: path,
      permissions: options(ports[0], path, folder.path),
    });
    assertEquals([code, parseReport(stdout).flags], [0, 20], stderr);
  });
});

describe("a script that lacks a permission", () => {
  it("names it before anything is begun, and asks nothing", async () => {
    const { path, ports: [port] } = await sharedProject();
    await using folder = new TemporaryFolder();
    const all = options(port, path, folder.path);
    const [, read, write] = all;
    for (
      const [permissions, option] of [
        [[], "--allow-net=localhost"],
        [
          options(port, path, folder.path, `[::1]:${port}`),
          "--allow-net=[::1]",
        ],
        [all.filter((granted) => granted !== read), "--allow-read"],
        [all.filter((granted) => granted !== write), "--allow-write"],
      ] as const
    ) {
      const { code, stdout, stderr } = await run("asyncio", ["-l", "5"], {
        cwd: folder.path,
        root: path,
        permissions: [...permissions],
      });
      assertEquals(code, 1);
      assertMatch(stderr, /^\*\*\* .*\n$/);
      assert(stderr.startsWith(`*** ${option}`), stderr);
      assert(!stdout.includes("downloaded"), stdout);
    }
    assertEquals(await folder.list(), []);
  });

  it("names a host that -s gives, and what cannot be one, under -P", async () => {
    const { path } = await sharedProject();
    for (
      const [server, host] of [
        ["http://localhost:9000/flags", "localhost:9000"],
        ["http://*/", "*"],
      ] as const
    ) {
      const options = { cwd: path, root: path, permissions: ["-P"] };
      const args = ["-s", server, "br"];
      const { code, stdout, stderr } = await run("asyncio", args, options);
      assertEquals([code, stdout], [1, ""]);
      const line = `*** --allow-net=${host} is needed: `;
      assert(ours(stderr).startsWith(line), stderr);
      assertEquals(ours(stderr).split("\n").length, 2);
    }
  });

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

/** What comes of some calls to a module on a thread with permissions. */
async function toldByThread(
  module: string,
  calls: string[],
  permissions: string,
  options: string[],
): Promise<string> {
  await using copy = await project();
  await Deno.writeTextFile(`${copy.path}/module.js`, module);
  const program = `
import { DOWNLOAD_PERMISSIONS } from "./flags2_common.ts";
import { asCompleted, ThreadPoolExecutor } from "./lib/futures.ts";
import { attempt, load } from "./module.js";
await using executor = new ThreadPoolExecutor({
  maxWorkers: 1,
  module: import.meta.resolve("./module.js"),
  permissions: ${permissions},
});
for (const [...call] of [${calls.map((call) => `[${call}]`)}]) {
  for await (const done of asCompleted([executor.submit(...call)])) {
    try {
      console.log(done.result());
    } catch (error) {
      console.log(error.message);
    }
  }
}`.replace("attempt, load", calls[0]!.split(",")[0]!);
  await Deno.writeTextFile(`${copy.path}/program.js`, program);
  const words = ["run", ...STD, ...options, "program.js"];
  const { stdout, stderr } = await outcome(
    spawn([Deno.execPath(), ...words], { cwd: copy.path }),
  );
  return stdout || stderr;
}

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
    const module = `export async function attempt(port) {
  try {
    await Deno.connect({ hostname: "127.0.0.1", port });
  } catch (error) {
    return error.name;
  }
}`;
    const calls = [port, other.addr.port].map((port) => `attempt, ${port}`);
    const told = await toldByThread(module, calls, "DOWNLOAD_PERMISSIONS", [
      `--allow-net=127.0.0.1:${port}`,
      "--allow-read=.,downloads",
      "--allow-write=downloads",
    ]);
    assertEquals(told, "ConnectionRefused\nNotCapable\n");
  });
});

describe("a thread with permissions of its own", () => {
  it("may import what the caller may, or nothing when it is told so", async () => {
    const code = "export const load = () => 'loaded';";
    const headers = { "content-type": "text/javascript" };
    await using server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen() {} },
      () => new Response(code, { headers }),
    );
    const module = `export * from "http://127.0.0.1:${server.addr.port}/";`;
    for (
      const [permissions, expected] of [
        ["{ read: true }", /^loaded\n$/],
        [
          "{ read: true, import: false }",
          /^Requires import access to "127\.0\.0\.1:\d+"/,
        ],
      ] as const
    ) {
      const options = ["-A", "--frozen=false"];
      const told = await toldByThread(module, ["load"], permissions, options);
      assertMatch(told, expected);
    }
  });
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
