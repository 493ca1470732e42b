/**
 * Scripts that a reader writes: each block of docs/own-script.md, done, and what
 * a pool of threads makes of a script that is not quite right.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  blocks,
  commandLine,
  itIf,
  itOnPosix,
  type Outcome,
  outcome,
  parseReport,
  quoted,
  ROOT,
  runOwn,
  sharedProject,
  spawn,
  STD,
} from "./testing.ts";

const PAGE = await Deno.readTextFile(`${ROOT}/docs/own-script.md`);

/** The scripts in the page, each with its command and its name. */
const SCRIPTS = blocks(PAGE, "ts ignore").map((text) => {
  const [, command, name] = text.match(/^\/\/ (deno \w+ \S+ (\w+\.ts).*)\n/)!;
  return { text, command: command!, name: name! };
});

/** What `deno run -P` is, with @std from where these tests have it. */
const [DENO, ...RUN_P] = commandLine("asyncio", [], { permissions: ["-P"] })
  .slice(0, -1);

// A folder of the scripts and those in the page, and a home for who types there.
const { path: cwd, ports } = await sharedProject();
for (const { name, text } of SCRIPTS) {
  const there = text.replace(/\b800[123]\b/g, (at) => `${ports[+at - 8001]}`);
  await Deno.writeTextFile(`${cwd}/${name}`, there);
}
const home = Deno.makeTempDirSync({ prefix: "flags2_" });
addEventListener("unload", () => Deno.removeSync(home, { recursive: true }));
await Deno.mkdir(`${home}/bin`);
await Deno.writeTextFile(
  `${home}/bin/deno`,
  `#!/bin/sh
[ "$1 $2" != "run -P" ] || { shift 2; set -- ${quoted(RUN_P)} "$@"; }
[ "$1" != test ] || { shift; set -- test --no-check "$@"; }
HOME="$CACHED" exec ${quoted([DENO!])} "$@"
`,
  { mode: 0o755 },
);
const env = {
  CACHED: Deno.env.get("HOME") ?? "",
  HOME: home,
  PATH: `${home}/bin:${home}/.deno/bin:${Deno.env.get("PATH")}`,
  DENO_INSTALL_ROOT: `${home}/.deno`,
  NO_COLOR: "1",
};

/** What a reader starts there. */
function start(command: string): Deno.ChildProcess {
  const signal = AbortSignal.timeout(300_000); // Whatever hangs is killed.
  return spawn(["sh", "-c", command], { cwd, env, signal });
}

/** What it prints, when it ends as it should. */
async function type(command: string, code = 0): Promise<Outcome> {
  const printed = await outcome(start(command));
  assertEquals(printed.code, code, printed.stdout + printed.stderr);
  return printed;
}

/** How each of the scripts ends. */
const ENDS: Record<string, (outcome: Outcome) => void> = {
  "one_flag.ts": ({ stdout }) => assertEquals(stdout, "ok\n"),
  "two_styles.ts": ({ stdout, stderr }) => {
    const [sequential, asyncio] = stdout.split(/^(?=DELAY site: )/m)
      .map((run) => parseReport(run).elapsed);
    assert(sequential! > 2.4 && asyncio! > 0.4 && asyncio! < sequential!);
    assert(!stderr.includes("Started"), stderr); // The server was there.
  },
  "flags_test.ts": ({ stdout }) =>
    assertMatch(stdout, /a code without a flag is not found \.\.\. ok/),
  "steps.ts": ({ stdout }) =>
    assertMatch(stdout, /^100%\|█{10}\| 999\/999 .*\n178\n$/),
  "flags2_batches.ts": ({ stdout }) => {
    const { flags, errors } = parseReport(stdout);
    assert(flags > 0 && errors > 0 && flags + errors === 60, stdout);
  },
};

