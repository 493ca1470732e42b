import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { cp } from "node:fs/promises";
import { ROOT, SCRIPTS, STD, TemporaryFolder } from "../bench/scripts.ts";
import { outcome, runScript, spawn, terminal } from "./processes.ts";
import { sharedProject } from "./projects.ts";
import { itIf, itInTerminal, itOnLinux } from "./testing.ts";

const itWithNpm = itIf(STD[0] === "--frozen", "npm's @std");

/** Return the permissions that a run with a site at this port needs. */
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

/** Remove the warning that Deno prints about `-P`. */
const withoutWarning = (stderr: string) => stderr.replace(/^.*Warning.*\n/, "");

it("a script needs no other permissions than those of deno.json", async () => {
  const { path, ports } = await sharedProject();
  await using folder = new TemporaryFolder();
  const { code, stderr, report } = await runScript("threadpool", [], {
    cwd: folder.path,
    root: path,
    permissions: options(ports[0], path, folder.path),
  });
  assertEquals([code, report.flags], [0, 20], stderr);
});

describe("with -A, a script", () => {
  itOnLinux("runs in a folder under /dev", async () => {
    const { path } = await sharedProject();
    const shell = 'cd "$(mktemp -d -p /dev/shm)" && "$@"; status=$?; ' +
      'rm -r "$PWD"; exit $status';
    const options = { root: path, within: ["sh", "-c", shell, "sh"] };
    for (const script of SCRIPTS) {
      const { code, stderr } = await runScript(script, ["br"], options);
      assertEquals(code, 0, stderr);
    }
  });

  itWithNpm("runs as a member of a workspace", async () => {
    await using folder = new TemporaryFolder();
    const { path } = await sharedProject();
    const cwd = `${folder.path}/flags2`;
    await cp(path, cwd, { recursive: true });
    const config = JSON.stringify({ workspace: ["./flags2"] });
    await Deno.writeTextFile(`${folder.path}/deno.json`, config);
    for (const script of SCRIPTS) {
      // A workspace has its own lock, which the first run writes.
      const words = [Deno.execPath(), "run", "-A", `flags2_${script}.ts`, "br"];
      const { code, stderr } = await outcome(spawn(words, { cwd }));
      assertEquals(code, 0, stderr);
    }
  });
});

describe("a script that lacks a permission", () => {
  it("names the permission before the first request", async () => {
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
      [["-P"], "http://*/", "net=*"], // This is not a valid host.
      [["-P"], "LOCAL", "read=downloads"], // -P grants another folder.
    ];
    for (const [permissions, server, option] of runs) {
      const cwd = server === "LOCAL" ? folder.path : path;
      const options = { cwd, root: path, permissions };
      const result = await runScript("asyncio", `-s ${server}`, options);
      const { code, stdout, stderr } = result;
      assertEquals([code, stdout.includes("downloaded")], [1, false]);
      const [line, ...rest] = withoutWarning(stderr).split("\n");
      assertEquals(rest, [""]);
      const hint = `*** --allow-${option} is needed: add it, or use -A (-P`;
      assertStringIncludes(line!, hint);
    }
    assertEquals(await folder.list(), []);
  });

  itInTerminal("does not ask for the permission in a terminal", async () => {
    await using folder = new TemporaryFolder();
    const options = { cwd: folder.path, permissions: [], columns: 200 };
    const text = await terminal("asyncio", [], options);
    assert(text.includes("*** --allow-net=localhost:8001 is needed"), text);
    assert(!/allow\?|\[y\/n/i.test(text), text);
  });
});

it("deno.lock names only deno-std", async () => {
  const lock = JSON.parse(await Deno.readTextFile(`${ROOT}/deno.lock`));
  const names = Object.keys(lock.npm).map((name) => name.split("@")[0]);
  const hint = "deno check and deno test need --lock=tests/deno.lock";
  assertEquals(names, ["deno-std"], hint);
});
