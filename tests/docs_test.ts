/**
 * What the pages in docs/ tell a reader to do, done: from top to bottom, in a
 * folder of the scripts.
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
  type Outcome,
  outcome,
  parseReport,
  type ProjectAtFreePorts,
  projectAtFreePorts,
  quoted,
  ROOT,
  STD,
  TemporaryFolder,
} from "./testing.ts";

const read = (path: string) => Deno.readTextFile(`${ROOT}/docs/${path}`);

/** What is in the code blocks of a page that have this after their fence. */
function blocks(page: string, info: string): string[] {
  return [...page.matchAll(/^```(.*)\n([^]*?)^```$/gm)]
    .filter(([, given]) => given === info).map(([, , text]) => text!);
}

/** The commands of a page, in its order. */
function commands(page: string): string[] {
  return blocks(page, "sh").join("").trimEnd().split("\n");
}

/** The program in a page. */
function program(page: string): string {
  return blocks(page, "ts ignore")[0]!;
}

/** A folder of the scripts, and a home elsewhere: one who types commands. */
class Reader implements AsyncDisposable {
  readonly #project: ProjectAtFreePorts;
  readonly #home = new TemporaryFolder();
  readonly #denoDir: string;

  private constructor(project: ProjectAtFreePorts, denoDir: string) {
    this.#project = project;
    this.#denoDir = denoDir;
  }

  static async create(): Promise<Reader> {
    // As an installed deno, which has @std from where these tests have it.
    const words = commandLine("asyncio", [], { permissions: ["-P"] });
    const [deno, ...runP] = words.slice(0, -1);
    const info = new Deno.Command(deno!, { args: ["info", "--json"] });
    const { stdout } = await info.output();
    const { denoDir } = JSON.parse(new TextDecoder().decode(stdout));
    const reader = new Reader(await projectAtFreePorts(), denoDir);
    await Deno.mkdir(`${reader.#home.path}/bin`);
    await Deno.writeTextFile(
      `${reader.#home.path}/bin/deno`,
      `#!/bin/sh
[ "$1 $2" != "run -P" ] || { shift 2; set -- ${quoted(runP)} "$@"; }
exec ${quoted([deno!])} "$@"
`,
      { mode: 0o755 },
    );
    await Deno.mkdir(`${reader.#project.path}/docs`);
    await reader.save("docs/primes.ts", await read("primes.ts"));
    return reader;
  }

  /** Save a file, named from the project's folder. */
  save(name: string, text: string): Promise<void> {
    return Deno.writeTextFile(`${this.#project.path}/${name}`, text);
  }

