import { assert, assertEquals, assertMatch } from "@std/assert";
import { delay } from "@std/async/delay";
import { describe, it } from "@std/testing/bdd";
import { startSite } from "../site/start.ts";
import {
  FLAGS,
  itInTerminal,
  type Outcome,
  parseReport,
  ROOT,
  run,
  runOwn,
  type Script,
  SCRIPTS,
  sharedProject,
  siteAtFreePort,
  TemporaryFolder,
  terminal,
} from "./testing.ts";

/** Requests at a time by default, and the most. */
const CONCUR_REQ = {
  sequential: [1, 1],
  threadpool: [30, 1000],
  asyncio: [5, 1000],
};

/** Run a script in a folder of its own; what it saves is what the site has. */
async function runThere(
  script: Script,
  args: string[],
  root = ROOT,
): Promise<Outcome & { saved: string[] }> {
  await using folder = new TemporaryFolder();
  const outcome = await run(script, args, { cwd: folder.path, root });
  // No control character is written into a pipe.
  // deno-lint-ignore no-control-regex
  const control = /[\x00-\x09\x0b-\x0c\x0e-\x1f\x7f-\x9f]/;
  assert(!control.test(outcome.stdout + outcome.stderr));
  const saved = await folder.list();
  for (const name of saved) {
    assertEquals(
      await Deno.readFile(`${folder.path}/downloads/${name}`),
      await Deno.readFile(`${FLAGS}/${name.slice(0, 2)}/${name}`),
      `${name} is not what the site serves`,
    );
  }
  return { ...outcome, saved };
}

/**
 * A server of the flags that counts requests in flight: it answers none before
 * there are as many as are expected, and each a little late.
 */
