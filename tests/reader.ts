/**
 * What the tests of the pages in docs/ share: what is in a page, and one who
 * reads it and types what it says.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  commandLine,
  type Outcome,
  outcome,
  parseReport,
  type ProjectAtFreePorts,
  projectAtFreePorts,
  quoted,
  ROOT,
  spawn,
  TemporaryFolder,
} from "./testing.ts";

/** A file in docs/. */
export function read(path: string): Promise<string> {
  return Deno.readTextFile(`${ROOT}/docs/${path}`);
}

/** What is in the code blocks of a page that have this after their fence. */
export function blocks(page: string, info: string): string[] {
  return [...page.matchAll(/^```(.*)\n([^]*?)^```$/gm)]
    .filter(([, given]) => given === info).map(([, , text]) => text!);
}

/** The commands of a page, in its order. */
export function commands(page: string): string[] {
  return blocks(page, "sh").join("").trimEnd().split("\n");
}

/** The codes that a verbose run tells of, in its order. */
export function codesTold(stdout: string): string[] {
  const lines = stdout.split(/^-{20}$/m)[0]!.trimEnd().split("\n").slice(3);
  return lines.map((line) => line.match(/\b[A-Z]{2}\b/)![0]);
}

/** A run that BR's folder has stopped, and that accounts for the others. */
export function isStopped({ stdout, stderr }: Outcome): void {
  const { flags, notFound, errors, notTried } = parseReport(stdout);
  assertEquals([flags + notFound + notTried, errors], [4, 0]);
  assert(notTried >= 1 && !codesTold(stdout).includes("BR"), stdout);
  assertMatch(stderr, /^\*\*\* downloads\/br\.gif: .+\n$/m);
}

/** A folder of the scripts, and a home elsewhere: one who types commands. */
export class Reader implements AsyncDisposable {
  readonly #project: ProjectAtFreePorts;
  readonly #home = new TemporaryFolder();
  readonly #denoDir: string;

  private constructor(project: ProjectAtFreePorts, denoDir: string) {
    this.#project = project;
    this.#denoDir = denoDir;
  }

  /** One who has Deno installed, and @std where these tests have it. */
  static async create(): Promise<Reader> {
    const words = commandLine("asyncio", [], { permissions: ["-P"] });
    const [deno, ...runP] = words.slice(0, -1);
    const { stdout } = await outcome(spawn([deno!, "info", "--json"]));
    const { denoDir } = JSON.parse(stdout);
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
    await Deno.mkdir(`${reader.#project.path}/bench`); // TEMP
    await reader.save("bench/plot.d.ts", ""); // TEMP
    await reader.save("docs/primes.ts", await read("primes.ts"));
    return reader;
  }

  /** Save a file, named from the project's folder, where sites are elsewhere. */
  save(name: string, text: string): Promise<void> {
    const { path, ports } = this.#project;
    const there = text.replace(/\b800[123]\b/g, (at) => `${ports[+at - 8001]}`);
    return Deno.writeTextFile(`${path}/${name}`, there);
  }

  /** Type a command, in the project's folder or in one at home. */
  start(command: string, folder?: string): Deno.ChildProcess {
    const { path: home } = this.#home;
    return spawn(["sh", "-c", command], {
      cwd: folder ? `${home}/${folder}` : this.#project.path,
      env: {
        HOME: home,
        PATH: `${home}/bin:${home}/.deno/bin:${Deno.env.get("PATH")}`,
        DENO_DIR: this.#denoDir,
        DENO_INSTALL_ROOT: `${home}/.deno`,
        NO_COLOR: "1",
      },
      signal: AbortSignal.timeout(60_000), // Whatever hangs is killed.
    });
  }

  /** Type a command, and see how it ends. */
  type(command: string, folder?: string): Promise<Outcome> {
    return outcome(this.start(command, folder));
  }

  /** Removes both folders. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#project[Symbol.asyncDispose]();
    await this.#home[Symbol.asyncDispose]();
  }
}
