/** The code, the callouts and the commands of the reading guide and the README. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { commandLine, parseReport, ROOT, SCRIPTS } from "../bench/scripts.ts";
import { type Outcome, outcome, spawn } from "./processes.ts";
import { sharedProject } from "./projects.ts";
import { blocks, FENCED, itOnPosix } from "./testing.ts";

const read = (path: string) => Deno.readTextFile(`${ROOT}/${path}`);
const README = await read("README.md");
const ENGLISH = await read("docs/reading-guide.md");
const KOREAN = await read("docs/reading-guide.ko.md");

/** Return the distinct words between backticks in the prose, sorted. */
function spans(text: string): string[] {
  const found = text.replace(FENCED, "").matchAll(/`([^`]+)`/g);
  return [...new Set(Array.from(found, ([, span]) => span!))].sort();
}

/** Split a guide at its headings. */
const sections = (guide: string) => guide.split(/^(?=##+ )/m);

/** Return the numbers in the matches of a pattern, sorted. */
const numbers = (text: string, pattern: RegExp) =>
  (text.match(pattern) ?? []).flatMap((it) => it.match(/\d+/g)!).map(Number)
    .sort((a, b) => a - b);

/** Return the callouts of a table, sorted; a row may have several. */
const rows = (section: string) => numbers(section, /^\| \d+(, \d+)* +\|/gm);

/** Return the callouts in the comments of some code, sorted. */
const callouts = (code: string) => numbers(code, /\/\/( \(\d+\))+$/gm);

describe("the guides", () => {
  const numbered = sections(ENGLISH).filter((part) => rows(part).length > 0);

  it("explain each callout of the book once", () => {
    const lists = numbered.map(rows); // The last two lists belong to 18.4.
    assertEquals(lists.map((list) => list.length), [6, 12, 16, 8, 15]);
    for (const list of lists) assertEquals(list, list.map((_, i) => i + 1));
  });

  for (const section of numbered) {
    const code = blocks(section, "ts ignore")
      .flatMap((block) => block.split(/(?<=^}\n)\n(?=export )/m));
    if (code.length === 0) continue; // The first list of 18.4 has no code.
    const [, script] = section.match(/^## (\w+\.ts)/)!;
    it(`show the code of ${script} with all of its callouts`, async () => {
      const source = await read(script!);
      for (const part of code) {
        const line = part.split("\n").find((it) => !source.includes(it));
        assert(`\n${source}`.includes(`\n${part}`), `new line: ${line}`);
        assertMatch(part, /^(export|import) [^]*\n}\n$/);
      }
      assertEquals(callouts(code.join("")), callouts(source));
      assertEquals(callouts(source), rows(section));
    });
  }

  it("have the same code, names and callouts in both languages", () => {
    const [english, korean] = [ENGLISH, KOREAN].map((guide) =>
      sections(guide)
        .map((part) => [part.match(FENCED), spans(part), rows(part)])
    );
    assertEquals(korean, english);
  });

  it("show the same loop for two scripts", () => {
    const [threadpool, asyncio] = blocks(ENGLISH, "ts ignore")
      .filter((block) => block.includes("doneIter"))
      .map((block) => block.slice(block.indexOf("  for await")))
      .map((block) => block.replace(/ \/\/( \(\d+\))+$/gm, ""));
    assert(asyncio!.startsWith(threadpool!));
  });
});

// This folder has the scripts, and shorter versions of the guide's programs.
const { path: cwd } = await sharedProject();
await Deno.mkdir(`${cwd}/docs`);
const programs = blocks(ENGLISH, "ts ignore");
const plain = programs.at(-1)!;
const files = {
  "docs/primes.ts": (await read("docs/primes.ts")).replace("= 10_", "= 1_"),
  "docs/bar.ts": programs[0]!.replace("(10)", "(1)"),
  "flags2_plain.ts": plain,
};
for (const [name, text] of Object.entries(files)) {
  await Deno.writeTextFile(`${cwd}/${name}`, text);
}

/** Start a command in that folder, with @std from the registry of these tests. */
function start(command: string): Deno.ChildProcess {
  const typed = /^(?:deno|npx --yes deno@[\d.]+) (run|check) (-[AP] )?(.*)/;
  const [, task, permission, rest] = command.match(typed) ?? [];
  const permissions = permission ? [permission.trim()] : [];
  const [deno, , ...options] = commandLine("asyncio", [], { permissions });
  const words = task
    ? [deno!, task, ...options.slice(0, -1), ...rest!.split(" ")]
    : ["sh", "-c", command];
  return spawn(words, { cwd, env: { NO_COLOR: "1" }, limit: 120 });
}

const type = (command: string): Promise<Outcome> => outcome(start(command));

/** Return the commands in a part of the guide. */
function commands(heading: string): string[] {
  const part = sections(ENGLISH).find((it) => it.startsWith(`${heading} `))!;
  return blocks(part, "sh").join("").trimEnd().split("\n");
}

/** Return the lines of a run without the parts that vary. */
function shape(printed: string): string[] {
  return printed.trimEnd().split("\n").map((line) =>
    line.replace(/localhost:\d+/, "localhost").replace(/█+/, "█")
      .replace(/\d\d:\d\d<.*/, "").replace(/\d+\.\d\ds$/, "")
      .replace(/^\d+ (flags|errors)/, "$1")
  );
}

/** Return the codes of a verbose run in the order of their lines. */
function codesIn(stdout: string): string[] {
  const lines = stdout.split(/^-{20}$/m)[0]!.trimEnd().split("\n").slice(3);
  return lines.map((line) => line.match(/\b[A-Z]{2}\b/)![0]);
}

describe("a command of the README or the guide", () => {
  it("prints the lines that the pages and the scripts show", async () => {
    const check = async (path: string) => {
      const text = (await read(path)).replace(/^ \* ?/gm, "");
      const [, run] = text.match(/^\$ ([^]*?)^```$/m)!;
      const [command, ...lines] = run!.split("\n");
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
    await check("README.md"); // Another run would start the site of this one.
    await Promise.all(SCRIPTS.map((script) => check(`flags2_${script}.ts`)));
  });

  itOnPosix("runs a script or serves a site", async () => {
    const typed = blocks(README, "console").map((it) => it.trimEnd())
      .filter((it) => it.startsWith("deno "));
    const [pool, serve] = typed;
    assertEquals(typed.length, 2);
    assertEquals((await type(pool!)).report.flags, 43);
    const serving = start(serve!);
    const lines = serving.stdout.pipeThrough(new TextDecoderStream());
    const { value } = await lines.getReader().read();
    assertMatch(`${value}`, /^ERROR site: /);
    serving.kill("SIGINT");
    await Promise.all([serving.status, serving.stderr.cancel()]);
  });

  it("prints the chapter's first bar", async () => {
    const bar = spans(ENGLISH).find((it) => /^deno .*bar\.ts$/.test(it))!;
    const { stdout } = await type(bar);
    assertMatch(stdout, /^100%\|█{10}\| 1000\/1000 \[.*\]\n$/);
  });

  it("needs a time that depends on connections, not threads (1)", async () => {
    const seconds: number[] = [];
    for (const command of commands("### 1.")) {
      const { flags, notFound, elapsed } = (await type(command)).report;
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
    const codesOf = async (command: string) =>
      codesIn((await type(command)).stdout);
    assertEquals(await codesOf(alone!), alphabet);
    const runs = await Promise.all([three!, three!, three!].map(codesOf));
    for (const codes of runs) assertEquals(codes.toSorted(), alphabet);
    // The codes of one run may be in alphabetical order by chance.
    assert(runs.some((codes) => `${codes}` !== `${alphabet}`), `${runs}`);
  });

  itOnPosix("counts a timeout, but stops at a disk error (3)", async () => {
    const [counted, remove, make, pool, sequential, again] = commands("### 3.");
    const { code, report } = await type(counted!);
    assertEquals([code, report.errors], [0, 2]);
    for (const command of [remove, make]) await type(command!);
    const own = "deno run -P flags2_plain.ts -v br cn us zz";
    for (const command of [pool, own, sequential]) {
      const { code, stdout, stderr, report } = await type(command!);
      const { flags, notFound, errors, notFinished } = report;
      assertEquals([code, flags + notFound + notFinished, errors], [1, 4, 0]);
      assert(notFinished >= 1 && !codesIn(stdout).includes("BR"), stdout);
      if (command === sequential) assertEquals([flags, notFinished], [0, 4]);
      const line = stderr.trimEnd().split("\n").at(-1)!;
      assert(spans(ENGLISH).includes(line), line);
    }
    for (const command of [again, pool]) {
      assertEquals((await type(command!)).code, 0);
    }
  });

  it("counts the same primes on one worker and on two (4)", async () => {
    for (const command of commands("### 4.")) { // The limit is a tenth here.
      const { stdout } = await type(command);
      assertMatch(stdout, /\n78498 primes below 1000000 /);
    }
    assertMatch(ENGLISH, /\b664579\b/);
  });

  itOnPosix("shows the effect of a forgotten await", async () => {
    const [copy, run, check] = commands("## flags2_sequential.ts");
    await type(copy!);
    const { flags, errors } = (await type(run!)).report;
    assertEquals([flags, errors], [0, 3]);
    // The type checker finds this mistake, and no other in the guide's program.
    const { code, stderr } = await type(`${check} flags2_plain.ts`);
    assertEquals(code, 1);
    assert(!/^ +at .*\/(?!forgotten)\w+\.ts/m.test(stderr), stderr);
    assertMatch(stderr, /Did you forget to use 'await'\?/);
  });

  it("downloads flags with the plain program", async () => {
    const [, command] = plain.match(/^\/\/ (.*)\n/)!;
    const { code, stdout, report } = await type(command!);
    const { flags, errors } = report;
    assert(code === 0 && flags > 0 && flags + errors === 60, stdout);
    assertMatch(stdout, /^100%\|█{10}\| 60\/60 /m);
  });
});