  /** Type a command, in the project's folder or, `elsewhere`, at home. */
  type(command: string, elsewhere = false): Promise<Outcome> {
    const { path: home } = this.#home;
    return outcome(
      new Deno.Command("sh", {
        args: ["-c", command],
        cwd: elsewhere ? home : this.#project.path,
        env: {
          HOME: home,
          PATH: `${home}/bin:${home}/.deno/bin:${Deno.env.get("PATH")}`,
          DENO_DIR: this.#denoDir,
          DENO_INSTALL_ROOT: `${home}/.deno`,
          NO_COLOR: "1",
        },
        stdin: "null",
        stdout: "piped",
        stderr: "piped",
      }).spawn(),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#project[Symbol.asyncDispose]();
    await this.#home[Symbol.asyncDispose]();
  }
}

/** The codes that a verbose run tells of, in its order. */
function codesTold(stdout: string): string[] {
  const lines = stdout.split(/^-{20}$/m)[0]!.trimEnd().split("\n").slice(3);
  return lines.map((line) => line.match(/\b[A-Z]{2}\b/)![0]);
}

function isSilent({ stdout, stderr }: Outcome): void {
  assertEquals(stdout + stderr, "");
}

/** The 78 codes of the chapter, in at least `floor` seconds. */
function takes(floor: number, { stdout }: Outcome): void {
  const { flags, notFound, elapsed } = parseReport(stdout);
  assertEquals([flags, notFound], [43, 35]);
  assert(elapsed > floor - 0.1, stdout);
}

/** What a pool of threads counts. */
function counts(maxWorkers: number, { stdout }: Outcome): void {
  const line = `664579 primes below 10000000 with maxWorkers = ${maxWorkers}`;
  assert(stdout.includes(`\n${line}\n`), stdout);
}

/** A run that BR's folder has stopped, and that accounts for the others. */
function isStopped({ stdout, stderr }: Outcome): void {
  const { flags, notFound, errors, notTried } = parseReport(stdout);
  assertEquals([flags + notFound + notTried, errors], [4, 0]);
  assert(notTried >= 1 && !codesTold(stdout).includes("BR"), stdout);
  assertMatch(stderr, /^\*\*\* downloads\/br\.gif: Is a directory\n$/m);
}

const TOP_10 = "BD BR CD CN DE EG ET FR ID IN".split(" ");

/** What the guides say of a command's exit status, and what to look for. */
const GUIDE: Record<string, [status: number, (outcome: Outcome) => void]> = {
  "deno run -P docs/bar.ts": [0, ({ stdout }) => {
    assertMatch(stdout, /^100%\|█{10}\| 1000\/1000 \[\d\d:\d\d<00:00, .*\]\n$/);
  }],
  "rm docs/bar.ts": [0, isSilent],
  "deno run -P flags2_threadpool.ts -s DELAY -m 10 a b c": [
    0,
    (outcome) => takes(4, outcome),
  ],
  "deno run -P flags2_threadpool.ts -s DELAY -m 30 a b c": [
    0,
    (outcome) => takes(1.5, outcome),
  ],
  "deno run -P flags2_threadpool.ts -s DELAY -m 78 a b c": [
    0,
    (outcome) => takes(0.5, outcome),
  ],
  "deno run -P flags2_asyncio.ts -s ERROR -v -l 10 -m 1": [
    0,
    ({ stdout }) => assertEquals(codesTold(stdout), TOP_10),
  ],
  "deno run -P flags2_asyncio.ts -s ERROR -v -l 10 -m 3": [
    0,
    ({ stdout }) => assertEquals(codesTold(stdout).sort(), TOP_10),
  ],
  "deno run -P flags2_asyncio.ts -s ERROR -v -l 10 -m 10": [
    0,
    ({ stdout }) => assertEquals(codesTold(stdout).sort(), TOP_10),
  ],
  "deno run -P flags2_threadpool.ts -s DELAY -t 0.2 -v br cn": [
    0,
    ({ stdout }) => {
      for (const line of LINES) assert(stdout.includes(`${line}\n`), stdout);
    },
  ],
  "rm -rf downloads/br.gif": [0, isSilent],
  "mkdir -p downloads/br.gif/x": [0, isSilent],
  "deno run -P flags2_threadpool.ts -v br cn us zz": [1, isStopped],
  "deno run -P flags2_sequential.ts -v br cn us zz": [1, isStopped],
  "rm -r downloads/br.gif": [0, isSilent],
  "deno run -P docs/primes.ts 1": [0, (outcome) => counts(1, outcome)],
  "deno run -P docs/primes.ts 2": [0, (outcome) => counts(2, outcome)],
};

/** The lines that experiment 3 says to look for. */
const LINES = blocks(await read("reading-guide.md"), "")[0]!.trim().split("\n");

describe("reading-guide.md", () => {
  it("says how each command ends, and what to look for", async () => {
    const page = await read("reading-guide.md");
    await using reader = await Reader.create();
    await reader.save("docs/bar.ts", program(page));
    assertEquals(commands(page), Object.keys(GUIDE));
    for (const [command, [status, lookAt]] of Object.entries(GUIDE)) {
      const outcome = await reader.type(command);
      const { code, stdout, stderr } = outcome;
      assertEquals(code, status, `${command}\n${stdout}${stderr}`);
      lookAt(outcome);
    }
  });
});

describe("own-script.md", () => {
  it("has a fourth style, in twenty lines", async () => {
    const page = await read("own-script.md");
    const [, style] = program(page).match(/^(const .*?)\n\n/ms)!;
    assert(style!.split("\n").length <= 20);
    await using reader = await Reader.create();
    await reader.save("flags2_batches.ts", program(page));
    for (const command of commands(page).slice(0, 2)) {
      const { code, stdout, stderr } = await reader.type(command);
      assertEquals(code, 0, stderr);
      const { flags, notFound, errors, notTried } = parseReport(stdout);
      assertEquals([flags + errors, notFound, notTried], [194, 0, 0], stdout);
      assert(flags > 0 && errors > 0, stdout);
    }
    const command = "deno run -P flags2_batches.ts -s ERROR -v -l 9 -m 3";
    const { code, stdout } = await reader.type(command);
    assertEquals([code, codesTold(stdout).length], [0, 9], stdout);
    const stopped = "rm -rf downloads; mkdir -p downloads/br.gif/x; " +
      "deno run -P flags2_batches.ts -v br cn us zz";
    const outcome = await reader.type(stopped);
    assertEquals(outcome.code, 1);
    isStopped(outcome);
  });

  const onJsr = STD[0] !== "--frozen";
  const unlessOnJsr = onJsr ? it.skip : it;
  const reason = onJsr ? " (left out: deno.json has @std from npm)" : "";
  unlessOnJsr(
    "installs a script; a link to one does not work" + reason,
    async () => {
      const [, , install, uninstall, link, linked, unlink] = commands(
        await read("own-script.md"),
      );
      await using reader = await Reader.create();
      const typed = async (command: string, elsewhere = false) => {
        const outcome = await reader.type(command, elsewhere);
        assertEquals(outcome.code, 0, outcome.stderr);
        return outcome.stdout;
      };
      await typed(install!);
      const stdout = await typed("flags2_asyncio br zz", true);
      const { flags, notFound } = parseReport(stdout);
      assertEquals([flags, notFound], [1, 1]);
      await typed("test -s downloads/br.gif", true);
      await typed(uninstall!);
      const { code } = await reader.type("flags2_asyncio -h");
      assertEquals(code, 127);
      await typed(link!);
      const { code: status, stderr } = await reader.type(linked!);
      assertEquals(status, 1);
      assertStringIncludes(stderr, 'Import "@std/async/pool" not a dependency');
      await typed(unlink!);
    },
  );
});
