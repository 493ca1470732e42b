/**
 * Scripts that a reader writes: each block of docs/own-script.md, done, and what
 * a pool of threads makes of a script that is not quite right.
 */

import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  commandLine,
  itIf,
  itOnPosix,
  type Outcome,
  outcome,
  parseReport,
  quoted,
  ROOT,
  sharedProject,
  spawn,
  STD,
} from "./testing.ts";

const PAGE = await Deno.readTextFile(`${ROOT}/docs/own-script.md`);

/** What is in the code blocks of the page that have this after their fence. */
function blocks(info: string): string[] {
  return [...PAGE.matchAll(/^```(.*)\n([^]*?)^```$/gm)]
    .filter(([, given]) => given === info).map(([, , text]) => text!);
}

/** The scripts in the page, each with its command and its name. */
const SCRIPTS = blocks("ts ignore").map((text) => {
  const [, command, name] = text.match(/^\/\/ (deno \w+ \S+ (\w+\.ts).*)\n/)!;
  return { text, command: command!, name: name! };
});

/** What a reader has typed `deno run -P` for, with @std where these tests have it. */
const [DENO, ...RUN_P] = commandLine("asyncio", [], { permissions: ["-P"] })
  .slice(0, -1);

/**
 * A folder of the scripts and those in the page, and one who types there, or in
 * a home: one for all tests. One check shows the types of all scripts.
 */
async function openReader() {
  const { path, ports } = await sharedProject();
  const home = Deno.makeTempDirSync({ prefix: "flags2_" });
  addEventListener("unload", () => Deno.removeSync(home, { recursive: true }));
  await Deno.mkdir(`${home}/bin`);
  await Deno.writeTextFile(
    `${home}/bin/deno`,
    `#!/bin/sh
[ "$1 $2" != "run -P" ] || { shift 2; set -- ${quoted(RUN_P)} "$@"; }
[ "$1" != test ] || { shift; set -- test --no-check "$@"; }
exec ${quoted([DENO!])} "$@"
`,
    { mode: 0o755 },
  );
  for (const { name, text } of SCRIPTS) {
    const there = text.replace(/\b800[123]\b/g, (at) => `${ports[+at - 8001]}`);
    await Deno.writeTextFile(`${path}/${name}`, there);
  }
  const info = await outcome(spawn([DENO!, "info", "--json"]));
  const env = {
    HOME: home,
    PATH: `${home}/bin:${home}/.deno/bin:${Deno.env.get("PATH")}`,
    DENO_DIR: JSON.parse(info.stdout).denoDir,
    DENO_INSTALL_ROOT: `${home}/.deno`,
    NO_COLOR: "1",
  };
  const start = (command: string, folder?: string) => {
    const cwd = folder ? `${home}/${folder}` : path;
    const signal = AbortSignal.timeout(300_000); // Whatever hangs is killed.
    return spawn(["sh", "-c", command], { cwd, env, signal });
  };
  const type = async (command: string, code = 0, folder?: string) => {
    const printed = await outcome(start(command, folder));
    assertEquals(printed.code, code, printed.stdout + printed.stderr);
    return printed;
  };
  return { path, start, type };
}

let opened: ReturnType<typeof openReader> | undefined;
const reader = () => opened ??= openReader();

/** How each of the scripts ends. */
const ENDS: Record<string, (outcome: Outcome) => void> = {
  "one_flag.ts": ({ stdout }) => assertEquals(stdout, "ok\n"),
  "two_styles.ts": ({ stdout }) => {
    const [sequential, asyncio] = stdout.split(/^(?=DELAY site: )/m)
      .map((run) => parseReport(run).elapsed);
    assert(sequential! > 2.4 && asyncio! > 0.4 && asyncio! < sequential!);
  },
  "flags_test.ts": ({ stdout }) => {
    assertMatch(stdout, /a code without a flag is not found \.\.\. ok/);
  },
  "steps.ts": ({ stdout }) => {
    assertMatch(stdout, /^100%\|█{10}\| 999\/999 .*\n178\n$/);
  },
  "flags2_batches.ts": ({ stdout }) => {
    const { flags, errors } = parseReport(stdout);
    assert(flags > 0 && errors > 0 && flags + errors === 60, stdout);
  },
};

