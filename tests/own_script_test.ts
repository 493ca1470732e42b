/** The scripts of docs/own-script.md, and pools in a reader's own script. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  commandLine,
  parseReport,
  ROOT,
  shellQuote,
  STD,
  withPorts,
} from "../bench/scripts.ts";
import { type Outcome, outcome, runOwn, spawn } from "./processes.ts";
import { sharedProject } from "./projects.ts";
import { blocks, itIf, itOnPosix } from "./testing.ts";

const PAGE = await Deno.readTextFile(`${ROOT}/docs/own-script.md`);

/** The scripts on the page, with their commands and names. */
const SCRIPTS = blocks(PAGE, "ts ignore").map((text) => {
  const [, command, name] = text.match(/^\/\/ (deno \w+ \S+ (\w+\.ts).*)\n/)!;
  return { text, command: command!, name: name! };
});

/** The words of `deno run -P`, with @std from the registry of these tests. */
const [DENO, ...RUN_P] = commandLine("asyncio", [], { permissions: ["-P"] })
  .slice(0, -1);

// This folder has the scripts and those on the page, and `home` is the reader's.
const copy = await sharedProject();
const { path: cwd, ports } = copy;
for (const { name, text } of SCRIPTS) {
  await Deno.writeTextFile(`${cwd}/${name}`, withPorts(text, ports));
}
const home = Deno.makeTempDirSync({ prefix: "flags2_" });
addEventListener("unload", () => Deno.removeSync(home, { recursive: true }));
await Deno.mkdir(`${home}/bin`);
const shim = `#!/bin/sh
[ "$1 $2" != "run -P" ] || { shift 2; set -- ${shellQuote(RUN_P)} "$@"; }
[ "$1" != test ] || { shift; set -- test --no-check "$@"; }
HOME="$CACHED" exec ${shellQuote([DENO!])} "$@"
`;
await Deno.writeTextFile(`${home}/bin/deno`, shim, { mode: 0o755 });
const env = {
  CACHED: Deno.env.get("HOME") ?? "",
  HOME: home,
  PATH: `${home}/bin:${home}/.deno/bin:${Deno.env.get("PATH")}`,
  DENO_INSTALL_ROOT: `${home}/.deno`,
  NO_COLOR: "1",
};

/** Start a command that a reader types in that folder. */
function start(command: string): Deno.ChildProcess {
  return spawn(["sh", "-c", command], { cwd, env, limit: 120 });
}

/** Run a command to its end, and check its exit status. */
async function type(command: string, code = 0): Promise<Outcome> {
  const printed = await outcome(start(command));
  assertEquals(printed.code, code, printed.stdout + printed.stderr);
  return printed;
}

/** Checks of the output of each script. */
const CHECKS: Record<string, (outcome: Outcome) => void> = {
  "one_flag.ts": ({ stdout }) => assertEquals(stdout, "ok\n"),
  "two_styles.ts": ({ stdout, stderr }) => {
    const [sequential, asyncio] = stdout.split(/^(?=DELAY site: )/m)
      .map((run) => parseReport(run).elapsed);
    assert(sequential! > 2.4 && asyncio! > 0.4 && asyncio! < sequential!);
    assert(!stderr.includes("Started"), stderr);
  },
  "flags_test.ts": ({ stdout }) =>
    assertMatch(stdout, /a code without a flag is not found \.\.\. ok/),
  "steps.ts": ({ stdout }) =>
    assertMatch(stdout, /^100%\|█{10}\| 999\/999 .*\n178\n$/),
};

