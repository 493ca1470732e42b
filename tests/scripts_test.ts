import { assert, assertEquals, assertMatch } from "@std/assert";
import { delay } from "@std/async/delay";
import { describe, it } from "@std/testing/bdd";
import { ROOT, TemporaryFolder } from "../bench/scripts.ts";
import { runOwn, runScript, terminal } from "./processes.ts";
import { FLAGS, serve, sharedProject, siteAtFreePort } from "./projects.ts";
import { itInTerminal } from "./testing.ts";

/** The README's numbers of connections, by default and at most. */
const CONCUR_REQ = [
  ["sequential", 1, 1],
  ["threadpool", 30, 1000],
  ["asyncio", 5, 1000],
] as const;

describe("a script", () => {
  for (const [script, byDefault, most] of CONCUR_REQ) {
    it(`has as many requests in flight as -m allows: ${script}`, async () => {
      const text = await Deno.readTextFile(`${ROOT}/flags2_${script}.ts`);
      assert(text.includes(`const DEFAULT_CONCUR_REQ = ${byDefault};`));
      assert(text.includes(`const MAX_CONCUR_REQ = ${most};`));
      const expected = Math.min(40, most);
      await using folder = new TemporaryFolder();
      let [inFlight, mostInFlight] = [0, 0];
      const reached = Promise.withResolvers<void>();
      await using server = serve(async ({ pathname }) => {
        mostInFlight = Math.max(mostInFlight, ++inFlight);
        if (inFlight === expected) reached.resolve();
        await reached.promise;
        await delay(30);
        inFlight--;
        return await Deno.readFile(FLAGS + pathname).then(
          (flag) => new Response(flag),
          () => new Response(null, { status: 404 }),
        );
      });
      const args = `-s ${server.url} -m 40 a b`;
      const result = await runScript(script, args, { cwd: folder.path });
      const { code, stdout, stderr, report } = result;
      assertEquals([code, stderr], [0, ""]);
      assertEquals([server.requests.length, mostInFlight], [52, expected]);
      assertEquals([report.flags, report.notFound], [28, 24]);
      assertMatch(stdout, /^(\P{Cc}+\n)+$/u); // The output has no control codes.
      const saved = await folder.list();
      assertEquals(saved.length, 28);
      for (const name of saved) {
        const flag = await Deno.readFile(`${folder.path}/downloads/${name}`);
        const original = `${FLAGS}/${name.slice(0, 2)}/${name}`;
        assertEquals(flag, await Deno.readFile(original));
      }
    });
  }

  itInTerminal("prints colours, but not under NO_COLOR", async () => {
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

/** The top of a reader's own script. */
const HEAD = `
import { delay } from "@std/async/delay";
import * as common from "./flags2_common.ts";
import { downloadMany as sequential } from "./flags2_sequential.ts";
import { downloadMany as threadpool } from "./flags2_threadpool.ts";
import { downloadMany as asyncio } from "./flags2_asyncio.ts";
import { SystemExit } from "./lib/exit.ts";
const { Counter, downloadOne, main } = common;
`;

const copy = await sharedProject();

describe("a reader's own script", () => {
  it("can call main again, and each run ends its sites", async () => {
    const program = `${HEAD}
const { args } = Deno;
const run = async (style, line) => {
  args.splice(0, args.length, ...line.split(" "));
  await main(style, 3, 30);
  for (const port of [${copy.ports}]) {
    await Deno.connect({ port }).then(() => console.log("listens"), () => {});
  }
  console.log(Deno.exitCode);
};
await run(threadpool, "-s LOCAL -l 3");
await run(asyncio, "-s ERROR -l 4");
const interrupted = (...args) => {
  delay(200).then(() => common.run.abort(new SystemExit("", 130)));
  return threadpool(...args);
};
await run(interrupted, "-s DELAY -a");
Deno.exitCode = 0;
await run(sequential, "-s LOCAL -l 5");
await run(threadpool, "-s DELAY -l 7");
console.log(common.run.signal.aborted);
console.log(await new Response(Deno.stdin.readable).text());`;
    const { code, stdout, stderr } = await runOwn(copy, program, [], "input");
    assertEquals(code, 0, stderr);
    const lines = stdout.match(/^(\d+ flags|\d+ not finished|\d+$|[a-z].*)/gm)!;
    const expected =
      /^3 flags,0,.*,19\d not finished,130,5 flags,0,7 flags,0,false,input$/;
    assertMatch(lines.join(), expected);
    assertEquals(stderr.match(/^Started the /gm)?.length, 5, stderr);
  });

  it("can call the chapter's functions, which do not start a site", async () => {
    await using local = await siteAtFreePort("LOCAL");
    await using late = await siteAtFreePort("DELAY");
    const program = `${HEAD}
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
}`;
    const { code, stdout, stderr } = await runOwn(copy, program);
    assertEquals([code, stderr], [0, ""]);
    const first = 'BR OK\n{ status: "ok", cc: "BR" }\nConnectionError\n';
    assert(stdout.startsWith(first), stdout);
    const counters = stdout.matchAll(/ok: (\d), not_found: (\d), error: (\d)/g);
    const counts = Array.from(counters, ([, ...each]) => each.join(""));
    assertEquals(counts.join(" "), Array(3).fill("110 100 002").join(" "));
    const saved = ["br.gif", "cn.gif", "in.gif", "us.gif"];
    assertEquals(await copy.list("called/downloads"), saved);
  });

  const none = /will be used\.\n$/;
  const uncounted = /^\*\*\* some codes were not counted\n$/;
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
    ["counter.ok = 1;", /^1 not finished\.$/m, uncounted],
    ["counter.ok = 3;", /^-1 not finished\.$/m, uncounted],
  ];
  it("prints an error as one line, a bug with its stack, and a wrong count", async () => {
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
    const { stdout, stderr } = await runOwn(copy, HEAD + runs.join(""), args);
    const [outputs, errors] = [stdout.split("ended\n"), stderr.split(/^1\n/m)];
    assertEquals([outputs.at(-1), errors.at(-1)], ["", ""]);
    for (const [i, [, output, error]] of table.entries()) {
      assertMatch(outputs[i]!, output);
      assertMatch(errors[i]!, error);
    }
  });
});
