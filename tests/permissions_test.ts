import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { DOWNLOAD_PERMISSIONS } from "../flags2_common.ts";
import { ThreadPoolExecutor } from "../lib/futures.ts";
import { attempt } from "./calls.ts";
import {
  itInTerminal,
  outcome,
  parseReport,
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
    const without6 = options(port, path, folder.path, `[::1]:${port}`);
    const runs: [permissions: string[], server: string, option: string][] = [
      [[], "LOCAL", `net=localhost:${port}`],
      [without6, "LOCAL", `net=[::1]:${port}`],
      [all.filter((granted) => granted !== read), "LOCAL", `read=${path}`],
      [all.filter((granted) => granted !== write), "LOCAL", "write=downloads"],
      [["-P"], "http://localhost:9000/flags", "net=localhost:9000"],
      [["-P"], "http://*/", "net=*"], // It cannot be a host.
      [["-P"], "LOCAL", "read=downloads"], // It does not reach this folder.
    ];
    for (const [permissions, server, option] of runs) {
      const { code, stdout, stderr } = await run("asyncio", ["-s", server], {
        cwd: server === "LOCAL" ? folder.path : path,
        root: path,
        permissions,
      });
      assertEquals([code, stdout.includes("downloaded")], [1, false]);
      const [line, ...rest] = ours(stderr).split("\n");
      assertEquals(rest, [""]);
      assertStringIncludes(line!, `*** --allow-${option} is needed: `);
    }
    assertEquals(await folder.list(), []);
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
});

describe("a thread with permissions of its own", () => {
  it("may import what the caller may, or nothing when it is told so", async () => {
    const code = "export const load = () => 'loaded';";
    const headers = { "content-type": "text/javascript" };
    await using server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen() {} },
      () => new Response(code, { headers }),
    );
    const program = `
import { ThreadPoolExecutor } from "${
      import.meta.resolve("../lib/futures.ts")
    }";
const module = "http://127.0.0.1:${server.addr.port}/";
const { load } = await import(module);
for (const permissions of [{ read: true }, { read: true, import: false }]) {
  await using executor = new ThreadPoolExecutor({
    maxWorkers: 1,
    module,
    permissions,
  });
  await executor.map(load, [0]).next().then(
    ({ value }) => console.log(value),
    (error) => console.log(error.message),
  );
}`;
    const map = STD.filter((word) => word.startsWith("--import-map"));
    const words = ["eval", "--no-lock", `--config=${ROOT}/deno.json`, ...map];
    const { stdout, stderr } = //
      await outcome(spawn([Deno.execPath(), ...words, program]));
    const expected = /^loaded\nRequires import access to "127\.0\.0\.1:\d+"/;
    assertMatch(stdout, expected, stderr);
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
