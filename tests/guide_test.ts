/**
 * The reading guide: its code is the source's, its numbers are those of the
 * code, and its commands do what it says.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  blocks,
  commandLine,
  FENCED,
  itOnPosix,
  type Outcome,
  outcome,
  parseReport,
  ROOT,
  sharedProject,
  spawn,
} from "./testing.ts";

const ENGLISH = await Deno.readTextFile(`${ROOT}/docs/reading-guide.md`);
const KOREAN = await Deno.readTextFile(`${ROOT}/docs/reading-guide.ko.md`);

/** What stands between backticks in the prose, each once. */
function spans(text: string): string[] {
  const found = text.replace(FENCED, "").matchAll(/`([^`]+)`/g);
  return [...new Set(Array.from(found, ([, span]) => span!))].sort();
}

/** The parts of a guide, each from its heading on. */
const sections = (guide: string) => guide.split(/^(?=##+ )/m);

/** The numbers of the rows of a table. */
const rows = (section: string) =>
  Array.from(section.matchAll(/^\| (\d+) +\|/gm), ([, n]) => Number(n));

/** The numbers in the comments of some code, sorted. */
function callouts(code: string): number[] {
  return [...code.matchAll(/\/\/((?: \(\d+\))+)$/gm)]
    .flatMap(([, numbers]) => numbers!.match(/\d+/g)!.map(Number))
    .sort((a, b) => a - b);
}

describe("the guides", () => {
  const numbered = sections(ENGLISH).filter((part) => rows(part).length > 0);

  it("explain each number of the book, in its order", () => {
    const lists = numbered.map(rows); // 18.4 begins with the one of 8.
    assertEquals(lists.map((list) => list.length), [6, 12, 16, 8, 15]);
    for (const list of lists) assertEquals(list, list.map((_, i) => i + 1));
  });

  for (const section of numbered) {
    const code = blocks(section, "ts ignore");
    if (code.length === 0) continue; // 18.4's first list has that of common.
    const [, script] = section.match(/^## (\w+\.ts)/)!;
    it(`have the code of ${script}, with all its numbers`, async () => {
      const source = await Deno.readTextFile(`${ROOT}/${script}`);
      for (const block of code) {
        const line = block.split("\n").find((it) => !source.includes(it));
        assert(`\n${source}`.includes(`\n${block}`), `not there: ${line}`);
        assertMatch(block, /^(export|import) [^]*\n}\n$/);
      }
      assertEquals(callouts(code.join("")), callouts(source));
      assertEquals(callouts(source), rows(section));
    });
  }

  it("have the same code, commands, names and numbers, part by part", () => {
    const [english, korean] = [ENGLISH, KOREAN].map((guide) =>
      sections(guide)
        .map((part) => [part.match(FENCED), spans(part), rows(part)])
    );
    assertEquals(korean, english);
  });

  it("say rightly that two scripts are the same from the loop on", () => {
    const [threadpool, asyncio] = blocks(ENGLISH, "ts ignore")
      .filter((block) => block.includes("doneIter"))
      .map((block) => block.slice(block.indexOf("  for await")))
      .map((block) => block.replace(/ \/\/( \(\d+\))+$/gm, ""));
    assertEquals(threadpool, asyncio);
  });
});

// A folder of the scripts, and those of the guide in less time.
const { path: cwd } = await sharedProject();
await Deno.mkdir(`${cwd}/docs`);
const primes = await Deno.readTextFile(`${ROOT}/docs/primes.ts`);
const [bar] = blocks(ENGLISH, "ts ignore");
const write = (name: string, text: string) =>
  Deno.writeTextFile(`${cwd}/docs/${name}`, text);
await write("primes.ts", primes.replace("= 10_", "= 1_"));
await write("bar.ts", bar!.replace("(10)", "(1)"));

/** Words of `deno run -P`, with @std from where these tests have it. */
const RUN_P = commandLine("asyncio", [], { permissions: ["-P"] }).slice(0, -1);

/** What a reader types there. */
async function type(command: string): Promise<Outcome> {
  const [, args] = command.match(/^deno run -P (.*)/) ?? [];
  const words = args ? [...RUN_P, ...args.split(" ")] : ["sh", "-c", command];
  return await outcome(spawn(words, { cwd, env: { NO_COLOR: "1" } }));
}

/** The commands of an experiment. */
function experiment(n: number): string[] {
  const section = sections(ENGLISH).find((it) => it.startsWith(`### ${n}. `))!;
  return blocks(section, "sh").join("").trimEnd().split("\n");
}

