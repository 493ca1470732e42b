import { assert, assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { DOWNLOAD_PERMISSIONS } from "../flags2_common.ts";
import { ThreadPoolExecutor } from "../lib/futures.ts";
import { attempt } from "./calls.ts";
import {
  commandLine,
  freePort,
  itInTerminal,
  type Outcome,
  outcome,
  parseReport,
  project,
  quoted,
  ROOT,
  run,
  type Script,
  SCRIPTS,
  TemporaryFolder,
} from "./testing.ts";

const CONFIG = JSON.parse(await Deno.readTextFile(`${ROOT}/deno.json`));
const SET: { net: string[]; read: string[]; write: string[] } =
  CONFIG.permissions.default;

/** What the default set comes to, for a site at a free port. */
function options(
  port: number,
  cwd: string,
  without = "",
): string[] {
  const allow = {
    net: [`localhost:${port}`, `127.0.0.1:${port}`, `[::1]:${port}`],
    read: SET.read.map((path) => `${cwd}/${path}`),
    write: SET.write.map((path) => `${cwd}/${path}`),
  };
  return Object.entries(allow).map(([name, values]) =>
    `--allow-${name}=${values.filter((value) => value !== without)}`
  ).filter((option) => !option.endsWith("=") && option !== without);
}

const serversAt = (port: number) => ({
  LOCAL: `http://localhost:${port}/flags`,
});

/** The first two lines that Deno itself writes about `-P` are not ours. */
const ours = (stderr: string) => stderr.replace(/^.*Warning.*\n/, "");

describe("the default permission set", () => {
  it("holds the network, reading and writing, and nothing else", () => {
    assertEquals(Object.keys(SET), ["net", "read", "write"]);
    assertEquals(SET.read, ["."]);
    assertEquals(SET.write, ["downloads", "flags", "flags.new"]);
    const hosts = ["localhost", "127.0.0.1", "[::1]"].flatMap((host) =>
      [8001, 8002, 8003].map((port) => `${host}:${port}`)
    );
    assertEquals(SET.net, ["flupy.org", ...hosts]);
  });
});

/**
 * A copy of the project whose sites are at free ports, in the permission set,
 * too: a server may be at their own.
 */
async function projectAtFreePorts(): Promise<TemporaryFolder> {
  const copy = await project();
  const ports = [freePort(), freePort(), freePort()];
  for (const folder of [copy.path, `${copy.path}/site`]) {
    for await (const { name } of Deno.readDir(folder)) {
      if (!/\.(ts|json)$/.test(name)) continue;
      const text = await Deno.readTextFile(`${folder}/${name}`);
      await Deno.writeTextFile(
        `${folder}/${name}`,
        text.replace(/\b800[123]\b/g, (port) => `${ports[+port - 8001]}`),
      );
    }
  }
  return copy;
}

for (const script of SCRIPTS) {
  describe(`flags2_${script}.ts, with the permissions it needs,`, () => {
    it("runs under deno run -P", async () => {
      await using folder = await projectAtFreePorts();
      for (const server of ["LOCAL", "ERROR"]) {
        const args = ["-s", server, "-m", "8", "-l", "8"];
        const { code, stdout, stderr } = await run(script, args, {
          cwd: folder.path,
          root: folder.path,
          permissions: ["-P"],
        });
        assertEquals(
          ours(stderr),
          `Started the ${server} site for this run.\n`,
        );
        const { flags, errors } = parseReport(stdout);
        assertEquals([code, flags + errors], [0, 8]);
      }
    });

    it("draws the flags under deno run -P", async () => {
      await using folder = await projectAtFreePorts();
      await Deno.remove(`${folder.path}/flags`, { recursive: true });
      const { stdout } = await run(script, [], {
        cwd: folder.path,
        root: folder.path,
        permissions: ["-P"],
      });
      assertEquals(parseReport(stdout).flags, 20);
      assertEquals((await folder.list("flags")).length, 194);
      assertEquals(await folder.list("flags.new"), []);
    });

    it("runs at any port, with the like", async () => {
      await using folder = await project();
      const port = freePort();
      const { code, stdout } = await run(script, [], {
        cwd: folder.path,
        root: folder.path,
        servers: serversAt(port),
        permissions: options(port, folder.path),
      });
      assertEquals([code, parseReport(stdout).flags], [0, 20]);
    });

    it("names the one that is missing, and asks nothing", async () => {
      await using folder = await project();
      const port = freePort();
      const servers = serversAt(port);
      const missing: [permissions: string[], option: string][] = [
        [[], "--allow-net"],
      ];
      for (const option of options(port, folder.path)) {
        const permissions = options(port, folder.path, option);
        assertEquals(permissions.length, 2);
        missing.push([permissions, option.split("=")[0]!]);
      }
      for (
        const value of [
          `localhost:${port}`,
          `127.0.0.1:${port}`,
          `[::1]:${port}`,
          `${folder.path}/downloads`,
          `${folder.path}/flags`,
          `${folder.path}/flags.new`,
        ]
      ) {
        const permissions = options(port, folder.path, value);
        const name = value.startsWith("/") ? "--allow-write" : "--allow-net";
        missing.push([permissions, name]);
      }
      for (const [permissions, option] of missing) {
        const { code, stdout, stderr } = await run(script, ["-l", "5"], {
          cwd: folder.path,
          root: folder.path,
          servers,
          permissions,
        });
        assertEquals(code, 1);
        assertMatch(stderr, /^\*\*\* .*\n$/);
        assert(stderr.startsWith(`*** ${option}=`), stderr);
        const { flags, notTried } = parseReport(stdout);
        assertEquals([flags, notTried], [0, 5]);
      }
      assertEquals(await folder.list(), []);
    });

    it("says so in another folder, where -P does not reach", async () => {
      await using folder = new TemporaryFolder();
      const { code, stderr } = await run(script, ["-l", "5"], {
        cwd: folder.path,
        permissions: ["-P"],
      });
      assertEquals(code, 1);
      assertMatch(
        ours(stderr),
        /^\*\*\* --allow-read=downloads is needed: .*\n$/,
      );
    });
  });
}

describe("in a pseudo-terminal, a script without permissions", () => {
  const screen = async (script: Script): Promise<Outcome> => {
    await using folder = new TemporaryFolder();
    const words = commandLine(script, [], { permissions: [] });
    return await outcome(
      new Deno.Command("script", {
        args: ["-qec", quoted(words), "/dev/null"],
        cwd: folder.path,
        stdin: "null",
        stdout: "piped",
        stderr: "piped",
      }).spawn(),
    );
  };
  for (const script of SCRIPTS) {
    itInTerminal(`does not ask: ${script}`, async () => {
      const { code, stdout } = await screen(script);
      assertEquals(code, 1);
      assert(
        stdout.includes("*** --allow-net=localhost:8001 is needed"),
        stdout,
      );
      assert(!/allow\?|\[y\/n/i.test(stdout), stdout);
    });
  }
});

describe("a thread that downloads", () => {
  it("may read the code, write downloads, and do nothing else", async () => {
    await using executor = new ThreadPoolExecutor({
      maxWorkers: 1,
      module: import.meta.resolve("./calls.ts"),
      permissions: DOWNLOAD_PERMISSIONS,
    });
    const refused = [
      "read /etc/passwd",
      `write ${ROOT}/deno.json`,
      "write /tmp/flags2",
      "run",
      "env",
      "sys",
      "ffi",
    ];
    for (const what of refused) {
      assertEquals(await executor.submit(attempt, what), "NotCapable", what);
    }
    const code = `read ${ROOT}/deno.json`;
    assertEquals(await executor.submit(attempt, code), "ok");
  });

  it("reaches the ports that the script may, and no other", async () => {
    using other = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const port = freePort();
    const program = `
import { DOWNLOAD_PERMISSIONS } from "${ROOT}/flags2_common.ts";
import { ThreadPoolExecutor } from "${ROOT}/lib/futures.ts";
import { attempt } from "${ROOT}/tests/calls.ts";
await using executor = new ThreadPoolExecutor({
  maxWorkers: 1,
  module: "file://${ROOT}/tests/calls.ts",
  permissions: DOWNLOAD_PERMISSIONS,
});
console.log(await executor.submit(attempt, "net ${port}"));
console.log(await executor.submit(attempt, "net ${other.addr.port}"));`;
    await using folder = new TemporaryFolder();
    await Deno.writeTextFile(`${folder.path}/program.ts`, program);
    const { stdout, stderr } = await outcome(
      new Deno.Command(Deno.execPath(), {
        args: [
          "run",
          `--config=${ROOT}/deno.json`,
          `--allow-net=127.0.0.1:${port}`,
          `--allow-read=${ROOT},downloads`,
          "--allow-write=downloads",
          "program.ts",
        ],
        cwd: folder.path,
        stdin: "null",
        stdout: "piped",
        stderr: "piped",
      }).spawn(),
    );
    assertEquals(stdout, "ConnectionRefused\nNotCapable\n", stderr);
  });
});

describe("deno task", () => {
  it("draw needs reading and writing alone, and draws once", async () => {
    await using folder = await project();
    await Deno.remove(`${folder.path}/flags`, { recursive: true });
    for (const stderr of [/^.*Drawing 194 flags/s, /^(?!.*Drawing)/s]) {
      const result = await outcome(
        new Deno.Command(Deno.execPath(), {
          args: ["task", "draw"],
          cwd: folder.path,
          stdin: "null",
          stdout: "piped",
          stderr: "piped",
        }).spawn(),
      );
      assertEquals(result.code, 0);
      assertMatch(result.stderr, stderr);
      assertEquals((await folder.list("flags")).length, 194);
    }
  });
});