describe("own-script.md", () => {
  itOnPosix("has scripts that end as it says", async () => {
    assertEquals(SCRIPTS.map(({ name }) => name), Object.keys(ENDS));
    const { start, type } = await reader();
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

  itOnPosix(
    "has a style that gives a full account when stopped",
    async () => {
      const { type } = await reader();
      await type("rm -rf downloads && mkdir -p downloads/br.gif/x");
      const { stdout, stderr } = //
        await type("deno run -P flags2_batches.ts br cn us zz", 1);
      await type("rm -r downloads");
      const { flags, notFound, notTried } = parseReport(stdout);
      assertEquals([flags, notFound, notTried], [2, 1, 1]);
      assertMatch(stderr, /^\*\*\* downloads\/br\.gif: Is a directory$/m);
    },
  );

  itOnPosix(
    "finds the forgotten await, and no other mistake",
    async () => {
      const { type } = await reader();
      const [sed, run, check] = blocks("sh")[0]!.split("\n");
      await type(sed!);
      assertMatch((await type(`${run} || true`)).stdout, /^3 errors\.$/m);
      const names = SCRIPTS.map(({ name }) => name).join(" ");
      const { stderr } = await type(`${check} ${names}`, 1);
      assert(!/^ +at .*\/(?!forgotten)\w+\.ts/m.test(stderr), stderr);
      assertStringIncludes(stderr, "Did you forget to use 'await'?");
    },
  );

  itOnPosix("takes the bar and the pool elsewhere", async () => {
    const { type } = await reader();
    ENDS["steps.ts"]!(await type(blocks("sh")[1]!));
    const { stderr } = await type("deno run steps.ts", 1, "elsewhere");
    assertMatch(stderr, /BrokenThreadPool: no thread .*--allow-read/);
  });

  const isOnNpm = STD[0] === "--frozen";
  const itOnNpm = isOnNpm ? itOnPosix : itIf(false, "@std from npm");
  itOnNpm("installs a script, but not a link to it", async () => {
    const { type } = await reader();
    await type(blocks("sh")[2]!);
    const command = "flags2_asyncio br zz && test -s downloads/br.gif";
    const { stdout } = await type(command, 0, ".");
    const { flags, notFound } = parseReport(stdout);
    assertEquals([flags, notFound], [1, 1]);
    await type(PAGE.match(/`(deno uninstall .*)`/)![1]!);
    await type("flags2_asyncio -h", 127);
    const link = 'ln -s "$PWD/flags2_asyncio.ts" ~/link && ~/link -h';
    const { stderr } = await type(link, 1);
    assertStringIncludes(stderr, 'Import "@std/async/pool" not a dependency');
  });
});

/** Run a script with a pool: all that it prints, and its exit status. */
async function runPool(text: string): Promise<[printed: string, code: number]> {
  const { path } = await sharedProject();
  const from = (path: string) => JSON.stringify(import.meta.resolve(path));
  const head = `
import { asCompleted, ThreadPoolExecutor } from ${from("../lib/futures.ts")};
import { die } from ${from("./calls.ts")};
export { die };
export async function square(n: number, ms = 0) {
  await new Promise((resolve) => setTimeout(resolve, ms));
  return n * n;
}
export class OwnError extends Error {
  override name = "OwnError";
  constructor(readonly n: number) { super(\`number \${n}\`); }
}
export function fail(n: number) { throw new OwnError(n); }
`;
  await Deno.writeTextFile(`${path}/own.ts`, head + text);
  const { code, stdout, stderr } = await outcome(
    spawn([Deno.execPath(), "run", "-A", ...STD, "own.ts"], {
      cwd: path,
      env: { NO_COLOR: "1" },
      signal: AbortSignal.timeout(60_000), // Whatever hangs is killed.
    }),
  );
  return [stdout + stderr, code];
}

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
      const [printed, code] = await runPool(text);
      const told = "put this under if (import.meta.main): a thread imports";
      assert(printed.startsWith("error: "), printed);
      assertStringIncludes(printed.split("\n")[0]!, told);
      assertEquals(code, 1);
    }
  });

  it("where it belongs gets results, its own errors and the deaths of threads, and may stay open", async () => {
    const [printed, code] = await runPool(`async function main() {
  const executor = new ThreadPoolExecutor({ maxWorkers: 1 });
  for await (const call of asCompleted([executor.submit(fail, 7)])) {
    try {
      call.result();
    } catch (error) {
      console.log(error instanceof OwnError, error.n);
    }
  }
  const call = executor.submit(square, 3, 300);
  call.addDoneCallback(() => console.log(call));
}
if (import.meta.main) {
  await using executor = new ThreadPoolExecutor({ maxWorkers: 2 });
  console.log(await Array.fromAsync(executor.map(square, [1, 2, 3])));
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
}`);
    const died = "<Future state=finished raised BrokenThreadPool>\n".repeat(6);
    const ended = "<Future state=finished returned 9>\n";
    assertEquals(printed, `[ 1, 4, 9 ]\nOwnError\n${died}true 7\n${ended}`);
    assertEquals(code, 0);
  });
});
