import { assert, assertEquals, assertMatch } from "@std/assert";
import { delay } from "@std/async/delay";
import { describe, it } from "@std/testing/bdd";
import {
  commandLine,
  outcome,
  parseReport,
  projectAtFreePorts,
  quoted,
  run,
  SCRIPTS,
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

for (const script of SCRIPTS) {
  describe(`flags2_${script}.ts, when a server takes no connection,`, () => {
    it("says so in one line", async () => {
      await using copy = await projectAtFreePorts();
      const [port] = copy.ports;
      await using _listener = await fullListener(port);
      const { code, stdout, stderr } = await run(script, ["br", "us"], {
        cwd: copy.path,
        root: copy.path,
      });
      const message = `The server at localhost:${port} takes no connection`;
      assertEquals([code, stderr], [1, `*** ${message} within 2 s\n`]);
      assertEquals(parseReport(stdout).notTried, 2);
    });

    it("ends at Ctrl-C", async () => {
      await using copy = await projectAtFreePorts();
      await using _listener = await fullListener(copy.ports[0]);
      const options = { cwd: copy.path, root: copy.path };
      const child = start(script, ["br", "us"], options);
      const result = outcome(child);
      await delay(1000);
      child.kill("SIGINT");
      const { code, stdout, stderr } = await result;
      assertEquals([code, stderr], [130, ""]);
      assertEquals(parseReport(stdout).notTried, 2);
    });
  });

  describe(`flags2_${script}.ts, where few files may be open,`, () => {
    const limited = async (files: number, args: string[]) => {
      await using copy = await projectAtFreePorts();
      const words = quoted(commandLine(script, args, { root: copy.path }));
      return await outcome(
        new Deno.Command("sh", {
          args: ["-c", `ulimit -n ${files} && exec ${words}`],
          cwd: copy.path,
          stdin: "null",
          stdout: "piped",
          stderr: "piped",
        }).spawn(),
      );
    };

    it("has fewer connections, says so and misses no code", async () => {
      const args = ["-e", "-m", "676"];
      const { code, stdout, stderr } = await limited(100, args);
      const { flags, notFound } = parseReport(stdout);
      assertEquals([code, flags, notFound], [0, 194, 482], stderr);
      const connections = script === "sequential" ? 1 : 12;
      assertMatch(stdout, new RegExp(`^${connections} concurrent`, "m"));
      const warning = "*** 12 connections in place of 676: " +
        "only 100 files may be open (ulimit -n)\n";
      const started = "Started the LOCAL site for this run.\n";
      assertEquals(stderr, (connections > 1 ? warning : "") + started);
    });

    it("says that there is no room for one", async () => {
      const { code, stdout, stderr } = await limited(60, []);
      assertEquals([code, stdout], [1, ""]);
      assertEquals(
        stderr,
        "*** No room for a connection: only 60 files may be open (ulimit -n)\n",
      );
    });
  });

  describe(`flags2_${script}.ts, when its site dies,`, () => {
    it("says so, and counts every code", async () => {
      await using copy = await projectAtFreePorts();
      const site = `${copy.path}/site/serve.ts`;
      const text = await Deno.readTextFile(site);
      const died = text.replace(
        "const { port } = site;",
        "$& let left = 5;",
      ).replace(
        "const chance =",
        'if (--left === 0) setTimeout(() => { throw new Error("fell"); });\n$&',
      );
      assert(died !== text);
      await Deno.writeTextFile(site, died);
      const args = ["-al", "12", "-m", "2"];
      const { code, stdout, stderr } = await run(script, args, {
        cwd: copy.path,
        root: copy.path,
      });
      assertEquals(code, 0, stderr);
      const { flags, errors } = parseReport(stdout);
      assertEquals(flags + errors, 12, stdout);
      assert(errors > 0 && flags > 0, stdout);
      assertMatch(stderr, /^\*\*\* The LOCAL site is gone: .*fell$/m);
    });
  });
}

describe("scripts that run at the same time", () => {
  it("share their sites, and each gets all flags: five, started at random", async () => {
    await using copy = await projectAtFreePorts();
    const scripts = [...SCRIPTS, "threadpool", "asyncio"] as const;
    await Promise.all(scripts.map(async (script) => {
      await using folder = new TemporaryFolder();
      await delay(400 * Math.random());
      const { code, stdout, stderr } = await run(script, ["-a"], {
        cwd: folder.path,
        root: copy.path,
      });
      assertEquals([code, parseReport(stdout).flags], [0, 194], stderr);
      assertEquals((await folder.list()).length, 194);
    }));
  });
});

for (const script of SCRIPTS) {
  describe(`flags2_${script}.ts, in a folder reached by a link,`, () => {
    it("runs", async () => {
      await using copy = await projectAtFreePorts();
      await using folder = new TemporaryFolder();
      const link = `${folder.path}/link`;
      await Deno.symlink(copy.path, link);
      const { code, stdout, stderr } = await run(script, ["br", "us"], {
        cwd: folder.path,
        root: link,
      });
      assertEquals([code, stderr], [
        0,
        "Started the LOCAL site for this run.\n",
      ]);
      assertEquals(parseReport(stdout).flags, 2);
    });
  });
}
