import { assert, assertEquals, assertMatch } from "@std/assert";
import { delay } from "@std/async/delay";
import { describe, it } from "@std/testing/bdd";
import { startSite } from "../site/start.ts";
import {
  commandLine,
  FLAGS,
  itInTerminal,
  type Outcome,
  outcome,
  parseReport,
  projectAtFreePorts,
  quoted,
  ROOT,
  run,
  type Script,
  SCRIPTS,
  siteAtFreePort,
  start,
  STD,
  TemporaryFolder,
} from "./testing.ts";

const DEFAULT_CONCUR_REQ = { sequential: 1, threadpool: 30, asyncio: 5 };

/** Run a script in a folder of its own. */
async function runThere(
  script: Script,
  args: string[],
  root = ROOT,
): Promise<Outcome & { saved: string[] }> {
  await using folder = new TemporaryFolder();
  const outcome = await run(script, args, { cwd: folder.path, root });
  assertPlain(outcome);
  const saved = await folder.list();
  for (const name of saved) {
    const original = `${FLAGS}/${name.slice(0, 2)}/${name}`;
    assertEquals(
      await Deno.readFile(`${folder.path}/downloads/${name}`),
      await Deno.readFile(original),
      `${name} is not what the site serves`,
    );
  }
  return { ...outcome, saved };
}

/** No control character is written into a pipe. */
function assertPlain({ stdout, stderr }: Outcome): void {
  // deno-lint-ignore no-control-regex
  assert(!/[\x00-\x09\x0b-\x1f\x7f-\x9f]/.test(stdout + stderr));
}

/**
 * A server that counts requests in flight: it answers none before there are as
 * many as are expected, and each a little late, with 404.
 */
