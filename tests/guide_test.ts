/**
 * The reading guide and the README: the code is the scripts', the callouts are
 * those of the code, and the commands do what the text says.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  commandLine,
  parseReport,
  ROOT,
  SCRIPTS,
  STD,
} from "../bench/scripts.ts";
import { type Outcome, outcome, spawn } from "./processes.ts";
import { sharedProject } from "./projects.ts";
import { blocks, FENCED, itOnPosix } from "./testing.ts";

const read = (path: string) => Deno.readTextFile(`${ROOT}/${path}`);
const README = await read("README.md");
const ENGLISH = await read("docs/reading-guide.md");
const KOREAN = await read("docs/reading-guide.ko.md");

/** The words between backticks in the prose, each once. */
function spans(text: string): string[] {
  const found = text.replace(FENCED, "").matchAll(/`([^`]+)`/g);
  return [...new Set(Array.from(found, ([, span]) => span!))].sort();
}

/** The parts of a guide, each with its heading. */
const sections = (guide: string) => guide.split(/^(?=##+ )/m);

const sorted = (numbers: number[]) => numbers.sort((a, b) => a - b);

/** The callouts that a table explains, sorted: a row may have several. */
function rows(section: string): number[] {
  const found = section.matchAll(/^\| (\d+(?:, \d+)*) +\|/gm);
  return sorted([...found].flatMap(([, row]) => row!.split(", ").map(Number)));
}

/** The callouts in the comments of some code, sorted. */
function callouts(code: string): number[] {
  const found = code.matchAll(/\/\/((?: \(\d+\))+)$/gm);
  return sorted(
    [...found].flatMap(([, row]) => row!.match(/\d+/g)!.map(Number)),
  );
}

describe("the guides", () => {
  const numbered = sections(ENGLISH).filter((part) => rows(part).length > 0);

  it("explain each callout of the book once", () => {
    const lists = numbered.map(rows); // The list of eight is the first of 18.4.
    assertEquals(lists.map((list) => list.length), [6, 12, 16, 8, 15]);
    for (const list of lists) assertEquals(list, list.map((_, i) => i + 1));
  });

  for (const section of numbered) {
    const code = blocks(section, "ts ignore")
      .flatMap((block) => block.split(/(?<=^}\n)\n(?=export )/m));
    if (code.length === 0) continue; // 18.4's first list is about flags2_common.ts.
    const [, script] = section.match(/^## (\w+\.ts)/)!;
    it(`show the code of ${script}, with all its callouts`, async () => {
      const source = await read(script!);
      for (const part of code) {
        const line = part.split("\n").find((it) => !source.includes(it));
        assert(
          `\n${source}`.includes(`\n${part}`),
          `not in ${script}: ${line}`,
        );
        assertMatch(part, /^(export|import) [^]*\n}\n$/);
      }
      assertEquals(callouts(code.join("")), callouts(source));
      assertEquals(callouts(source), rows(section));
    });
  }

  it("have the same code, commands, names and callouts in both languages", () => {
    const [english, korean] = [ENGLISH, KOREAN].map((guide) =>
      sections(guide)
        .map((part) => [part.match(FENCED), spans(part), rows(part)])
    );
    assertEquals(korean, english);
  });

  it("are right that two scripts have the same loop", () => {
    const [threadpool, asyncio] = blocks(ENGLISH, "ts ignore")
      .filter((block) => block.includes("doneIter"))
      .map((block) => block.slice(block.indexOf("  for await")))
      .map((block) => block.replace(/ \/\/( \(\d+\))+$/gm, ""));
    assert(asyncio!.startsWith(threadpool!));
  });
});

// A folder of the scripts. The programs of the guide do less here, to save time.
const { path: cwd } = await sharedProject();
await Deno.mkdir(`${cwd}/docs`);
const programs = blocks(ENGLISH, "ts ignore");
const plain = programs.at(-1)!;
for (
  const [name, text] of [
    ["docs/primes.ts", (await read("docs/primes.ts")).replace("= 10_", "= 1_")],
    ["docs/bar.ts", programs[0]!.replace("(10)", "(1)")],
    ["flags2_plain.ts", plain],
  ] as const
) await Deno.writeTextFile(`${cwd}/${name}`, text);

/** Start what a reader types there, with @std from where these tests have it. */
function start(command: string): Deno.ChildProcess {
  const [, task, rest = ""] =
    command.match(/^(?:deno|npx --yes deno@[\d.]+) (run -[AP]|check) (.*)/) ??
      [];
  const deno = task === "check"
    ? [Deno.execPath(), "check", ...STD]
    : commandLine("asyncio", [], { permissions: [`${task?.slice(4)}`] })
      .slice(0, -1);
  const words = task ? [...deno, ...rest.split(" ")] : ["sh", "-c", command];
  const signal = AbortSignal.timeout(120_000); // Ends a run that hangs.
  return spawn(words, { cwd, signal, env: { NO_COLOR: "1" } });
}

const type = (command: string): Promise<Outcome> => outcome(start(command));

/** The commands in a part of the guide. */
function commands(heading: string): string[] {
  const part = sections(ENGLISH).find((it) => it.startsWith(`${heading} `))!;
  return blocks(part, "sh").join("").trimEnd().split("\n");
}

/** The output of a run, without the parts that vary. */
function shape(printed: string): string[] {
  return printed.trimEnd().split("\n").map((line) =>
    line.replace(/localhost:\d+/, "localhost").replace(/█+/, "█")
      .replace(/\d\d:\d\d<.*/, "").replace(/\d+\.\d\ds$/, "")
      .replace(/^\d+ (flags|errors)/, "$1")
  );
}

/** The codes of a verbose run in the order of their lines. */
function codesTold(stdout: string): string[] {
  const lines = stdout.split(/^-{20}$/m)[0]!.trimEnd().split("\n").slice(3);
  return lines.map((line) => line.match(/\b[A-Z]{2}\b/)![0]);
}

/** The run at the top of a script, or in the README. */
async function shownRun(path: string): Promise<string> {
  const text = (await read(path)).replace(/^ \* ?/gm, "");
  return text.match(/^\$ ([^]*?)^```$/m)![1]!;
}

