import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { ROOT, TemporaryFolder } from "../bench/scripts.ts";
import { runScript, terminal } from "./processes.ts";
import { sharedProject } from "./projects.ts";
import { itInTerminal } from "./testing.ts";

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
