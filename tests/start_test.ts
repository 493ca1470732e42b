import { assert, assertEquals, assertMatch } from "@std/assert";
import { delay } from "@std/async/delay";
import { describe, it } from "@std/testing/bdd";
import { parseReport, SCRIPTS, TemporaryFolder } from "../bench/scripts.ts";
import { outcome, runScript, start } from "./processes.ts";
import { projectAtFreePorts, sharedProject } from "./projects.ts";
import { eventually, has, itIf, itOnPosix } from "./testing.ts";

/** Return words that run a program with its own `/etc/hosts`. */
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

describe("a script", () => {
  itOnPosix("reports a server that does not accept connections", async () => {
    const { path, ports: [port] } = await sharedProject();
    const hostname = "127.0.0.1";
    using _listener = Deno.listen({ hostname, port, tcpBacklog: 1 });
    // These connections fill the queue of the listener on any kernel.
    const end = new AbortController();
    const address = { hostname, port, signal: end.signal };
    const queue = Array.from(Array(20), () => Deno.connect(address));
    await Promise.any(queue);
    const options = { cwd: path, root: path };
    const result = await runScript("asyncio", ["br", "us"], options);
    end.abort();
    for (const connected of await Promise.allSettled(queue)) {
      if (connected.status === "fulfilled") connected.value.close();
    }
    const message =
      `The server at localhost:${port} does not accept connections: end it`;
    assertEquals([result.code, result.stderr], [1, `*** ${message}\n`]);
    assert(!result.stdout.includes("downloaded"), result.stdout);
  });

  it("starts or finds its site even if a port refuses late, as on Windows", async () => {
    const { path } = await sharedProject();
    await using folder = new TemporaryFolder();
    const late = `${folder.path}/late.ts`;
    await Deno.writeTextFile(
      late,
      `const { connect } = Deno;
Deno.connect = async (options) => {
  try {
    return await connect(options);
  } catch (error) {
    const { promise, reject } = Promise.withResolvers();
    const refuse = () => reject(error);
    options.signal?.addEventListener("abort", refuse);
    Deno.unrefTimer(setTimeout(refuse, 2_300));
        // Otherwise the timer of the request would keep the program alive for 10 s.
    await promise.finally(() =>
      options.signal?.removeEventListener("abort", refuse)
    );
  }
};`,
    );
    const atOnce = () =>
      runScript("asyncio", ["br", "us", "-s", "DELAY"], {
        cwd: folder.path,
        root: path,
        permissions: ["-A", "--no-check", `--preload=${late}`],
      });
    for (const outcome of await Promise.all([atOnce(), atOnce()])) {
      const { code, stdout, stderr } = outcome;
      assertEquals([code, parseReport(stdout).flags], [0, 2], stderr);
    }
  });

  itWithHosts(
    "reports that localhost is another address or unknown",
    async () => {
      const { path } = await sharedProject();
      const table = [
        [
          "127.0.0.2 localhost",
          "localhost does not resolve to 127.0.0.1 or [::1]: ",
        ],
        ["127.0.0.1 nowhere", "localhost cannot be reached: "],
      ] as const;
      for (const [hosts, message] of table) {
        const options = { cwd: path, root: path, within: withHosts(hosts) };
        const { code, stderr } = await runScript("asyncio", ["br"], options);
        assertEquals([code, stderr.split("\n").length], [1, 2], stderr);
        assert(stderr.startsWith(`*** ${message}`), stderr);
      }
    },
  );

  it("reports that its site has died, and counts every code", async () => {
    await using copy = await projectAtFreePorts();
    const site = `${copy.path}/site/serve.ts`;
    const text = await Deno.readTextFile(site);
    const died = text.replace("const { port } = site;", "$& let left = 5;")
      .replace(
        /const handler = async \(.*=> \{\n/,
        '$&if (--left === 0) setTimeout(() => { throw new Error("fell"); });\n',
      );
    await Deno.writeTextFile(site, died);
    const args = ["-al", "12", "-m", "2", "-t", "2"];
    const options = { cwd: copy.path, root: copy.path };
    const { code, stdout, stderr } = await runScript(
      "threadpool",
      args,
      options,
    );
    const { flags, errors } = parseReport(stdout);
    assertEquals([code, flags + errors], [0, 12], stdout + stderr);
    assertMatch(stderr, /^\*\*\* The LOCAL site has died: .*fell$/m);
  });

  itOnPosix(
    "starts its site in a folder that is reached by a link",
    async () => {
      const { path } = await sharedProject();
      await using folder = new TemporaryFolder();
      const link = `${folder.path}/link`;
      await Deno.symlink(path, link);
      const options = { cwd: folder.path, root: link };
      const result = await runScript("threadpool", ["br", "us"], options);
      const { code, stdout, stderr } = result;
      assertEquals(stderr, "Started the LOCAL site for this run.\n");
      assertEquals([code, parseReport(stdout).flags], [0, 2]);
    },
  );
});

describe("scripts that run at the same time", () => {
  it("share a site, and each downloads all of its flags", async () => {
    const { path } = await sharedProject();
    await Promise.all(SCRIPTS.map(async (script) => {
      await using folder = new TemporaryFolder();
      const options = { cwd: folder.path, root: path };
      await delay(400 * Math.random());
      const result = await runScript(script, ["-al", "60"], options);
      const { code, stdout, stderr } = result;
      assertEquals([code, parseReport(stdout).flags], [0, 60], stderr);
      assertEquals((await folder.list()).length, 60);
    }));
  });

  itOnPosix(
    "lose no code when the script that started the site ends",
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
      const other = await begin(second, "40");
      child.kill("SIGINT");
      assertEquals((await ended).code, 130);
      const { code, stdout, stderr } = await other.ended;
      assertEquals([code, parseReport(stdout).flags], [0, 40], stderr);
      assertMatch(stderr, /^Started the DELAY site for this run\.$/m);
    },
  );
});
