/**
 * The reading guide: its code is the source's, its numbers are those of the
 * code, and its commands do what it says.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  commandLine,
  itOnPosix,
  type Outcome,
  outcome,
  parseReport,
  projectAtFreePorts,
  ROOT,
  spawn,
} from "./testing.ts";

const GUIDES = ["reading-guide.md", "reading-guide.ko.md"];
const [ENGLISH, KOREAN] = await Promise.all(
  GUIDES.map((name) => Deno.readTextFile(`${ROOT}/docs/${name}`)),
) as [string, string];

/** How many numbers each list of the book has; 18.4 begins with the one of 8. */
const NUMBERS = [6, 12, 16, 8, 15];

const FENCED = /^```(.*)\n([^]*?)^```$/gm;

/** What is in the code blocks of a text that have this after their fence. */
function blocks(text: string, info: string): string[] {
  return [...text.matchAll(FENCED)]
    .filter(([, given]) => given === info).map(([, , block]) => block!);
}

/** What stands between backticks in the prose, each once. */
function spans(text: string): string[] {
  const found = text.replace(FENCED, "").matchAll(/`([^`]+)`/g);
  return [...new Set(Array.from(found, ([, span]) => span!))].sort();
}

/** The parts of a guide, each from its heading on. */
const sections = (guide: string) => guide.split(/^(?=##+ )/m);

/** The numbers of the rows of a table. */
function rows(section: string): number[] {
  return Array.from(section.matchAll(/^\| (\d+) +\|/gm), ([, n]) => Number(n));
}

/** The numbers in the comments of some code, sorted. */
function callouts(code: string): number[] {
  return [...code.matchAll(/\/\/((?: \(\d+\))+)$/gm)]
    .flatMap(([, numbers]) => numbers!.match(/\d+/g)!.map(Number))
    .sort((a, b) => a - b);
}

for (const [i, guide] of [ENGLISH, KOREAN].entries()) {
  describe(GUIDES[i]!, () => {
    const numbered = sections(guide).filter((part) => rows(part).length > 0);

    it("explains each number of the book, in its order", () => {
      assertEquals(
        numbered.map(rows),
        NUMBERS.map((n) => Array.from({ length: n }, (_, i) => i + 1)),
      );
    });

    for (const section of numbered) {
      const code = blocks(section, "ts ignore");
      if (code.length === 0) continue; // 18.4's first list has that of common.
      const [, script] = section.match(/^## (\w+\.ts)/)!;
      it(`has the code of ${script}, with all its numbers`, async () => {
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
  });
}

describe("the guides", () => {
  it("have the same code, commands and names, part by part", () => {
    const korean = sections(KOREAN);
    for (const [i, part] of sections(ENGLISH).entries()) {
      const other = korean[i] ?? "";
      assertEquals(other.match(FENCED), part.match(FENCED));
      assertEquals(spans(other), spans(part));
    }
    assertEquals(korean.length, sections(ENGLISH).length);
  });

  it("say rightly that two scripts are the same from the loop on", () => {
    const [threadpool, asyncio] = blocks(ENGLISH, "ts ignore")
      .filter((block) => block.includes("doneIter"))
      .map((block) => block.slice(block.indexOf("  for await")))
      .map((block) => block.replace(/ \/\/( \(\d+\))+$/gm, ""));
    assertEquals(threadpool, asyncio);
  });
});

/** Words of `deno run -P`, with @std from where these tests have it. */
const RUN_P = commandLine("asyncio", [], { permissions: ["-P"] }).slice(0, -1);

/** A folder of the scripts, and what a reader types in it. */
async function reader() {
  const project = await projectAtFreePorts();
  const docs = `${project.path}/docs`;
  await Deno.mkdir(docs);
  await Deno.copyFile(`${ROOT}/docs/primes.ts`, `${docs}/primes.ts`);
  // Less patience is needed for the same bar.
  const [bar] = blocks(ENGLISH, "ts ignore");
  await Deno.writeTextFile(`${docs}/bar.ts`, bar!.replace("(10)", "(1)"));
  const type = (command: string): Promise<Outcome> => {
    const [, args] = command.match(/^deno run -P (.*)/) ?? [];
    const words = args ? [...RUN_P, ...args.split(" ")] : ["sh", "-c", command];
    const options = { cwd: project.path, env: { NO_COLOR: "1" } };
    return outcome(spawn(words, options));
  };
  return Object.assign(project, { type });
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

describe("what the guide says to type", () => {
  it("prints for the chapter's runs what is shown", async () => {
    await using project = await reader();
    const shown = blocks(ENGLISH, "console")[0]!.split(/^\$ /m).slice(1);
    assertEquals(shown.length, 3);
    await Promise.all(shown.map(async (run) => {
      const [command, ...printed] = run.split("\n");
      const { code, stdout, stderr } = await project.type(command!);
      const started = printed.findIndex((it) => it.startsWith("Started "));
      const [line] = printed.splice(started, 1);
      assertEquals(code, 0);
      assertEquals(shape(stdout), shape(printed.join("\n")));
      assert(stderr.endsWith(`${line}\n`), stderr);
      const { flags, notFound, errors } = parseReport(stdout);
      const sum = parseReport(printed.join("\n"));
      assertEquals(
        flags + notFound + errors,
        sum.flags + sum.notFound + sum.errors,
      );
    }));
  });

  it("shows the chapter's first bar", async () => {
    await using project = await reader();
    const [command] = spans(ENGLISH).filter((it) => it.endsWith("bar.ts"))
      .filter((it) => it.startsWith("deno"));
    const { code, stdout } = await project.type(command!);
    assertEquals(code, 0);
    assertMatch(stdout, /^100%\|█{10}\| 1000\/1000 \[.*\]\n$/);
  });

  it("makes connections set the time, in experiment 1", async () => {
    await using project = await reader();
    await Promise.all(
      experiment(1).map(async (command) => {
        const { stdout } = await project.type(command);
        const { flags, notFound, elapsed } = parseReport(stdout);
        assertEquals(flags + notFound, command.includes("-l 10") ? 10 : 78);
        const connections = Number(command.match(/-m (\d+)/)?.[1] ?? 1);
        const rounds = Math.ceil((flags + notFound) / connections);
        assert(elapsed > rounds * 0.5 - 0.1, stdout);
      }),
    );
  });

  it("tells the codes as they are done, in experiment 2", async () => {
    await using project = await reader();
    await Promise.all(
      experiment(2).map(async (command) => {
        const codes = codesTold((await project.type(command)).stdout);
        if (!command.endsWith("-m 1")) codes.sort();
        assertEquals(codes, "BD BR CD CN DE EG ET FR ID IN".split(" "));
      }),
    );
  });

  itOnPosix("counts an error and is stopped by one, in 3", async () => {
    await using project = await reader();
    const [counted, remove, make, pool, sequential, again] = experiment(3);
    const { code, stdout } = await project.type(counted!);
    assertEquals([code, parseReport(stdout).errors], [0, 2]);
    for (const command of [remove, make]) await project.type(command!);
    for (const command of [pool, sequential]) {
      const { code, stdout, stderr } = await project.type(command!);
      const { flags, notFound, errors, notTried } = parseReport(stdout);
      assertEquals([flags + notFound + notTried, errors], [4, 0]);
      assert(notTried >= 1 && !codesTold(stdout).includes("BR"), stdout);
      if (command === sequential) assertEquals([flags, notTried], [0, 4]);
      const line = stderr.trimEnd().split("\n").at(-1)!;
      assert(spans(ENGLISH).includes(line), line);
      assertEquals(code, 1);
    }
    assertEquals((await project.type(again!)).code, 0);
    assertEquals((await project.type(pool!)).code, 0);
  });

  it("counts primes, in experiment 4", async () => {
    await using project = await reader();
    await Promise.all(
      experiment(4).map(async (command) => {
        const { stdout } = await project.type(command);
        assert(stdout.includes("\n664579 primes below 10000000"), stdout);
      }),
    );
  });
});