function countingServer(expected: number) {
  let inFlight = 0;
  const counts = { requests: 0, most: 0 };
  const reached = Promise.withResolvers<void>();
  const options = { hostname: "127.0.0.1", port: 0, onListen() {} };
  const server = Deno.serve(options, async ({ url }) => {
    counts.requests++;
    counts.most = Math.max(counts.most, ++inFlight);
    if (inFlight === expected) reached.resolve();
    await reached.promise;
    await delay(30);
    inFlight--;
    return await Deno.readFile(FLAGS + new URL(url).pathname)
      .then((flag) => new Response(flag))
      .catch(() => new Response(null, { status: 404 }));
  });
  return {
    url: `http://localhost:${server.addr.port}`,
    counts,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

for (const script of SCRIPTS) {
  const [byDefault, most] = CONCUR_REQ[script] as [number, number];

  describe(`flags2_${script}.ts`, () => {
    it("downloads the top 20 from LOCAL by default, and starts the site", async () => {
      const { path, ports } = await sharedProject();
      const { code, stdout, stderr, saved } = await runThere(script, [], path);
      assertEquals([code, saved.length], [0, 20]);
      assertEquals(stderr, "Started the LOCAL site for this run.\n");
      const connections = Math.min(byDefault, 20);
      const bar = String.raw`100%\|█{10}\| 20/20 \[00:\d\d<00:00, .*it/s\]`;
      assertMatch(
        stdout,
        new RegExp(`^LOCAL site: http://localhost:${ports[0]}/flags
Searching for 20 flags: from BD to VN
${connections} concurrent connections? will be used.
${bar}
-{20}
20 flags downloaded.
Elapsed time: \\d+\\.\\d\\ds
$`),
      );
    });

    it("never has more requests in flight than -m, and reaches it", async () => {
      const expected = Math.min(40, most);
      await using server = countingServer(expected);
      const args = ["-s", server.url, "-m", "40", "a", "b"];
      const { stdout, saved } = await runThere(script, args);
      assertEquals(server.counts, { requests: 52, most: expected });
      const { flags, notFound } = parseReport(stdout);
      assertEquals([flags, notFound, saved.length], [28, 24, 28]);
    });

    it("ends in the same main as the others", async () => {
      const text = await Deno.readTextFile(`${ROOT}/flags2_${script}.ts`);
      assert(text.includes(`const DEFAULT_CONCUR_REQ = ${byDefault};`));
      assert(text.includes(`const MAX_CONCUR_REQ = ${most};`));
      assertMatch(
        text,
        /\nif \(import\.meta\.main\) \{\n {2}await main\(downloadMany, DEFAULT_CONCUR_REQ, MAX_CONCUR_REQ\);.*\n\}\n$/,
      );
    });
  });
}

describe("a script", () => {
  it("finds 194 of 676 codes on LOCAL, from a server that is there already", async () => {
    const { path, ports } = await sharedProject();
    const { signal } = new AbortController();
    await using _site = await startSite("LOCAL", ports[0], signal);
    const { code, stdout, stderr, saved } = //
      await runThere("threadpool", ["-e"], path);
    const { flags, notFound, errors } = parseReport(stdout);
    assertEquals([code, flags, notFound, errors], [0, 194, 482, 0]);
    assertEquals([stderr, saved.length], ["", 194]);
  });

  it("accounts for every code at any base URL, with its host as the label", async () => {
    await using site = await siteAtFreePort("ERROR");
    const args = ["-s", `${site.url}/`, ..."-al 100 -m 100".split(" ")];
    const { code, stdout, saved } = await runThere("asyncio", args);
    const { host } = new URL(site.url);
    assertEquals(stdout.split("\n").slice(0, 2), [
      `${host} site: ${site.url}`,
      "Searching for 100 flags: from AD to LK",
    ]);
    const { flags, notFound, errors } = parseReport(stdout);
    assertEquals([code, flags + errors, notFound], [0, 100, 0]);
    assertEquals(saved.length, flags);
    // Chance fails none, or all, of a hundred less than once in 10^12 runs.
    assert(errors > 0 && flags > 0, stdout);
  });

  it("accounts for every code when a site cannot be reached", async () => {
    // No name server knows this name (RFC 6761), wherever the tests run.
    const url = "http://flupy.invalid/data/flags";
    const args = ["-s", url, "-t", "5", "br", "us"];
    const { code, stdout, stderr } = await runThere("asyncio", args);
    assertEquals([code, stderr, parseReport(stdout).errors], [0, "", 2]);
  });

  it("shows its help with its own name, on stdout, as the README has it", async () => {
    const { code, stdout, stderr, saved } = await runThere("asyncio", ["-h"]);
    assertEquals([code, stderr, saved], [0, "", []]);
    assertMatch(stdout, /^usage: flags2_asyncio\.ts \[-h\] /);
    const readme = await Deno.readTextFile(`${ROOT}/README.md`);
    assert(readme.includes(stdout));
  });

  it("answers a bad command line with one line and the usage", async () => {
    await using server = countingServer(1);
    const args = ["-s", server.url, "br", "-m", "0"];
    const { code, stdout, stderr, saved } = await runThere("asyncio", args);
    assertEquals([code, stdout, saved], [2, "", []]);
    assertMatch(
      stderr,
      /^\*\*\* Usage error: .*\nusage: flags2_asyncio\.ts \[-h\] .*\n$/,
    );
    assertEquals(server.counts.requests, 0);
  });

  itInTerminal("moves its bar in place in a terminal", async () => {
    await using site = await siteAtFreePort("DELAY");
    await using folder = new TemporaryFolder();
    const args = ["-s", site.url, ..."-m 1 -l 3".split(" ")];
    const text = await terminal("sequential", args, { cwd: folder.path });
    const bars = text.split("\n").filter((line) => line.includes("%"));
    assertEquals(bars.length, 1, text);
    const drawings = bars[0]!.split("\r").filter(Boolean)
      .map((drawing) => drawing.replace("\x1b[K", ""));
    assert(drawings.every(({ length }) => length === 58), text);
    assert(new Set(drawings.map((text) => text.slice(0, 4))).size >= 3, text);
    assertMatch(drawings.at(-1)!, /^100%\|█+\| 3\/3 /);
  });

  itInTerminal("is coloured there, but not under NO_COLOR", async () => {
    await using site = await siteAtFreePort("LOCAL");
    await using folder = new TemporaryFolder();
    const screen = (args: string[], env = {}) =>
      terminal("asyncio", args, { cwd: folder.path, env });
    const args = ["-s", site.url, "-v", "br", "zz"];
    const coloured = await screen(args);
    assert(coloured.includes("BR \x1b[32mOK\x1b[39m"), coloured);
    assert(coloured.includes("ZZ \x1b[33mnot found\x1b[39m"), coloured);
    const plain = await screen(args, { NO_COLOR: "1" });
    assert(!plain.includes("\x1b["), plain);
    const usage = await screen(["-l", "0"]);
    assert(usage.includes("\x1b[31m*** Usage error\x1b[39m: --limit"), usage);
  });
});

const STYLES = `
import { downloadMany as sequential } from "./flags2_sequential.ts";
import { downloadMany as threadpool } from "./flags2_threadpool.ts";
import { downloadMany as asyncio } from "./flags2_asyncio.ts";
`;

describe("a reader's own script", () => {
  it("may call main again: a run of its own, also after one that was interrupted", async () => {
    const { code, stdout, stderr } = await runOwn(
      await sharedProject(),
      `${STYLES}
const { args } = Deno;
const run = async (style, line) => {
  args.splice(0, args.length, ...line.split(" "));
  await main(style, 3, 30);
  console.log(Deno.exitCode);
};
await run(threadpool, "-s LOCAL -l 3");
await run(asyncio, "-s ERROR -l 4");
const interrupted = (...args) => {
  delay(200).then(() => common.run.abort(new exit.KeyboardInterrupt(130)));
  return threadpool(...args);
};
await run(interrupted, "-s DELAY -a");
Deno.exitCode = 0;
await run(sequential, "-s LOCAL -l 5");
await run(threadpool, "-s DELAY -l 7");
console.log(common.run.signal.aborted);
console.log(await new Response(Deno.stdin.readable).text());`,
      [],
      "its input",
    );
    assertEquals(code, 0, stderr);
    const told = stdout
      .match(/^(\d+ flags|\d+ not tried|\d+$|false|its input)/gm)!;
    assertMatch(
      told.join(),
      /^3 flags,0,.*,19\d not tried,130,5 flags,0,7 flags,0,false,its input$/,
    );
    assertEquals(stderr.match(/^Started the /gm)?.length, 5, stderr);
  });

  it("may call the chapter's functions without main: they start no site", async () => {
    const copy = await sharedProject();
    await using local = await siteAtFreePort("LOCAL");
    await using late = await siteAtFreePort("DELAY");
    const { code, stdout, stderr } = await runOwn(
      copy,
      `${STYLES}
await Deno.mkdir("called");
Deno.chdir("called");
const [local, late] = ["${local.url}", "${late.url}"];
console.log(await downloadOne("BR", local, true));
for (let again = 0; again < 2; again++) {
  const image = await common.getFlag(local, "US");
  await common.saveFlag(image, "us.gif");
}
const { DELAY, LOCAL } = common.SERVERS;
await downloadOne("BR", LOCAL).catch(({ name }) => console.log(name));
for (const style of [sequential, threadpool, asyncio]) {
  console.log(await Promise.all([
    style(["CN", "AA"], local, false, 2),
    style(["IN"], late, false, 2),
    style(["BR", "US"], DELAY, false, 2),
  ]));
}`,
    );
    assertEquals([code, stderr], [0, ""]);
    assertMatch(
      stdout,
      /^BR OK\n\{ status: "ok", cc: "BR" \}\nConnectionError$/m,
    );
    const counters = [
      "Counter { ok: 1, not_found: 1, error: 0 }",
      "Counter { ok: 1, not_found: 0, error: 0 }",
      "Counter { ok: 0, not_found: 0, error: 2 }",
    ];
    const printed = stdout.match(/Counter \{[^}]*\}/g);
    assertEquals(printed, [...counters, ...counters, ...counters]);
    const saved = ["br.gif", "cn.gif", "in.gif", "us.gif"];
    assertEquals(await copy.list("called/downloads"), saved);
  });

  const none = /will be used\.\n$/;
  const uncounted = /^\*\*\* some downloads are unaccounted for\n$/;
  const table: [style: string, stdout: RegExp, stderr: RegExp][] = [
    ["throw new common.HTTPError(503, 'Busy')", none, /^\*\*\* 503 Busy\n$/],
    ["throw new common.ConnectionError('Late')", none, /^\*\*\* Late\n$/],
    ["throw new Deno.errors.PermissionDenied('No')", none, /^\*\*\* No\n$/],
    ["throw new Error('Full (os error 28)')", none, /^\*\*\* Full\n$/],
    ["throw new Error('what?')", none, /^Error: what\?\n +at .*own\.ts/],
    ["throw 'a word'", none, /^"?a word"?\n$/],
    [
      "await downloadOne('BR', url, true); counter.nothing.such += 1;",
      /will be used\.\nBR OK\n$/,
      /^TypeError: [^\n]*\n +at .*own\.ts:\d+/,
    ],
    ["counter.ok = 1;", /^1 not tried\.$/m, uncounted],
    ["counter.ok = 3;", /^-1 not tried\.$/m, uncounted],
  ];
  it("is told of an error in one line, of a mistake with its stack, of a wrong count", async () => {
    await using site = await siteAtFreePort("LOCAL");
    const runs = table.map(([style]) => `
await main(async (_codes, url) => {
  const counter = new Counter();
  ${style}
  return counter;
}, 1, 1);
console.error(Deno.exitCode);
console.log("ended");
Deno.exitCode = 0;`);
    const args = ["-s", site.url, "br", "us"];
    const copy = await sharedProject();
    const { stdout, stderr } = await runOwn(copy, runs.join(""), args);
    const [printed, told] = [stdout.split("ended\n"), stderr.split(/^1\n/m)];
    assertEquals([printed.at(-1), told.at(-1)], ["", ""]);
    for (const [i, [, onOutput, onError]] of table.entries()) {
      assertMatch(printed[i]!, onOutput);
      assertMatch(told[i]!, onError);
    }
  });
});
