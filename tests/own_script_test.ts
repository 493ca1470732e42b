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
import { blocks, isStopped, read, Reader } from "./reader.ts";
import {
  itOnPosix,
  type Outcome,
  outcome,
  parseReport,
  ROOT,
  spawn,
  STD,
  TemporaryFolder,
} from "./testing.ts";

const PAGE = await read("own-script.md");
const [forgotten, elsewhere, install] = blocks(PAGE, "sh");

/** The scripts in the page, each with its name and its command. */
const SCRIPTS = blocks(PAGE, "ts ignore").map((text) => {
  const [, command, name] = text.match(/^\/\/ (deno \w+ \S+ (\w+\.ts).*)\n/)!;
  return { text, command: command!, name: name! };
});

/** The elapsed times of the runs of a script. */
function elapsed({ stdout }: Outcome): number[] {
  return stdout.split(/^(?=.* site: )/m).map((run) => parseReport(run).elapsed);
}

/** How each of them ends. */
const ENDS: Record<string, (outcome: Outcome) => void> = {
  "one_flag.ts": ({ code, stdout }) =>
    assertEquals([code, stdout], [0, "ok\n"]),
  "two_styles.ts": (outcome) => {
    const [sequential, asyncio] = elapsed(outcome) as [number, number];
    assert(sequential > 2.4 && asyncio > 0.4 && asyncio < sequential);
  },
  "flags_test.ts": ({ code, stdout }) => {
    assertEquals(code, 0);
    assertMatch(stdout, /a code without a flag is not found \.\.\. ok/);
  },
  "steps.ts": ({ stdout }) => {
    assertMatch(stdout, /^100%\|█{10}\| 999\/999 .*\n178\n$/);
  },
  "flags2_batches.ts": ({ stdout }) => {
    const { flags, notFound, errors, notTried } = parseReport(stdout);
    assertEquals([flags + errors, notFound, notTried], [194, 0, 0], stdout);
    assert(flags > 0 && errors > 0, stdout);
  },
};

describe("own-script.md", () => {
  it("has a script for each test, and the other way round", () => {
    assertEquals(SCRIPTS.map(({ name }) => name), Object.keys(ENDS));
  });

  itOnPosix("has scripts that check and end as it says", async () => {
    await using reader = await Reader.create();
    for (const { name, text } of SCRIPTS) await reader.save(name, text);
    const serving = reader.start("exec deno task serve");
    const lines = serving.stdout.pipeThrough(new TextDecoderStream());
    for await (const text of lines) if (text.includes("ERROR site")) break;
    for (const { name, command } of SCRIPTS) {
      const outcome = await reader.type(command);
      ENDS[name]!(outcome);
    }
    serving.kill("SIGINT");
    await Promise.all([serving.status, serving.stderr.cancel()]);
    const { code, stderr } = await reader.type(SCRIPTS[0]!.command);
    assertEquals(code, 1);
    assertMatch(stderr, /ConnectionError: .*refused/);
    const names = SCRIPTS.map(({ name }) => name).join(" ");
    const checked = await reader.type(`deno check ${names}`);
    assertEquals(checked.code, 0, checked.stderr);
  });

  itOnPosix(
    "has a style that is stopped by a failure, and accounts for it",
    async () => {
      await using reader = await Reader.create();
      const { name, text } = SCRIPTS.at(-1)!;
      await reader.save(name, text);
      const outcome = await reader.type(
        `mkdir -p downloads/br.gif/x; deno run -P ${name} -v br cn us zz`,
      );
      assertEquals(outcome.code, 1);
      isStopped(outcome);
    },
  );

  itOnPosix(
    "finds the forgotten await, which ends a run all the same",
    async () => {
      await using reader = await Reader.create();
      const [sed, run, check] = forgotten!.split("\n");
      await reader.type(sed!);
      const { stdout } = await reader.type(`exec ${run}`);
      assertMatch(stdout, /^3 errors\.$/m);
      const { code, stderr } = await reader.type(check!);
      assertEquals(code, 1);
      assertStringIncludes(stderr, "Did you forget to use 'await'?");
    },
  );

  itOnPosix("takes the bar and the pool elsewhere", async () => {
    await using reader = await Reader.create();
    const { name, text } = SCRIPTS.find(({ name }) => name === "steps.ts")!;
    await reader.save(name, text);
    const outcome = await reader.type(elsewhere!);
    assertEquals(outcome.code, 0, outcome.stderr);
    ENDS[name]!(outcome);
    const { code, stderr } = await reader.type(
      "deno run steps.ts",
      "elsewhere",
    );
    assertEquals(code, 1);
    assertMatch(stderr, /BrokenThreadPool: no thread .*--allow-read/);
  });

  const onJsr = STD[0] !== "--frozen";
  const unlessOnJsr = onJsr ? it.skip : itOnPosix;
  const reason = onJsr ? " (left out: deno.json has @std from npm)" : "";
  unlessOnJsr("installs a script, but not a link to it" + reason, async () => {
    await using reader = await Reader.create();
    const typed = async (command: string, folder?: string) => {
      const { code, stdout, stderr } = await reader.type(command, folder);
      assertEquals(code, 0, stderr);
      return stdout;
    };
    await typed(install!);
    const { flags, notFound } = parseReport(
      await typed("flags2_asyncio br zz; test -s downloads/br.gif", "."),
    );
    assertEquals([flags, notFound], [1, 1]);
    await typed(PAGE.match(/`(deno uninstall .*)`/)![1]!);
    assertEquals((await reader.type("flags2_asyncio -h")).code, 127);
    const link = 'ln -s "$PWD/flags2_asyncio.ts" ~/link && ~/link -h';
    const { code, stderr } = await reader.type(link);
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
export const square = async (n: number, ms = 0) => {
  await new Promise((resolve) => setTimeout(resolve, ms));
  return n * n;
};
export class OwnError extends Error {
  override name = "OwnError";
  constructor(readonly n: number) { super(\`number \${n}\`); }
}
export const fail = (n: number) => { throw new OwnError(n); };
`;
      await Deno.writeTextFile(`${folder.path}/own.ts`, head + text);
      const config = `--config=${ROOT}/deno.json`;
      const words = ["run", "-A", ...STD, config, "own.ts"];
      const { code, stdout, stderr } = await outcome(
        spawn([Deno.execPath(), ...words], {
          cwd: folder.path,
          env: { NO_COLOR: "1" },
          signal: AbortSignal.timeout(30_000), // Whatever hangs is killed.
        }),
      );
      assertMatch(stdout + stderr, printed);
      assertEquals(code, status);
    });
  }
});