describe("own-script.md", () => {
  const [forgotten, elsewhere, install] = blocks(PAGE, "sh") as //
  [string, string, string];

  itOnPosix("has scripts that end as it says", async () => {
    assertEquals(SCRIPTS.map(({ name }) => name), Object.keys(ENDS));
    const serving = start("exec deno task serve");
    const lines = serving.stdout.pipeThrough(new TextDecoderStream());
    for await (const text of lines) if (text.includes("ERROR site")) break;
    const ends = SCRIPTS.map(async ({ name, command }) =>
      ENDS[name]!(await type(command))
    );
    await Promise.all(ends);
    serving.kill("SIGINT");
    await Promise.all([serving.status, serving.stderr.cancel()]);
    const { stderr } = await type(SCRIPTS[0]!.command, 1);
    assertMatch(stderr, /ConnectionError: /);
  });

  itOnPosix("has a style that stops at an error of the disk", async () => {
    await type("rm -rf downloads && mkdir -p downloads/br.gif/x");
    const { stdout, stderr } = //
      await type("deno run -P flags2_batches.ts br cn us zz", 1);
    await type("rm -r downloads");
    const { flags, notFound, notFinished } = parseReport(stdout);
    assertEquals([flags, notFound, notFinished], [2, 1, 1]);
    assertMatch(stderr, /^\*\*\* downloads\/br\.gif: Is a directory$/m);
  });

  itOnPosix("finds the forgotten await, and no other mistake", async () => {
    const [sed, run, check] = forgotten.split("\n");
    assertMatch((await type(`${sed}; ${run} || true`)).stdout, /^3 errors\.$/m);
    const names = SCRIPTS.map(({ name }) => name).join(" ");
    const { stderr } = await type(`${check} ${names}`, 1);
    assert(!/^ +at .*\/(?!forgotten)\w+\.ts/m.test(stderr), stderr);
    assertMatch(stderr, /Did you forget to use 'await'\?/);
  });

  itOnPosix("takes the bar and the pool elsewhere", async () => {
    ENDS["steps.ts"]!(await type(elsewhere));
    const { stderr } = await type("cd ~/elsewhere && deno run steps.ts", 1);
    assertMatch(stderr, /BrokenThreadPool: no thread .*--allow-read/);
  });

  const isOnNpm = STD[0] === "--frozen";
  const itOnNpm = isOnNpm ? itOnPosix : itIf(false, "@std from npm");
  itOnNpm("installs a script, but not a link to it", async () => {
    const { stdout } = await type(`${install}
cd && flags2_asyncio br zz && test -s downloads/br.gif`);
    const { flags, notFound } = parseReport(stdout);
    assertEquals([flags, notFound], [1, 1]);
    const [, uninstall] = PAGE.match(/`(deno uninstall .*)`/)!;
    await type(`${uninstall} && flags2_asyncio -h`, 127);
    const link = 'ln -s "$PWD/flags2_asyncio.ts" ~/link && ~/link -h';
    const { stderr } = await type(link, 1);
    assertMatch(stderr, /Import "@std\/async\/pool" not a dependency/);
  });
});

/** The head of a script with functions for its pool. */
const HEAD = `
import { delay } from "@std/async/delay";
import { asCompleted, ThreadPoolExecutor } from "./lib/futures.ts";
import { die } from "${import.meta.resolve("./calls.ts")}";
export { die };
export const square = (n, ms = 0) => delay(ms).then(() => n * n);
export class Temporal extends Error { // It is called like a global.
  name = "OwnError";
  n = 7;
}
export function fail() {
  throw new Temporal();
}
`;

describe("a pool in a reader's own script", () => {
  it("at its top, or in a function that is called there, is told what to do, at once", async () => {
    const atTop = `const executor = new ThreadPoolExecutor({ maxWorkers: 2 });
for await (const n of executor.map(square, [1, 2, 3])) console.log(n);`;
    const called = `async function main() {
  const options = { maxWorkers: 4, module: import.meta.url };
  await using executor = new ThreadPoolExecutor(options);
  const calls = Array.from({ length: 9999 }, () => executor.submit(square, 3));
  for await (const call of asCompleted(calls)) call.result();
}
main();`;
    for (const text of [atTop, called]) {
      const { code, stderr } = await runOwn({ path: cwd }, HEAD + text);
      assertEquals(code, 1);
      assertMatch(
        stderr,
        /^error: .*put this under if \(import\.meta\.main\): /,
      );
    }
  });

  it("where it belongs gets results, its own errors and the deaths of threads, and may stay open", async () => {
    const program = `${HEAD}
async function main() {
  const executor = new ThreadPoolExecutor({ maxWorkers: 1 });
  for await (const call of asCompleted([executor.submit(fail)])) {
    try {
      call.result();
    } catch (error) {
      console.log(error instanceof Temporal, error.n);
    }
  }
  const call = executor.submit(square, 3, 300);
  call.addDoneCallback(() => console.log(call));
}
if (import.meta.main) {
  await using executor = new ThreadPoolExecutor({ maxWorkers: 2 });
  console.log(await Array.fromAsync(executor.map(square, [2, 3], [50, 0])));
  await executor.map(fail, [7]).next().catch(({ name }) => console.log(name));
  // Whoever is busy ends no thread before it has told of its death.
  const word = new Int32Array(new SharedArrayBuffer(4));
  const naps = setInterval(() => Atomics.wait(word, 0, 0, 40), 50);
  for (const how of ["close", "exit", "throw", "throw", "reject", "reject"]) {
    const calls = [executor.submit(die, how)];
    for await (const call of asCompleted(calls)) console.log(String(call));
  }
  clearInterval(naps);
  main();
}`;
    const { code, stdout, stderr } = await runOwn({ path: cwd }, program);
    const died = "<Future state=finished raised BrokenThreadPool>\n".repeat(6);
    const ended = "<Future state=finished returned 9>\n";
    assertEquals(stdout, `[ 4, 9 ]\nOwnError\n${died}true 7\n${ended}`);
    assertEquals([code, stderr], [0, ""]);
  });
});
