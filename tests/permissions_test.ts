import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { cp } from "node:fs/promises";
import {
  parseReport,
  ROOT,
  SCRIPTS,
  STD,
  TemporaryFolder,
} from "../bench/scripts.ts";
import { outcome, runScript, spawn, terminal } from "./processes.ts";
import { sharedProject } from "./projects.ts";
import { itIf, itInTerminal, itOnLinux } from "./testing.ts";

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
      const { code, stdout, stderr } = await runScript(script, args, {
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
    const { code, stdout, stderr } = await runScript("threadpool", [], {
      cwd: folder.path,
      root: path,
      permissions: options(ports[0], path, folder.path),
    });
    assertEquals([code, parseReport(stdout).flags], [0, 20], stderr);
  });
});

const itWithNpm = itIf(STD[0] === "--frozen", "npm's @std");

describe("with -A, all three scripts", () => {
  itOnLinux("run in a folder under /dev", async () => {
    const { path } = await sharedProject();
    const shell = 'cd "$(mktemp -d -p /dev/shm)" && "$@"; status=$?; ' +
      'rm -r "$PWD"; exit $status';
    const within = ["sh", "-c", shell, "sh"];
    for (const script of SCRIPTS) {
      const options = { cwd: path, root: path, within };
      const { code, stdout, stderr } = await runScript(script, ["br"], options);
      assertEquals([code, parseReport(stdout).flags], [0, 1], stderr);
    }
  });

  itWithNpm("run as a member of a workspace", async () => {
    await using folder = new TemporaryFolder();
    const { path } = await sharedProject();
    const member = `${folder.path}/flags2`;
    await cp(path, member, { recursive: true });
    const config = JSON.stringify({ workspace: ["./flags2"] });
    await Deno.writeTextFile(`${folder.path}/deno.json`, config);
    for (const script of SCRIPTS) {
      // A workspace has its own lock, which the first run writes.
      const words = [Deno.execPath(), "run", "-A", `flags2_${script}.ts`, "br"];
      const { code, stdout, stderr } = //
        await outcome(spawn(words, { cwd: member }));
      assertEquals([code, parseReport(stdout).flags], [0, 1], stderr);
    }
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
      const { code, stdout, stderr } = await runScript("asyncio", [
        "-s",
        server,
      ], {
        cwd: server === "LOCAL" ? folder.path : path,
        root: path,
        permissions,
      });
      assertEquals([code, stdout.includes("downloaded")], [1, false]);
      const [line, ...rest] = ours(stderr).split("\n");
      assertEquals(rest, [""]);
      const hint = `*** --allow-${option} is needed: add it, or use -A (-P`;
      assertStringIncludes(line!, hint);
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
