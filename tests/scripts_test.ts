import { assert, assertEquals, assertMatch } from "@std/assert";
import { delay } from "@std/async/delay";
import { describe, it } from "@std/testing/bdd";
import { startSite } from "../site/start.ts";
import {
  FLAGS,
  itInTerminal,
  type Outcome,
  parseReport,
  projectAtFreePorts,
  ROOT,
  run,
  runOwn,
  type Script,
  SCRIPTS,
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
 * A server that counts requests in flight: it answers none before there are as
 * many as are expected, and each a little late, with 404.
 */
function countingServer(expected: number) {
  let inFlight = 0;
  const counts = { requests: 0, most: 0 };
  const reached = Promise.withResolvers<void>();
  const options = { hostname: "127.0.0.1", port: 0, onListen() {} };
  const server = Deno.serve(options, async () => {
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
  const [byDefault, most] = CONCUR_REQ[script] as [number, number];

  describe(`flags2_${script}.ts`, () => {
    it("downloads the top 20 from LOCAL by default, and starts the site", async () => {
      await using copy = await projectAtFreePorts();
      const { code, stdout, stderr, saved } = //
        await runThere(script, [], copy.path);
      assertEquals([code, saved.length], [0, 20]);
      assertEquals(stderr, "Started the LOCAL site for this run.\n");
      const [connections, s] = byDefault === 1
        ? [1, ""]
        : [Math.min(byDefault, 20), "s"];
      const lines = stdout.split("\n");
      assertEquals(lines.slice(0, 3), [
        `LOCAL site: http://localhost:${copy.ports[0]}/flags`,
        "Searching for 20 flags: from BD to VN",
        `${connections} concurrent connection${s} will be used.`,
      ]);
      assertMatch(
        lines[3]!,
        /^100%\|.{10}\| 20\/20 \[00:\d\d<00:00, .*it\/s\]$/,
      );
      assertEquals(lines.slice(4, 6), ["-".repeat(20), "20 flags downloaded."]);
      assertMatch(lines.slice(6).join("\n"), /^Elapsed time: \d+\.\d\ds\n$/);
    });

    it("finds 194 of 676 possible codes on LOCAL", async () => {
      await using site = await siteAtFreePort("LOCAL");
      const { code, stdout, saved } = //
        await runThere(script, ["-s", site.url, "-e"]);
      const { flags, notFound, errors } = parseReport(stdout);
      assertEquals([code, flags, notFound, errors], [0, 194, 482, 0]);
      assertEquals(saved.length, 194);
    });

    it("never has more requests in flight than -m, and reaches it", async () => {
      for (const maxReq of most === 1 ? [7] : [3, 40]) {
        const expected = Math.min(maxReq, most);
        await using server = countingServer(expected);
        const args = ["-s", server.url, "-m", `${maxReq}`, "a", "b"];
        const { stdout } = await runThere(script, args);
        assertEquals(server.counts, { requests: 52, most: expected });
        assertEquals(parseReport(stdout).notFound, 52);
      }
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
  it("accounts for every code on ERROR", async () => {
    await using site = await siteAtFreePort("ERROR");
    const args = ["-s", site.url, ..."-al 100 -m 100".split(" ")];
    const { code, stdout, saved } = await runThere("asyncio", args);
    assertMatch(stdout, /^Searching for 100 flags: from AD to LK$/m);
    const { flags, notFound, errors } = parseReport(stdout);
    assertEquals([code, flags + errors, notFound], [0, 100, 0]);
    assertEquals(saved.length, flags);
    // Chance fails none, or all, of a hundred less than once in 10^12 runs.
    assert(errors > 0 && flags > 0, stdout);
  });

  it("downloads from a server that is there already", async () => {
    await using copy = await projectAtFreePorts();
    const { signal } = new AbortController();
    await using _site = await startSite("LOCAL", copy.ports[0], signal);
    for (let again = 0; again < 2; again++) {
      const { stdout, stderr, saved } = //
        await runThere("threadpool", ["-a"], copy.path);
      assertEquals([parseReport(stdout).flags, saved.length], [194, 194]);
      assertEquals(stderr, "");
    }
  });

  it("downloads from any base URL, with its host as the label", async () => {
    await using site = await siteAtFreePort("LOCAL");
    const args = ["-s", `${site.url}/`, "br", "us"];
    const { code, stdout, stderr } = await runThere("asyncio", args);
    assertEquals([code, stderr, parseReport(stdout).flags], [0, "", 2]);
    const { host } = new URL(site.url);
    assertEquals(stdout.split("\n")[0], `${host} site: ${site.url}`);
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
});

describe("in a pseudo-terminal, a script", () => {
  for (const script of ["threadpool", "sequential"] as const) {
    itInTerminal(`moves its bar in place: ${script}`, async () => {
      await using site = await siteAtFreePort("DELAY");
      await using folder = new TemporaryFolder();
      const args = ["-s", site.url, ..."-m 1 -l 3".split(" ")];
      const text = await terminal(script, args, { cwd: folder.path });
      const bars = text.split("\n").filter((line) => line.includes("%"));
      assertEquals(bars.length, 1, text);
      const drawings = bars[0]!.split("\r").filter(Boolean)
        .map((drawing) => drawing.replace("\x1b[K", ""));
      assert(drawings.every(({ length }) => length === 58), text);
      assert(new Set(drawings.map((text) => text.slice(0, 4))).size >= 3, text);
      assertMatch(drawings.at(-1)!, /^100%\|█+\| 3\/3 /);
    });
  }

  itInTerminal("is coloured, but not under NO_COLOR", async () => {
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

describe("main, called again in one process,", () => {
  it("is a run of its own, also after one that was interrupted", async () => {
    await using copy = await projectAtFreePorts();
    const { code, stdout, stderr } = await runOwn(
      copy,
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
await run(asyncio, "-s LOCAL -l 6");
await run(threadpool, "-s DELAY -l 7");
`,
    );
    assertEquals(code, 0, stderr);
    const told = stdout.match(/^(\d+ (flag|not tried|error).*|\d+)$/gm)!;
    const [three, zero, ...rest] = told;
    assertEquals([three, zero], ["3 flags downloaded.", "0"]);
    const interrupted = rest.indexOf("130");
    assertMatch(rest[interrupted - 1]!, /^19\d not tried\.$/);
    assertEquals(rest.slice(interrupted + 1), [
      "5 flags downloaded.",
      "0",
      "6 flags downloaded.",
      "0",
      "7 flags downloaded.",
      "0",
    ]);
    assertEquals(stderr.match(/^Started the /gm)?.length, 6, stderr);
  });

  it("leaves standard input to its caller", async () => {
    await using copy = await projectAtFreePorts();
    const { stdout } = await runOwn(
      copy,
      `${STYLES}
await main(asyncio, 1, 1);
console.log(await new Response(Deno.stdin.readable).text());`,
      ["br"],
      "still open",
    );
    assertMatch(stdout, /^still open$/m);
  });
});

describe("the functions of the chapter, called without main,", () => {
  it("download from a site that is there: one flag, many, twice, at once", async () => {
    await using copy = await projectAtFreePorts();
    await using local = await siteAtFreePort("LOCAL");
    await using late = await siteAtFreePort("DELAY");
    const { code, stdout, stderr } = await runOwn(
      copy,
      `${STYLES}
const [local, late] = ["${local.url}", "${late.url}"];
console.log(await downloadOne("BR", local, true));
for (let again = 0; again < 2; again++) {
  const image = await common.getFlag(local, "US");
  await common.saveFlag(image, "us.gif");
}
for (const style of [sequential, threadpool, asyncio]) {
  console.log(await Promise.all([
    style(["CN", "AA"], local, false, 2),
    style(["IN"], late, false, 2),
  ]));
}`,
    );
    assertEquals([code, stderr], [0, ""]);
    assertMatch(
      stdout,
      /^BR OK\n\{ status: "ok", cc: "BR" \}$/m,
    );
    const counters = stdout.match(/Counter \{[^}]*\}/g);
    const [two, one] = [
      "Counter { ok: 1, not_found: 1, error: 0 }",
      "Counter { ok: 1, not_found: 0, error: 0 }",
    ];
    assertEquals(counters, [two, one, two, one, two, one], stdout);
    const saved = ["br.gif", "cn.gif", "in.gif", "us.gif"];
    assertEquals(await copy.list(), saved);
  });

  it("start no site: where none is, it is the ConnectionError of the book", async () => {
    await using copy = await projectAtFreePorts();
    const { code, stdout, stderr } = await runOwn(
      copy,
      `${STYLES}
try {
  await downloadOne("BR", common.SERVERS.LOCAL, true);
} catch (error) {
  console.log(error.name);
}
for (const style of [sequential, threadpool, asyncio]) {
  console.log((await style(["BR", "US"], common.SERVERS.DELAY, true, 2)).error);
}`,
    );
    assertEquals([code, stderr], [0, ""]);
    assertEquals(stdout.match(/^(ConnectionError|\d)$/gm), [
      "ConnectionError",
      "2",
      "2",
      "2",
    ]);
  });
});

describe("a reader's own script", () => {
  const AT_NO_SITE = ["-s", "http://flupy.invalid/data/flags", "br", "us"];

  it("that makes a mistake is told so with its stack, and no count", async () => {
    await using copy = await projectAtFreePorts();
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
    const { code, stdout, stderr } = //
      await runOwn(copy, mistake, ["-v", "br", "cn", "us"]);
    assertEquals(code, 1);
    assertEquals(stdout.split("\n").slice(3), ["BR OK", "CN OK", ""]);
    assertMatch(stderr, /^TypeError: [^\n]*\n +at .*own\.ts:\d+/m);
  });

  const table: [thrown: string, told: RegExp][] = [
    ["new common.HTTPError(503, 'Busy')", /^\*\*\* 503 Busy\n$/],
    ["new common.ConnectionError('Timed out')", /^\*\*\* Timed out\n$/],
    ["new Deno.errors.PermissionDenied('Not here')", /^\*\*\* Not here\n$/],
    ["new Error('Disk full (os error 28)')", /^\*\*\* Disk full\n$/],
    ["new RangeError('too far')", /^RangeError: too far\n +at .*own\.ts/],
    ["new Error('what?')", /^Error: what\?\n +at .*own\.ts/],
    ["'a word'", /^"?a word"?\n$/],
  ];
  it("that throws is told so in one line, a mistake with its stack", async () => {
    await using copy = await projectAtFreePorts();
    await Promise.all(table.map(async ([thrown, told], i) => {
      const program = `await main(() => Promise.reject(${thrown}), 1, 1);`;
      const { code, stdout, stderr } = //
        await runOwn(copy, program, AT_NO_SITE, "", `own.ts${i}.ts`);
      assertEquals([code, stdout.includes("downloaded")], [1, false]);
      assertMatch(stderr, told);
    }));
  });

  it("is told when codes are counted twice or not at all", async () => {
    await using copy = await projectAtFreePorts();
    for (const [counted, notTried] of [[1, 1], [3, -1]]) {
      const program = `await main(async () => new Counter(${counted}), 1, 1);`;
      const { code, stdout, stderr } = await runOwn(copy, program, AT_NO_SITE);
      assertEquals(code, 1);
      assertMatch(stdout, new RegExp(`^${notTried} not tried\\.$`, "m"));
      assertEquals(stderr, "*** some downloads are unaccounted for\n");
    }
  });
});