describe("what the README and the guide say to type", () => {
  it("prints what they and the heads of the scripts show", async () => {
    const scripts = SCRIPTS.map((script) => `flags2_${script}.ts`);
    const check = async (path: string) => {
      const [command, ...lines] = (await shownRun(path)).split("\n");
      const { code, stdout, stderr } = await type(command!);
      const started = lines.findIndex((it) => it.startsWith("Started "));
      const [line] = started < 0 ? [] : lines.splice(started, 1);
      const printed = lines.join("\n");
      assertEquals([code, shape(stdout)], [0, shape(printed)]);
      if (line) assert(stderr.endsWith(`${line}\n`), stderr);
      const [sum, shownSum] = [stdout, printed].map(parseReport)
        .map(({ flags, notFound, errors }) => flags + notFound + errors);
      assertEquals(sum, shownSum);
    };
    await check("README.md"); // Alone: a site that runs would not be started.
    await Promise.all(scripts.map(check));
  });

  itOnPosix("runs the README's other commands", async () => {
    const typed = blocks(README, "console").map((it) => it.trimEnd())
      .filter((it) => it.startsWith("deno "));
    const [pool, serve] = typed;
    assertEquals(typed.length, 2);
    assertEquals(parseReport((await type(pool!)).stdout).flags, 43);
    const serving = start(serve!);
    const lines = serving.stdout.pipeThrough(new TextDecoderStream());
    const { value } = await lines.getReader().read();
    assertMatch(`${value}`, /^ERROR site: /);
    serving.kill("SIGINT");
    await Promise.all([serving.status, serving.stderr.cancel()]);
  });

  it("shows the chapter's first bar", async () => {
    const bar = spans(ENGLISH).find((it) => /^deno .*bar\.ts$/.test(it))!;
    const { stdout } = await type(bar);
    assertMatch(stdout, /^100%\|█{10}\| 1000\/1000 \[.*\]\n$/);
  });

  it("takes a time that depends on connections, not threads (1)", async () => {
    const seconds: number[] = [];
    for (const command of commands("### 1.")) {
      const { flags, notFound, elapsed } = parseReport(
        (await type(command)).stdout,
      );
      assertEquals([flags, notFound], [43, 35]);
      seconds.push(elapsed);
    }
    const [ten, thirty, oneThread] = seconds;
    assert(ten! > 3.9 && thirty! > 1.4 && oneThread! > 1.4, `${seconds}`);
    assert(Math.max(thirty!, oneThread!) + 1 < ten!, `${seconds}`);
  });

  it("lists codes in the order of completion (2)", async () => {
    const [alone, three] = commands("### 2.");
    const alphabet = "BD BR CD CN DE EG ET FR ID IN".split(" ");
    assertEquals(codesTold((await type(alone!)).stdout), alphabet);
    const runs = await Promise.all(
      [three, three, three].map(async (command) =>
        codesTold((await type(command!)).stdout)
      ),
    );
    for (const codes of runs) assertEquals(codes.toSorted(), alphabet);
    // By chance, the answers of one run may be in order.
    assert(runs.some((codes) => `${codes}` !== `${alphabet}`), `${runs}`);
  });

  itOnPosix("counts an error, and stops at one (3)", async () => {
    const [counted, remove, make, pool, sequential, again] = commands("### 3.");
    const { code, stdout } = await type(counted!);
    assertEquals([code, parseReport(stdout).errors], [0, 2]);
    for (const command of [remove, make]) await type(command!);
    const own = "deno run -P flags2_plain.ts -v br cn us zz";
    for (const command of [pool, own, sequential]) {
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

  it("counts the same primes on one worker and on two (4)", async () => {
    for (const command of commands("### 4.")) { // Up to a tenth of the limit.
      const { stdout } = await type(command);
      assertMatch(stdout, /\n78498 primes below 1000000 /);
    }
    assertMatch(ENGLISH, /\b664579\b/);
  });

  itOnPosix("shows what a forgotten await does", async () => {
    const [copy, run, check] = commands("## flags2_sequential.ts");
    await type(copy!);
    const { stdout } = await type(run!);
    assertEquals([parseReport(stdout).flags, parseReport(stdout).errors], [
      0,
      3,
    ]);
    // The guide's own program has no such error.
    const { code, stderr } = await type(`${check} flags2_plain.ts`);
    assert(
      code === 1 && !/^ +at .*\/(?!forgotten)\w+\.ts/m.test(stderr),
      stderr,
    );
    assertMatch(stderr, /Did you forget to use 'await'\?/);
  });

  it("downloads without Python's furniture, too", async () => {
    const [, command] = plain.match(/^\/\/ (.*)\n/)!;
    const { code, stdout } = await type(command!);
    const { flags, errors } = parseReport(stdout);
    assert(code === 0 && flags > 0 && flags + errors === 60, stdout);
    assertMatch(stdout, /^100%\|█{10}\| 60\/60 /m);
  });
});
