import { assert, assertEquals, assertMatch } from "@std/assert";
import { delay } from "@std/async/delay";
import { describe, it } from "@std/testing/bdd";
import { SCRIPTS, TemporaryFolder } from "../bench/scripts.ts";
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
    const result = await runScript("asyncio", "br us", { root: path });
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
    const permissions = ["-A", "--no-check", `--preload=${late}`];
    const run = () =>
      runScript("asyncio", "br us -s DELAY", { root: path, permissions });
    for (const outcome of await Promise.all([run(), run()])) {
      const { code, stderr, report } = outcome;
      assertEquals([code, report.flags], [0, 2], stderr);
    }
  });

  itWithHosts("reports that localhost is another address", async () => {
    const { path } = await sharedProject();
    const table = [
      [
        "127.0.0.2 localhost",
        "localhost does not resolve to 127.0.0.1 or [::1]: ",
      ],
      ["127.0.0.1 nowhere", "localhost cannot be reached: "],
    ] as const;
    for (const [hosts, message] of table) {
      const options = { root: path, within: withHosts(hosts) };
      const { code, stderr } = await runScript("asyncio", "br", options);
      assertEquals([code, stderr.split("\n").length], [1, 2], stderr);
      assert(stderr.startsWith(`*** ${message}`), stderr);
    }
  });

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
    const options = { root: copy.path };
    const result = await runScript("threadpool", "-al 12 -m 2 -t 2", options);
    const { code, stdout, stderr, report: { flags, errors } } = result;
    assertEquals([code, flags + errors], [0, 12], stdout + stderr);
    assertMatch(stderr, /^\*\*\* The LOCAL site has died: .*fell$/m);
  });

  itOnPosix("starts its site from a folder that is a link", async () => {
    const { path } = await sharedProject();
    await using folder = new TemporaryFolder();
    const root = `${folder.path}/link`;
    await Deno.symlink(path, root);
    const result = await runScript("threadpool", "br us", { root });
    assertEquals(result.stderr, "Started the LOCAL site for this run.\n");
    assertEquals([result.code, result.report.flags], [0, 2]);
  });
});

describe("scripts that share a site", () => {
  it("download all of their flags", async () => {
    const { path } = await sharedProject();
    await Promise.all(SCRIPTS.map(async (script) => {
      await delay(400 * Math.random());
      const result = await runScript(script, "-al 60", { root: path });
      const { code, stderr, report, saved } = result;
      assertEquals([code, report.flags, saved.length], [0, 60, 60], stderr);
    }));
  });

  itOnPosix("lose no code when the first script ends", async () => {
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
    const { code, stderr, report } = await other.ended;
    assertEquals([code, report.flags], [0, 40], stderr);
    assertMatch(stderr, /^Started the DELAY site for this run\.$/m);
  });
});
