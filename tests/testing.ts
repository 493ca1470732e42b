/**
 * What the tests share: a free port, a folder of their own, and the scripts as
 * child processes.
 *
 * @module
 */

import { it } from "@std/testing/bdd";

/** The project's folder. */
export const ROOT: string = import.meta.dirname!.replace(/[\\/]tests$/, "");

/** The scripts, without `flags2_` and `.ts`. */
export const SCRIPTS = ["sequential", "threadpool", "asyncio"] as const;

/** One of {@linkcode SCRIPTS}. */
export type Script = typeof SCRIPTS[number];

/** The flags as the sites serve them. */
export const FLAGS = `${ROOT}/flags`;

/** A port of 127.0.0.1 where nobody listens. */
export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

const { success: hasScript } = await new Deno.Command("sh", {
  args: ["-c", "command -v script && script --version"],
  stdout: "null",
  stderr: "null",
}).output();

/** A test in a pseudo-terminal, or one left out, which says so in its name. */
export function itInTerminal(name: string, test: () => Promise<void>): void {
  if (hasScript) it(name, test);
  else it.skip(`${name} (left out: needs util-linux script)`, test);
}

/** A folder that is gone after the test. */
export class TemporaryFolder implements AsyncDisposable {
  /** Where it is. */
  readonly path: string = Deno.makeTempDirSync({ prefix: "flags2_" });

  /**
   * What is in one of its folders, sorted; nothing when the folder is not
   * there.
   */
  async list(folder = "downloads"): Promise<string[]> {
    try {
      const entries = await Array.fromAsync(
        Deno.readDir(`${this.path}/${folder}`),
      );
      return entries.map(({ name }) => name).sort();
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return [];
      throw error;
    }
  }

  /** Removes it, with all that is in it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}

/** A copy of the project with its flags, to run in or to change. */
export async function project(): Promise<TemporaryFolder> {
  const folder = new TemporaryFolder();
  const files = "deno.json deno.lock country_codes.txt lib site flags";
  const { success } = await new Deno.Command("sh", {
    args: ["-c", `cp -r ${files} *.ts "$0"`, folder.path],
    cwd: ROOT,
  }).output();
  if (!success) throw new Error("the project cannot be copied");
  return folder;
}

/** How to run a script. */
export interface RunOptions {
  /** The current directory. */
  cwd: string;
  /** Base URLs in place of those in `SERVERS`: to download from a free port. */
  servers?: Record<string, string>;
  /** Options of `deno run`. */
  permissions?: string[];
  /** Environment variables, beside those of the tests. */
  env?: Record<string, string>;
  /** The folder of the scripts. */
  root?: string;
  /** A program that runs the command line which is appended to these words. */
  within?: string[];
}

/** What a script printed, and its exit status. */
export interface Outcome {
  /** Exit status. */
  code: number;
  /** Standard output. */
  stdout: string;
  /** Standard error. */
  stderr: string;
}

/** The words of the command line that runs a script. */
export function commandLine(
  script: Script,
  args: string[],
  { servers, permissions = ["-A"], root = ROOT }: Omit<RunOptions, "cwd">,
): string[] {
  const common = new URL(`file://${root}/flags2_common.ts`);
  const preload = encodeURIComponent(`import { SERVERS } from "${common}";
Object.assign(SERVERS, ${JSON.stringify(servers)});`);
  return [
    Deno.execPath(),
    "run",
    "--frozen",
    ...servers ? ["--preload", `data:application/javascript,${preload}`] : [],
    ...permissions,
    `${root}/flags2_${script}.ts`,
    ...args,
  ];
}

/** Words as a POSIX shell reads them. */
export function quoted(words: string[]): string {
  return words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
}

/** Start a script as a child process, with pipes for what it prints. */
export function start(
  script: Script,
  args: string[],
  options: RunOptions,
): Deno.ChildProcess {
  const [program, ...words] = [
    ...options.within ?? [],
    ...commandLine(script, args, options),
  ];
  return new Deno.Command(program!, {
    args: words,
    cwd: options.cwd,
    env: options.env ?? {},
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Run a script as a child process, to its end. */
export async function run(
  script: Script,
  args: string[],
  options: RunOptions,
): Promise<Outcome> {
  return await outcome(start(script, args, options));
}

/** Wait for the end of a child process. */
export async function outcome(child: Deno.ChildProcess): Promise<Outcome> {
  const { code, stdout, stderr } = await child.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

/** The numbers of a final report. */
export interface Report {
  /** Flags downloaded. */
  flags: number;
  /** Codes not found. */
  notFound: number;
  /** Errors. */
  errors: number;
  /** Codes not tried. */
  notTried: number;
  /** Seconds. */
  elapsed: number;
}

/** Read a final report. */
export function parseReport(stdout: string): Report {
  const number = (pattern: RegExp) => Number(stdout.match(pattern)?.[1] ?? 0);
  return {
    flags: number(/^(\d+) flags? downloaded\.$/m),
    notFound: number(/^(\d+) not found\.$/m),
    errors: number(/^(\d+) errors?\.$/m),
    notTried: number(/^(\d+) not tried\.$/m),
    elapsed: number(/^Elapsed time: (\d+\.\d\d)s$/m),
  };
}