/** What was printed, without what is another each time. */
function shape(printed: string): string[] {
  return printed.trimEnd().split("\n").map((line) =>
    line.replace(/localhost:\d+/, "localhost").replace(/█+/, "█")
      .replace(/\d\d:\d\d<.*/, "").replace(/\d+\.\d\ds$/, "")
      .replace(/^\d+ (flags|errors)/, "$1")
  );
}

/** The codes that a verbose run tells of, in its order. */
function codesTold(stdout: string): string[] {
  const lines = stdout.split(/^-{20}$/m)[0]!.trimEnd().split("\n").slice(3);
  return lines.map((line) => line.match(/\b[A-Z]{2}\b/)![0]);
}

/** How the commands end of the experiments that leave no trace. */
const ENDS: Record<number, (stdout: string, command: string) => void> = {
  1: (stdout, command) => {
    const { flags, notFound, elapsed } = parseReport(stdout);
    assertEquals(flags + notFound, command.includes("-l 10") ? 10 : 78);
    const connections = Number(command.match(/-m (\d+)/)?.[1] ?? 1);
    const rounds = Math.ceil((flags + notFound) / connections);
    assert(elapsed > rounds * 0.5 - 0.1, stdout);
  },
  2: (stdout, command) => {
    const codes = codesTold(stdout);
    if (!command.endsWith("-m 1")) codes.sort();
    assertEquals(codes, "BD BR CD CN DE EG ET FR ID IN".split(" "));
  },
  4: (stdout) => { // Below ten times as much there are 664579.
    assertMatch(stdout, /\n78498 primes below 1000000 /);
    assertMatch(ENGLISH + KOREAN, /\b664579\b[^]*\b664579\b/);
  },
};

describe("what the guide says to type", () => {
  it("prints for the chapter's runs and its first bar what is shown", async () => {
    const shown = blocks(ENGLISH, "console")[0]!.split(/^\$ /m).slice(1);
    assertEquals(shown.length, 3);
    const runs = shown.map(async (run) => {
      const [command, ...lines] = run.split("\n");
      const started = lines.findIndex((it) => it.startsWith("Started "));
      const [line] = lines.splice(started, 1);
      const printed = lines.join("\n");
      const { code, stdout, stderr } = await type(command!);
      assertEquals([code, shape(stdout)], [0, shape(printed)]);
      assert(stderr.endsWith(`${line}\n`), stderr);
      const [sum, shownSum] = [stdout, printed].map(parseReport)
        .map(({ flags, notFound, errors }) => flags + notFound + errors);
      assertEquals(sum, shownSum);
    });
    const bar = spans(ENGLISH).find((it) => /^deno .*bar\.ts$/.test(it))!;
    const [{ stdout }] = await Promise.all([type(bar), ...runs]);
    assertMatch(stdout, /^100%\|█{10}\| 1000\/1000 \[.*\]\n$/);
  });

  it("ends as it says in experiments 1, 2 and 4", async () => {
    const runs = Object.entries(ENDS).flatMap(([n, end]) =>
      experiment(+n).map(async (command) =>
        end((await type(command)).stdout, command)
      )
    );
    assertEquals(runs.length, 9);
    await Promise.all(runs);
  });

  itOnPosix("counts an error and is stopped by one, in 3", async () => {
    const [counted, remove, make, pool, sequential, again] = experiment(3);
    const { code, stdout } = await type(counted!);
    assertEquals([code, parseReport(stdout).errors], [0, 2]);
    for (const command of [remove, make]) await type(command!);
    for (const command of [pool, sequential]) {
      const { code, stdout, stderr } = await type(command!);
      const { flags, notFound, errors, notFinished } = parseReport(stdout);
      assertEquals([code, flags + notFound + notFinished, errors], [1, 4, 0]);
      assert(notFinished >= 1 && !codesTold(stdout).includes("BR"), stdout);
      if (command === sequential) assertEquals([flags, notFinished], [0, 4]);
      const line = stderr.trimEnd().split("\n").at(-1)!;
      assert(spans(ENGLISH).includes(line), line);
    }
    for (const command of [again, pool]) {
      assertEquals((await type(command!)).code, 0);
    }
  });
});
