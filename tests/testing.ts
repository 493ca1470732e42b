/**
 * What the tests share: the scripts as child processes, in a folder of their
 * own, and in a terminal.
 *
 * @module
 */

import { it } from "@std/testing/bdd";
import { asCompleted, type Future } from "../lib/futures.ts";
import { startSite } from "../site/start.ts";
import {
  commandLine,
  freePort,
  ROOT,
  type Script,
  type ScriptOptions,
  TemporaryFolder,
} from "./scripts.ts";

export {
  commandLine,
  freePort,
  parseReport,
  ROOT,
  type Script,
  SCRIPTS,
  STD,
  TemporaryFolder,
} from "./scripts.ts";

/** The flags as the sites serve them. */
export const FLAGS = `${ROOT}/flags`;

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

/** Wait for a future that somebody runs, as a reader would. */
export async function resultOf<R>(future: Future<R>): Promise<R> {
  for await (const done of asCompleted([future])) return done.result();
  throw new Error("it was cancelled");
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

/** A copy of the project whose sites are at free ports. */
export interface ProjectAtFreePorts extends TemporaryFolder {
  /** Where its sites are: LOCAL, DELAY, ERROR. */
  readonly ports: readonly [number, number, number];
}

/**
 * A copy of the project whose sites are at free ports, in the permission set,
 * too: a server may be at their own.
 */
export async function projectAtFreePorts(): Promise<ProjectAtFreePorts> {
  const copy = await project();
  const ports = [freePort(), freePort(), freePort()] as const;
  for (const folder of [copy.path, `${copy.path}/site`]) {
    for await (const { name } of Deno.readDir(folder)) {
      if (!/\.(ts|json)$/.test(name)) continue;
      const text = await Deno.readTextFile(`${folder}/${name}`);
      await Deno.writeTextFile(
        `${folder}/${name}`,
        text.replace(/\b800[123]\b/g, (port) => `${ports[+port - 8001]}`),
      );
    }
  }
  return Object.assign(copy, { ports });
}

/** One of the sites at a free port, on a thread of these tests. */
export async function siteAtFreePort(
  label: string,
): Promise<AsyncDisposable & { url: string }> {
  const port = freePort();
  const { signal } = new AbortController();
  const site = (await startSite(label, port, signal))!;
  return {
    url: `http://localhost:${port}/flags`,
    [Symbol.asyncDispose]: () => site[Symbol.asyncDispose](),
  };
}

/** How to run a script as a child process. */
export interface RunOptions extends ScriptOptions {
  /** The current directory. */
  cwd: string;
  /** Environment variables, beside those of the tests. */
  env?: Record<string, string>;
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