describe("own-script.md", () => {
  const [elsewhere, install] = blocks(PAGE, "sh") as [string, string];

  itOnPosix("has scripts that type-check and print its output", async () => {
    const names = SCRIPTS.map(({ name }) => name);
    assertEquals(names, Object.keys(CHECKS));
    await type(`deno check ${names.join(" ")}`);
    const serving = start("exec deno task serve");
    const lines = serving.stdout.pipeThrough(new TextDecoderStream());
    for await (const text of lines) if (text.includes("ERROR site")) break;
    const runs = SCRIPTS.map(async ({ name, command }) =>
      CHECKS[name]!(await type(command))
    );
    await Promise.all(runs);
    serving.kill("SIGINT");
    await Promise.all([serving.status, serving.stderr.cancel()]);
    const { stderr } = await type(SCRIPTS[0]!.command, 1);
    assertMatch(stderr, /ConnectionError: /);
  });

  itOnPosix("names the error of two runs at the same time", async () => {
    const program = `import { main } from "./flags2_common.ts";
import { downloadMany } from "./flags2_asyncio.ts";
await Promise.all([main(downloadMany, 5, 9), main(downloadMany, 5, 9)]);`;
    const { code, stderr, report } = await runOwn(copy, program, ["br"]);
    assertEquals([code, report.flags], [1, 1]);
    const [, line] = PAGE.match(/`(\*{3} another main[^`]+)`/)!;
    assert(stderr.startsWith(`${line!.replace(/\s+/g, " ")}\n`), stderr);
  });

  const isOnNpm = STD[0] === "--frozen";
  const itOnNpm = isOnNpm ? itOnPosix : itIf(false, "@std from npm");
  itOnNpm("copies the bar and the pool to another folder", async () => {
    CHECKS["steps.ts"]!(await type(elsewhere));
    const { stderr } = await type("cd ~/elsewhere && deno run steps.ts", 1);
    assertMatch(stderr, /BrokenThreadPool: .*--allow-read/);
  });

  itOnNpm("installs a script, but cannot run a link to it", async () => {
    const { report } = await type(`${install}
cd && flags2_asyncio br zz && test -s downloads/br.gif`);
    assertEquals([report.flags, report.notFound], [1, 1]);
    const [, uninstall] = PAGE.match(/`(deno uninstall .*)`/)!;
    await type(`${uninstall} && flags2_asyncio -h`, 127);
    const link = 'ln -s "$PWD/flags2_asyncio.ts" ~/link && ~/link -h';
    const { stderr } = await type(link, 1);
    assertMatch(stderr, /Import "@std\/async\/pool" not a dependency/);
  });
});

/** The top of a reader's own script, with functions for its pool. */
const HEAD = `
import { delay } from "@std/async/delay";
import { asCompleted, ThreadPoolExecutor } from "./lib/futures.ts";
import { die } from "${import.meta.resolve("./calls.ts")}";
export { die };
export const square = (n, ms = 0) => delay(ms).then(() => n * n);
export class Temporal extends Error { // A global object has the same name.
  name = "OwnError";
  n = 7;
}
export function fail() {
  throw new Temporal();
}
`;

describe("a pool in a reader's own script", () => {
  it("fails at once with a hint outside if (import.meta.main)", async () => {
    const atTop = `const executor = new ThreadPoolExecutor({ maxWorkers: 2 });
for await (const n of executor.map(square, [1, 2, 3])) console.log(n);`;
    const called = `async function main() {
  const options = { maxWorkers: 4, module: import.meta.url };
  await using executor = new ThreadPoolExecutor(options);
  const calls = Array.from({ length: 9999 }, () => executor.submit(square, 3));
  for await (const call of asCompleted(calls)) call.result();
}
main();`;
    const inMain = `import { main } from "./flags2_common.ts";
main(async () => {
  await using executor = new ThreadPoolExecutor({ maxWorkers: 1 });
  await executor.map(square, [1]).next();
}, 1, 1);`;
    for (const text of [atTop, called, inMain]) {
      const args = ["-s", "http://localhost"];
      const { code, stderr } = await runOwn(copy, HEAD + text, args);
      assertEquals(code, 1);
      const hint = "under if (import.meta.main): ";
      assert(/^(error:|\*{3}) /.test(stderr) && stderr.includes(hint), stderr);
    }
  });

  it("returns results and errors, reports dead threads, and may stay open", async () => {
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
  new ThreadPoolExecutor({ maxWorkers: 1 }).submit(square, () => {});
}
if (import.meta.main) {
  await using executor = new ThreadPoolExecutor({ maxWorkers: 2 });
  console.log(await Array.fromAsync(executor.map(square, [2, 3], [50, 0])));
  await executor.map(fail, [7]).next().catch(({ name }) => console.log(name));
  // The program is busy, but each death must be reported.
  const word = new Int32Array(new SharedArrayBuffer(4));
  const naps = setInterval(() => Atomics.wait(word, 0, 0, 40), 50);
  for (const how of ["close", "exit", "throw", "throw", "reject", "reject"]) {
    const calls = [executor.submit(die, how)];
    for await (const call of asCompleted(calls)) console.log(String(call));
  }
  clearInterval(naps);
  main();
}`;
    const { code, stdout } = await runOwn(copy, program);
    const died = "<Future state=finished raised BrokenThreadPool>\n".repeat(6);
    const ended = "<Future state=finished returned 9>\n";
    assertEquals(stdout, `[ 4, 9 ]\nOwnError\n${died}true 7\n${ended}`);
    assertEquals(code, 0);
  });
});
