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
  projectAtFreePorts,
  quoted,
  resultOf,
  ROOT,
  run,
  type Script,
  SCRIPTS,
  STD,
  TemporaryFolder,
} from "./testing.ts";

const CONFIG = JSON.parse(await Deno.readTextFile(`${ROOT}/deno.json`));
const SET: Record<"env" | "import" | "net" | "read" | "write", string[]> =
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

/** The first two lines that Deno itself writes about `-P` are not ours. */
const ours = (stderr: string) => stderr.replace(/^.*Warning.*\n/, "");

describe("the default permission set", () => {
  it("holds three variables, JSR, the network, reading and writing, and nothing else", () => {
    assertEquals(Object.keys(SET), ["env", "import", "net", "read", "write"]);
    assertEquals(SET.env, ["NO_PROXY", "TERM", "no_proxy"]);
    assertEquals(SET.import, ["jsr.io:443"]);
    assertEquals(SET.read, ["."]);
    assertEquals(SET.write, ["downloads"]);
    const hosts = ["localhost", "127.0.0.1", "[::1]"].flatMap((host) =>
      [8001, 8002, 8003].map((port) => `${host}:${port}`)
    );
    assertEquals(SET.net, ["flupy.org", "www.fluentpython.com", ...hosts]);
  });
});

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

    it("writes nothing into its own folder, the site neither", async () => {
      await using copy = await projectAtFreePorts();
      await using folder = new TemporaryFolder();
      const { code, stdout, stderr } = await run(script, [], {
        cwd: folder.path,
        root: copy.path,
        permissions: ["-A", `--deny-write=${copy.path}`],
      });
      assertEquals([code, parseReport(stdout).flags], [0, 20], stderr);
    });

    it("runs at any port, with the like", async () => {
      await using folder = await projectAtFreePorts();
      const [port] = folder.ports;
      const { code, stdout } = await run(script, [], {
        cwd: folder.path,
        root: folder.path,
        permissions: options(port, folder.path),
      });
      assertEquals([code, parseReport(stdout).flags], [0, 20]);
    });

    it("names the one that is missing, and asks nothing", async () => {
      await using folder = await projectAtFreePorts();
      const [port] = folder.ports;
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
        ]
      ) {
        const permissions = options(port, folder.path, value);
        missing.push([permissions, "--allow-net"]);
      }
      for (const [permissions, option] of missing) {
        const { code, stdout, stderr } = await run(script, ["-l", "5"], {
          cwd: folder.path,
          root: folder.path,
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

    it("names a host that -s gives and nobody granted", async () => {
      await using folder = await project();
      const args = ["-s", "http://localhost:9000/flags", "br"];
      const { code, stdout, stderr } = await run(script, args, {
        cwd: folder.path,
        root: folder.path,
        permissions: ["-P"],
      });
      assertEquals([code, parseReport(stdout).notTried], [1, 1]);
      assertMatch(
        ours(stderr),
        /^\*\*\* --allow-net=localhost:9000 is needed: .*\n$/,
      );
    });

    it("says so of a host that can be none, in one line", async () => {
      await using folder = await project();
      const { code, stdout, stderr } = await run(
        script,
        ["-s", "http://*/", "br"],
        { cwd: folder.path, root: folder.path, permissions: ["-P"] },
      );
      assertEquals([code, parseReport(stdout).notTried], [1, 1]);
      assertMatch(ours(stderr), /^\*\*\* --allow-net=\* is needed: .*\n$/);
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
      const outcome = await resultOf(executor.submit(attempt, what));
      assertEquals(outcome, "NotCapable", what);
    }
    const code = `read ${ROOT}/deno.json`;
    assertEquals(await resultOf(executor.submit(attempt, code)), "ok");
  });

  it("reaches the ports that the script may, and no other", async () => {
    using other = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const port = freePort();
    const program = `
import { DOWNLOAD_PERMISSIONS } from "${ROOT}/flags2_common.ts";
import { asCompleted, ThreadPoolExecutor } from "${ROOT}/lib/futures.ts";
import { attempt } from "${ROOT}/tests/calls.ts";
await using executor = new ThreadPoolExecutor({
  maxWorkers: 1,
  module: "file://${ROOT}/tests/calls.ts",
  permissions: DOWNLOAD_PERMISSIONS,
});
for (const port of [${port}, ${other.addr.port}]) {
  const call = executor.submit(attempt, \`net \${port}\`);
  for await (const _ of asCompleted([call])) console.log(call.result());
}`;
    await using folder = new TemporaryFolder();
    await Deno.writeTextFile(`${folder.path}/program.ts`, program);
    const { stdout, stderr } = await outcome(
      new Deno.Command(Deno.execPath(), {
        args: [
          "run",
          ...STD,
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

describe("a thread with permissions of its own", () => {
  /** What a thread makes of a module that imports from a server. */
  const load = async (permissions: Deno.PermissionOptionsObject) => {
    await using folder = await project();
    await using server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen() {} },
      () =>
        new Response("export const load = () => 'loaded';", {
          headers: { "content-type": "text/javascript" },
        }),
    );
    const module = `export * from "http://127.0.0.1:${server.addr.port}/";`;
    await Deno.writeTextFile(`${folder.path}/module.js`, module);
    const program = `
import { asCompleted, ThreadPoolExecutor } from "./lib/futures.ts";
import { load } from "./module.js";
await using executor = new ThreadPoolExecutor({
  maxWorkers: 1,
  module: import.meta.resolve("./module.js"),
  permissions: ${JSON.stringify(permissions)},
});
const call = executor.submit(load);
for await (const _ of asCompleted([call])) {
  try {
    console.log(call.result());
  } catch (error) {
    console.log(error.message);
  }
}`;
    await Deno.writeTextFile(`${folder.path}/program.js`, program);
    return await outcome(
      new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", ...STD, "--frozen=false", "program.js"],
        cwd: folder.path,
        stdin: "null",
        stdout: "piped",
        stderr: "piped",
      }).spawn(),
    );
  };

  it("may import what the caller may", async () => {
    const { stdout, stderr } = await load({ read: true });
    assertEquals(stdout, "loaded\n", stderr);
  });

  it("may import nothing when it is told so", async () => {
    const { stdout } = await load({ read: true, import: false });
    assertMatch(stdout, /^Requires import access to "127\.0\.0\.1:\d+"/);
  });
});

describe("deno.lock", () => {
  it("names @std alone: a first run fetches whatever stands there", async () => {
    const lock = JSON.parse(await Deno.readTextFile(`${ROOT}/deno.lock`));
    assertEquals(
      Object.keys(lock.npm).map((name) => name.split("@")[0]),
      ["deno-std"],
      "a deno check or deno test without --lock=tests/deno.lock adds to it",
    );
  });
});
