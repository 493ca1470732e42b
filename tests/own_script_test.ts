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
  projectAtFreePorts,
  quoted,
  ROOT,
  spawn,
  STD,
  TemporaryFolder,
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

/** A folder of the scripts and those in the page, and one who types there. */
async function reader() {
  await using stack = new AsyncDisposableStack();
  const { path, ports } = stack.use(await projectAtFreePorts());
  const { path: home } = stack.use(new TemporaryFolder());
  await Deno.mkdir(`${home}/bin`);
  await Deno.writeTextFile(
    `${home}/bin/deno`,
    `#!/bin/sh
[ "$1 $2" != "run -P" ] || { shift 2; set -- ${quoted(RUN_P)} "$@"; }
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
  const type = (command: string, folder?: string) =>
    outcome(start(command, folder));
  const left = stack.move();
  return { start, type, [Symbol.asyncDispose]: () => left.disposeAsync() };
}

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
  itOnPosix("has scripts that check and end as it says", async () => {
    assertEquals(SCRIPTS.map(({ name }) => name), Object.keys(ENDS));
    await using page = await reader();
    const serving = page.start("exec deno task serve");
    const lines = serving.stdout.pipeThrough(new TextDecoderStream());
    for await (const text of lines) if (text.includes("ERROR site")) break;
    const typed = async (command: string) => {
      const outcome = await page.type(command);
      assertEquals(outcome.code, 0, outcome.stderr);
      return outcome;
    };
    const names = SCRIPTS.map(({ name }) => name).join(" ");
    await Promise.all([
      ...SCRIPTS.map(async ({ name, command }) =>
        ENDS[name]!(await typed(command))
      ),
      typed(`deno check ${names}`),
    ]);
    serving.kill("SIGINT");
    await Promise.all([serving.status, serving.stderr.cancel()]);
    const { stderr } = await page.type(SCRIPTS[0]!.command);
    assertMatch(stderr, /ConnectionError: /);
  });

  itOnPosix(
    "has a style that a full account is given of when it is stopped",
    async () => {
      await using page = await reader();
      const { code, stdout, stderr } = await page.type(
        "mkdir -p downloads/br.gif/x; deno run -P flags2_batches.ts br cn us zz",
      );
      const { flags, notFound, notTried } = parseReport(stdout);
      assertEquals([code, flags, notFound, notTried], [1, 2, 1, 1]);
      assertMatch(stderr, /^\*\*\* downloads\/br\.gif: Is a directory$/m);
    },
  );

  itOnPosix(
    "finds the forgotten await, which ends a run all the same",
    async () => {
      await using page = await reader();
      const [sed, run, check] = blocks("sh")[0]!.split("\n");
      await page.type(sed!);
      const { stdout } = await page.type(`exec ${run}`);
      assertMatch(stdout, /^3 errors\.$/m);
      const { code, stderr } = await page.type(check!);
      assertEquals(code, 1);
      assertStringIncludes(stderr, "Did you forget to use 'await'?");
    },
  );

  itOnPosix("takes the bar and the pool elsewhere", async () => {
    await using page = await reader();
    const outcome = await page.type(blocks("sh")[1]!);
    assertEquals(outcome.code, 0, outcome.stderr);
    ENDS["steps.ts"]!(outcome);
    const { code, stderr } = await page.type("deno run steps.ts", "elsewhere");
    assertEquals(code, 1);
    assertMatch(stderr, /BrokenThreadPool: no thread .*--allow-read/);
  });

  const isOnNpm = STD[0] === "--frozen";
  const itOnNpm = isOnNpm ? itOnPosix : itIf(false, "@std from npm");
  itOnNpm("installs a script, but not a link to it", async () => {
    await using page = await reader();
    const typed = async (command: string, folder?: string) => {
      const { code, stdout, stderr } = await page.type(command, folder);
      assertEquals(code, 0, stderr);
      return stdout;
    };
    await typed(blocks("sh")[2]!);
    const { flags, notFound } = parseReport(
      await typed("flags2_asyncio br zz; test -s downloads/br.gif", "."),
    );
    assertEquals([flags, notFound], [1, 1]);
    await typed(PAGE.match(/`(deno uninstall .*)`/)![1]!);
    assertEquals((await page.type("flags2_asyncio -h")).code, 127);
    const link = 'ln -s "$PWD/flags2_asyncio.ts" ~/link && ~/link -h';
    const { code, stderr } = await page.type(link);
    assertEquals(code, 1);
    assertStringIncludes(stderr, 'Import "@std/async/pool" not a dependency');
  });
});

/** What a script may be that has a pool: how it ends, and what it prints. */
const POOLS: [name: string, text: string, code: number, printed: RegExp][] = [
  [
    "at its top is told what to do, and starts no threads without end",
    `const options = { maxWorkers: 2, module: import.meta.url };
await using executor = new ThreadPoolExecutor(options);
const calls = [1, 2, 3].map((n) => executor.submit(square, n));
for await (const call of asCompleted(calls)) console.log(call.result());`,
    1,
    /^error: .*: put this under if \(import.meta.main\): a thread imports/,
  ],
  [
    "at its top, without a module or a block, is told the same",
    `const executor = new ThreadPoolExecutor({ maxWorkers: 2 });
for await (const n of executor.map(square, [1, 2, 3])) console.log(n);`,
    1,
    /^error: .*: put this under if \(import.meta.main\): a thread imports/,
  ],
  [
    "that a function makes, called at its top, is told the same, and at once",
    `async function main() {
  await using executor = new ThreadPoolExecutor({ maxWorkers: 4 });
  const calls = Array.from({ length: 999 }, () => executor.submit(square, 3));
  for await (const call of asCompleted(calls)) call.result();
}
main();`,
    1,
    /^error: .*: put this under if \(import.meta.main\): a thread imports/,
  ],
  [
    "where it belongs calls functions of the script, and waits for them",
    `if (import.meta.main) {
  await using executor = new ThreadPoolExecutor({ maxWorkers: 2 });
  console.log(await Array.fromAsync(executor.map(square, [1, 2, 3])));
}`,
    0,
    /^\[ 1, 4, 9 \]\n$/,
  ],
  [
    "that is never closed ends when its calls have",
    `if (import.meta.main) {
  const executor = new ThreadPoolExecutor({ maxWorkers: 2 });
  const call = executor.submit(square, 3, 300);
  call.addDoneCallback(() => console.log(call));
}`,
    0,
    /^<Future state=finished returned 9>\n$/,
  ],
  [
    "gets errors of the script's own class",
    `async function main() {
  const executor = new ThreadPoolExecutor({ maxWorkers: 1 });
  for await (const call of asCompleted([executor.submit(fail, 7)])) {
    try {
      call.result();
    } catch (error) {
      console.log(error instanceof OwnError, error.n);
    }
  }
}
if (import.meta.main) main();`,
    0,
    /^true 7\n$/,
  ],
  [
    "does not wait for the script's end to get such an error",
    `if (import.meta.main) {
  const executor = new ThreadPoolExecutor({ maxWorkers: 1 });
  for await (const _ of executor.map(fail, [7]));
}`,
    1,
    /^error: .* OwnError: number 7\n/,
  ],
  [
    "ends the threads that die, and is all that tells of it",
    `if (import.meta.main) {
  const executor = new ThreadPoolExecutor({ maxWorkers: 1 });
  const ways = ["close", "exit", "throw", "throw", "throw"];
  for (const how of [...ways, "reject", "reject", "reject"]) {
    const calls = [executor.submit(die, how)];
    for await (const call of asCompleted(calls)) console.log(String(call));
  }
}`,
    0,
    /^(<Future state=finished raised BrokenThreadPool>\n){8}$/,
  ],
];

describe("a pool in a reader's own script", () => {
  for (const [name, text, status, printed] of POOLS) {
    it(name, async () => {
      await using folder = new TemporaryFolder();
      const from = (path: string) => JSON.stringify(import.meta.resolve(path));
      const head = `
import { asCompleted, ThreadPoolExecutor } from ${from("../lib/futures.ts")};
export { die } from ${from("./calls.ts")};
import { die } from ${from("./calls.ts")};
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
      await Deno.writeTextFile(`${folder.path}/own.ts`, head + text);
      const config = `--config=${ROOT}/deno.json`;
      const words = ["run", "-A", ...STD, config, "own.ts"];
      const { code, stdout, stderr } = await outcome(
        spawn([Deno.execPath(), ...words], {
          cwd: folder.path,
          env: { NO_COLOR: "1" },
          signal: AbortSignal.timeout(60_000), // Whatever hangs is killed.
        }),
      );
      assertMatch(stdout + stderr, printed);
      assertEquals(code, status);
    });
  }
});