function countingServer(expected: number) {
  let inFlight = 0;
  const counts = { requests: 0, most: 0 };
  const reached = Promise.withResolvers<void>();
  const server = Deno.serve({
    hostname: "127.0.0.1",
    port: 0,
    onListen() {},
  }, async () => {
    counts.requests++;
    counts.most = Math.max(counts.most, ++inFlight);
    if (inFlight === expected) reached.resolve();
    await reached.promise;
    await delay(30);
    inFlight--;
    return new Response(null, { status: 404 });
  });
  return {
    url: `http://localhost:${server.addr.port}/flags`,
    counts,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

for (const script of SCRIPTS) {
  const name = `flags2_${script}.ts`;

  describe(name, () => {
    it("downloads the top 20 from LOCAL by default, and starts the site", async () => {
      await using copy = await projectAtFreePorts();
      const [port] = copy.ports;
      const outcome = await runThere(script, [], copy.path);
      const { code, stdout, stderr, saved } = outcome;
      assertEquals(code, 0);
      const connections = DEFAULT_CONCUR_REQ[script];
      const most = Math.min(connections, 20);
      const [site, search, connection, bar, dashes, flags, elapsed, ...rest] =
        stdout.split("\n");
      assertEquals(site, `LOCAL site: http://localhost:${port}/flags`);
      assertEquals(search, "Searching for 20 flags: from BD to VN");
      assertEquals(
        connection,
        `${most} concurrent connection${most > 1 ? "s" : ""} will be used.`,
      );
      assertMatch(bar!, /^100%\|█{10}\| 20\/20 \[00:\d\d<00:00, .*it\/s\]$/);
      assertEquals(dashes, "-".repeat(20));
      assertEquals(flags, "20 flags downloaded.");
      assertMatch(elapsed!, /^Elapsed time: \d+\.\d\ds$/);
      assertEquals(rest, [""]);
      assertEquals(stderr, "Started the LOCAL site for this run.\n");
      assertEquals(saved.length, 20);
    });

    it("finds 194 of 676 possible codes on LOCAL", async () => {
      await using site = await siteAtFreePort("LOCAL");
      const args = ["-s", site.url, "-e"];
      const { code, stdout, saved } = await runThere(script, args);
      assertEquals(code, 0);
      const { flags, notFound, errors } = parseReport(stdout);
      assertEquals([flags, notFound, errors], [194, 482, 0]);
      assertEquals(saved.length, 194);
    });

    it("accounts for every code on ERROR", async () => {
      const limit = script === "sequential" ? 11 : 100;
      await using site = await siteAtFreePort("ERROR");
      const args = `-s ${site.url} -al ${limit} -m 100`.split(" ");
      const { code, stdout, saved } = await runThere(script, args);
      assertEquals(code, 0);
      const search = new RegExp(
        `^Searching for ${limit} flags: from AD to `,
        "m",
      );
      assertMatch(stdout, search);
      const { flags, notFound, errors } = parseReport(stdout);
      assertEquals([flags + errors, notFound], [limit, 0]);
      assertEquals(saved.length, flags);
      // Chance fails none, or all, of a hundred less than once in 10^12 runs.
      if (limit === 100) assert(errors > 0 && flags > 0, stdout);
    });

    it("downloads from a server that is there already", async () => {
      await using copy = await projectAtFreePorts();
      const [port] = copy.ports;
      const { signal } = new AbortController();
      await using _site = await startSite("LOCAL", port, signal);
      for (let again = 0; again < 2; again++) {
        const outcome = await runThere(script, ["-a"], copy.path);
        const { stdout, stderr, saved } = outcome;
        assertEquals(parseReport(stdout).flags, 194);
        assertEquals(stderr, "");
        assertEquals(saved.length, 194);
      }
    });

    it("downloads from any base URL, with its host as the label", async () => {
      await using site = await siteAtFreePort("LOCAL");
      const args = ["-s", `${site.url}/`, "br", "us"];
      const { code, stdout, stderr } = await runThere(script, args);
      const { host } = new URL(site.url);
      assertEquals([code, stderr], [0, ""]);
      assertEquals(stdout.split("\n")[0], `${host} site: ${site.url}`);
      assertEquals(parseReport(stdout).flags, 2);
    });

    it("never has more requests in flight than -m, and reaches it", async () => {
      for (const maxReq of script === "sequential" ? [7] : [3, 40]) {
        const most = script === "sequential" ? 1 : maxReq;
        await using server = countingServer(most);
        const args = ["-s", server.url, "-m", `${maxReq}`, "a", "b"];
        const { stdout } = await runThere(script, args);
        assertEquals(server.counts, { requests: 52, most });
        assertEquals(parseReport(stdout).notFound, 52);
      }
    });

    it("prints a line for each code in place of the bar, with -v", async () => {
      await using site = await siteAtFreePort("LOCAL");
      const args = ["-s", site.url, "-v", "br", "zz", "us"];
      const { stdout } = await runThere(script, args);
      const lines = stdout.split("\n").slice(3, 6);
      assertEquals(lines.sort(), ["BR OK", "US OK", "ZZ not found"]);
      assertEquals(stdout.split("\n")[6], "-".repeat(20));
    });

    it("shows its help with its own name, on stdout", async () => {
      const { code, stdout, stderr, saved } = await runThere(script, ["-h"]);
      assertEquals([code, stderr, saved], [0, "", []]);
      assertEquals(
        stdout,
        `usage: ${name} [-h] [-a] [-e] [-l N] [-m CONCURRENT] [-s LABEL] [-t SECONDS] [-v] [CC ...]

Download flags for country codes. Default: top 20 countries by population.

positional arguments:
  CC                    country code or 1st letter (eg. B for BA...BZ)

options:
  -h, --help            show this help message and exit
  -a, --all             get all available flags (AD to ZW)
  -e, --every           get flags for every possible code (AA...ZZ)
  -l N, --limit N       limit to N first codes
  -m CONCURRENT, --max_req CONCURRENT
                        maximum concurrent requests (default=${
          DEFAULT_CONCUR_REQ[script]
        })
  -s LABEL, --server LABEL
                        Server to hit; one of DELAY, ERROR, LOCAL, REMOTE
                        (default=LOCAL)
                        or the base URL of another, http(s)://HOST/PATH
  -t SECONDS, --timeout SECONDS
                        give up on a request after SECONDS (default=10)
  -v, --verbose         output detailed progress info
`,
      );
      const readme = await Deno.readTextFile(`${ROOT}/README.md`);
      assert(script !== "asyncio" || readme.includes(stdout));
    });

    it("answers a bad command line with one line and the usage", async () => {
      await using server = countingServer(1);
      await using folder = new TemporaryFolder();
      const args = ["-s", server.url, "br", "-m", "1e3"];
      const outcome = await run(script, args, { cwd: folder.path });
      assertPlain(outcome);
      const { code, stdout, stderr } = outcome;
      assertEquals([code, stdout], [2, ""]);
      const [error, usage, ...rest] = stderr.split("\n");
      assertMatch(error!, /^\*\*\* Usage error: /);
      assertMatch(usage!, new RegExp(`^usage: ${name} \\[-h\\] `));
      assertEquals(rest, [""]);
      assertEquals(await folder.list("."), []);
      assertEquals(server.counts.requests, 0);
    });

    it("says in one line that its output cannot be written", async () => {
      await using folder = new TemporaryFolder();
      await using site = await siteAtFreePort("LOCAL");
      const words = commandLine(script, ["-s", site.url, "-v", "br"]);
      const { code, stderr } = await outcome(
        new Deno.Command("sh", {
          args: ["-c", `${quoted(words)} > /dev/full`],
          cwd: folder.path,
          stdin: "null",
          stdout: "piped",
          stderr: "piped",
        }).spawn(),
      );
      assertEquals([code, stderr], [
        1,
        "*** No space left on device\n",
      ]);
    });

    it("accounts for every code when a site cannot be reached", async () => {
      // No name server knows this name (RFC 6761), wherever the tests run.
      const url = "http://flupy.invalid/data/flags";
      const args = ["-s", url, "-t", "5", "br", "us"];
      const { code, stdout, stderr } = await runThere(script, args);
      assertEquals([code, stderr], [0, ""]);
      assertEquals(parseReport(stdout).errors, 2);
    });
  });
}

describe("in a pseudo-terminal, a script", () => {
  /** What a terminal 60 columns wide gets to see. */
  async function screen(
    script: Script,
    args: string[],
    env: Record<string, string>,
  ): Promise<string> {
    await using folder = new TemporaryFolder();
    const words = commandLine(script, args);
    const unset = env.NO_COLOR ? "" : "NO_COLOR";
    const { stdout } = await outcome(
      new Deno.Command("script", {
        args: [
          "-qec",
          `unset ${unset} x; stty cols 60; ${quoted(words)}`,
          "/dev/null",
        ],
        cwd: folder.path,
        env,
        stdin: "null",
        stdout: "piped",
        stderr: "piped",
      }).spawn(),
    );
    return stdout;
  }

  for (const script of SCRIPTS) {
    itInTerminal(`moves its bar in place: ${script}`, async () => {
      await using site = await siteAtFreePort("DELAY");
      const args = ["-s", site.url, ..."-m 1 -l 3".split(" ")];
      const text = await screen(script, args, {});
      const lines = text.replaceAll("\r\n", "\n").split("\n");
      const bars = lines.filter((line) => line.includes("%"));
      assertEquals(bars.length, 1, text);
      const drawings = bars[0]!.split("\r").filter(Boolean)
        .map((drawing) => drawing.replace("\x1b[K", ""));
      assert(drawings.length >= 5, text);
      assert(drawings.every(({ length }) => length === 58), text);
      assert(new Set(drawings.map((text) => text.slice(0, 4))).size >= 3, text);
      assertMatch(drawings.at(-1)!, /^100%\|█+\| 3\/3 /);
    });

    itInTerminal(
      `is coloured, but not under NO_COLOR: ${script}`,
      async () => {
        await using site = await siteAtFreePort("LOCAL");
        const args = ["-s", site.url, "-v", "br", "zz"];
        const coloured = await screen(script, args, {});
        assert(coloured.includes("BR \x1b[32mOK\x1b[39m"), coloured);
        assert(coloured.includes("ZZ \x1b[33mnot found\x1b[39m"), coloured);
        const plain = await screen(script, args, { NO_COLOR: "1" });
        assert(!plain.includes("\x1b["), plain);
        const usage = await screen(script, ["-l", "0"], {});
        assert(
          usage.includes("\x1b[31m*** Usage error\x1b[39m: --limit N"),
          usage,
        );
      },
    );
  }
});

describe("two scripts that start at the same time", () => {
  it("share one site, and account for every code", async () => {
    await using copy = await projectAtFreePorts();
    await using first = new TemporaryFolder();
    await using second = new TemporaryFolder();
    const children = [first, second].map(({ path: cwd }) =>
      start("asyncio", ["-a"], { cwd, root: copy.path })
    );
    for (const { code, stdout } of await Promise.all(children.map(outcome))) {
      const { flags, errors } = parseReport(stdout);
      assertEquals([code, flags + errors], [0, 194]);
    }
  });
});

/** Run a script that a reader may write, with the shared module. */
async function runOwn(program: string, args: string[]): Promise<Outcome> {
  await using folder = new TemporaryFolder();
  const imports = `import * as common from "${ROOT}/flags2_common.ts";
import * as futures from "${ROOT}/lib/futures.ts";
const { Counter, downloadOne, HTTPError, HTTPStatus, main } = common;
`;
  await Deno.writeTextFile(`${folder.path}/own.ts`, imports + program);
  const config = `--config=${ROOT}/deno.json`;
  return await outcome(
    new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", ...STD, config, "own.ts", ...args],
      cwd: folder.path,
      env: { NO_COLOR: "1" },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn(),
  );
}

describe("a reader's own script", () => {
  it("may write the chapter's idiom: a dictionary from futures to codes", async () => {
    await using site = await siteAtFreePort("ERROR");
    const idiom = `
await main(async (ccList, baseUrl, verbose, maxWorkers) => {
  const counter = new Counter();
  const options = { maxWorkers, ...common.threadOptions() };
  await using executor = new futures.ThreadPoolExecutor(options);
  const toDoMap = new Map();
  for (const cc of ccList) {
    toDoMap.set(executor.submit(downloadOne, cc, baseUrl, verbose), cc);
  }
  for await (const future of futures.asCompleted(toDoMap.keys())) {
    try {
      counter[future.result().status] += 1;
    } catch (error) {
      if (!(error instanceof HTTPError)) throw error;
      console.log(toDoMap.get(future), error.status);
      counter[HTTPStatus.error] += 1;
    }
  }
  return counter;
}, 7, 1000);
`;
    const args = ["-s", site.url, "-al", "60", "-v"];
    const { code, stdout, stderr } = await runOwn(idiom, args);
    assertEquals([code, stderr], [0, ""], stdout);
    const { flags, errors } = parseReport(stdout);
    assertEquals(flags + errors, 60);
    const failed = stdout.match(/^[A-Z]{2} 50[0-3]$/gm) ?? [];
    assertEquals(failed.length, errors);
    assertEquals(stdout.match(/^[A-Z]{2} OK$/gm)?.length, flags);
  });

  it("that makes a mistake is told so with its stack, and no count", async () => {
    await using site = await siteAtFreePort("LOCAL");
    const mistake = `
await main(async (ccList, baseUrl, verbose) => {
  const counter = new Counter();
  for (const [i, cc] of ccList.entries()) {
    if (i === 2) counter.nothing.such += 1;
    const { status } = await downloadOne(cc, baseUrl, verbose);
    counter[status] += 1;
  }
  return counter;
}, 1, 1);
`;
    const args = ["-s", site.url, "-v", "br", "cn", "us"];
    const { code, stdout, stderr } = await runOwn(mistake, args);
    assertEquals(code, 1);
    assertEquals(stdout.split("\n").slice(3), ["BR OK", "CN OK", ""]);
    assertMatch(stderr, /^TypeError: [^\n]*\n +at .*own\.ts:\d+/);
  });

  for (
    const [thrown, told] of [
      ["new common.HTTPError(503, 'Service Unavailable')", "503 Service"],
      ["new common.ConnectionError('Timed out')", "Timed out"],
      ["new Deno.errors.PermissionDenied('Not here')", "Not here"],
    ] as const
  ) {
    it(`that throws ${thrown} is told so in one line`, async () => {
      const program = `await main(() => Promise.reject(${thrown}), 1, 1);`;
      const args = ["-s", "http://flupy.invalid/data/flags", "br"];
      const { code, stdout, stderr } = await runOwn(program, args);
      assertEquals([code, stdout.includes("downloaded")], [1, false]);
      assertMatch(stderr, new RegExp(`^\\*\\*\\* ${told}.*\n$`));
    });
  }

  for (const [counted, notTried] of [[1, 1], [3, -1]]) {
    it(`is told that ${counted} of 2 codes are counted`, async () => {
      const program = `await main(async () => new Counter(${counted}), 1, 1);`;
      const args = ["-s", "http://flupy.invalid/data/flags", "br", "us"];
      const { code, stdout, stderr } = await runOwn(program, args);
      assertEquals(code, 1);
      assertMatch(stdout, new RegExp(`^${notTried} not tried\\.$`, "m"));
      assertEquals(
        stderr,
        "*** some downloads are unaccounted for\n",
      );
    });
  }
});
