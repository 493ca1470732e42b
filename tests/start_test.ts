import { assert, assertEquals, assertMatch } from "@std/assert";
import { delay } from "@std/async/delay";
import { describe, it } from "@std/testing/bdd";
import {
  eventually,
  has,
  itIf,
  itOnPosix,
  outcome,
  parseReport,
  projectAtFreePorts,
  run,
  SCRIPTS,
  sharedProject,
  start,
  TemporaryFolder,
} from "./testing.ts";

/** A listener at a port whose queue is full: it takes no connection. */
async function fullListener(port: number): Promise<AsyncDisposable> {
  const listener = Deno.listen({
    hostname: "127.0.0.1",
    port,
    tcpBacklog: 1,
  });
  const end = new AbortController();
  const { signal } = end;
  const connections: Promise<Deno.TcpConn | undefined>[] = [];
  let taken = -1;
  // Until one is not taken: how many are differs from kernel to kernel.
  for (let count = 0; taken < connections.length - 1 || count < 4;) {
    const { length } = connections;
    const address = { hostname: "127.0.0.1", port, signal };
    connections.push(
      Deno.connect(address).then((connection) => {
        taken = length;
        return connection;
      }).catch(() => undefined),
    );
    count = taken < length ? count + 1 : 0;
    await delay(50);
    if (connections.length > 20) break;
  }
  return {
    async [Symbol.asyncDispose]() {
      end.abort();
      for (const connection of await Promise.all(connections)) {
        connection?.close();
      }
      listener.close();
    },
  };
}

describe("when a server at a site's port takes no connection, a script", () => {
  itOnPosix("says so in one line", async () => {
    const { path, ports: [port] } = await sharedProject();
    await using _listener = await fullListener(port);
    const options = { cwd: path, root: path };
    const { code, stdout, stderr } = //
      await run("asyncio", ["br", "us"], options);
    const message = `The server at localhost:${port} takes no connection`;
    assertEquals([code, stderr], [1, `*** ${message}\n`]);
    assert(!stdout.includes("downloaded"), stdout);
  });
});

describe("when a refusal comes late, as on Windows, a script", () => {
  it("finds or starts its site all the same: two at once", async () => {
    await using copy = await projectAtFreePorts();
    await Deno.writeTextFile(
      `${copy.path}/late.ts`,
      `const { connect } = Deno;
Deno.connect = async (options) => {
  try {
    return await connect(options);
  } catch (error) {
    await new Promise((_, reject) => {
      options.signal?.addEventListener("abort", () => reject(error), {
        once: true,
      });
      Deno.unrefTimer(setTimeout(reject, 60_000, error));
    });
  }
};`,
    );
    const args = ["br", "us", "-s", "DELAY"];
    const atOnce = () =>
      run("asyncio", args, {
        cwd: copy.path,
        root: copy.path,
        permissions: ["-A", "--no-check", "--preload=./late.ts"],
      });
    for (const outcome of await Promise.all([atOnce(), atOnce()])) {
      const { code, stdout, stderr } = outcome;
      assertEquals(code, 0, stderr);
      assertEquals(parseReport(stdout).flags, 2);
    }
  });
});

/** Words that run a program with `/etc/hosts` of its own. */
function withHosts(text: string): string[] {
  const shell = 'hosts=$(mktemp) && echo "$HOSTS" > "$hosts" && ' +
    'mount --bind "$hosts" /etc/hosts && rm "$hosts" && exec "$@"';
  const words = ["unshare", "-rm", "env", `HOSTS=${text}`, "sh", "-c", shell];
  return [...words, "sh"];
}
const [program, ...words] = withHosts("127.0.0.1 localhost");
const itWithHosts = itIf(
  await has(program!, ...words, "true"),
  "the right to mount",
);

describe("when localhost is elsewhere, a script", () => {
  for (
    const [hosts, message] of [
      ["127.0.0.2 localhost", "localhost is not at 127.0.0.1 or [::1], where "],
      ["127.0.0.1 nowhere", "localhost cannot be reached: "],
    ] as const
  ) {
    itWithHosts(`says so in one line: ${hosts}`, async () => {
      const { path } = await sharedProject();
      const options = { cwd: path, root: path, within: withHosts(hosts) };
      const { code, stderr } = await run("asyncio", ["br"], options);
      assertEquals(code, 1);
      assert(stderr.startsWith(`*** ${message}`), stderr);
      assertEquals(stderr.split("\n").length, 2, stderr);
    });
  }
});

describe("when its site dies, a script", () => {
  it("says so, and counts every code", async () => {
    await using copy = await projectAtFreePorts();
    const site = `${copy.path}/site/serve.ts`;
    const text = await Deno.readTextFile(site);
    const died = text.replace(
      "const { port } = site;",
      "$& let left = 5;",
    ).replace(
      /const handler = async \(.*=> \{\n/,
      '$&if (--left === 0) setTimeout(() => { throw new Error("fell"); });\n',
    );
    assert(died.includes("--left") && died.includes("let left"), text);
    await Deno.writeTextFile(site, died);
    const args = ["-al", "12", "-m", "2", "-t", "2"];
    const { code, stdout, stderr } = await run("threadpool", args, {
      cwd: copy.path,
      root: copy.path,
    });
    assertEquals(code, 0, stderr);
    const { flags, errors } = parseReport(stdout);
    assertEquals(flags + errors, 12, stdout);
    assertMatch(stderr, /^\*\*\* The LOCAL site is gone: .*fell$/m);
  });
});

describe("scripts that run at the same time", () => {
  it("share their sites, and each gets all flags: three, started at random", async () => {
    const { path } = await sharedProject();
    await Promise.all(SCRIPTS.map(async (script) => {
      await using folder = new TemporaryFolder();
      const options = { cwd: folder.path, root: path };
      await delay(400 * Math.random());
      const { code, stdout, stderr } = //
        await run(script, ["-al", "60"], options);
      assertEquals([code, parseReport(stdout).flags], [0, 60], stderr);
      assertEquals((await folder.list()).length, 60);
    }));
  });

  itOnPosix(
    "lose no code when the one goes that has started the site",
    async () => {
      const { path } = await sharedProject();
      await using first = new TemporaryFolder();
      await using second = new TemporaryFolder();
      const begin = async (folder: TemporaryFolder, limit: string) => {
        const args = ["-s", "DELAY", "-al", limit, "-m", "10"];
        const options = { cwd: folder.path, root: path };
        const child = start("threadpool", args, options);
        const ended = outcome(child);
        await eventually(async () => (await folder.list()).length >= 10);
        return { child, ended };
      };
      const { child, ended } = await begin(first, "194");
      const other = await begin(second, "80");
      child.kill("SIGINT");
      assertEquals((await ended).code, 130);
      const { code, stdout, stderr } = await other.ended;
      assertEquals([code, parseReport(stdout).flags], [0, 80], stderr);
      assertMatch(stderr, /^Started the DELAY site for this run\.$/m);
    },
  );
});

describe("in a folder reached by a link, a script", () => {
  itOnPosix("runs, and its site does", async () => {
    const { path } = await sharedProject();
    await using folder = new TemporaryFolder();
    const link = `${folder.path}/link`;
    await Deno.symlink(path, link);
    const options = { cwd: folder.path, root: link };
    const { code, stdout, stderr } = //
      await run("threadpool", ["br", "us"], options);
    assertEquals(stderr, "Started the LOCAL site for this run.\n");
    assertEquals([code, parseReport(stdout).flags], [0, 2]);
  });
});
