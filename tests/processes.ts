/**
 * Programs as child processes, with or without a terminal.
 *
 * @module
 */

import {
  commandLine,
  parseReport,
  type Report,
  type Script,
  type ScriptOptions,
  shellQuote,
  STD,
  TemporaryFolder,
} from "../bench/scripts.ts";

interface Limit {
  /** Seconds after which a child process is killed; by default 30. */
  limit?: number | undefined;
}

/** Options of a script that runs as a child process. */
export interface RunOptions extends ScriptOptions, Limit {
  cwd: string;
  /** Environment variables, in addition to those of the tests. */
  env?: Record<string, string>;
  /** A program that runs the command line that is appended to these words. */
  within?: readonly string[];
}

/** The exit status, the output and the final report of a program. */
export interface Outcome {
  code: number;
  stdout: string;
  stderr: string;
  readonly report: Report;
}

/**
 * Start a program as a child process with pipes for its output. The program is
 * killed after `limit` seconds, so that a hang fails only its own test.
 */
export function spawn(
  [program, ...args]: string[],
  { limit = 30, ...options }: Deno.CommandOptions & Limit = {},
): Deno.ChildProcess {
  const piped = { stdin: "null", stdout: "piped", stderr: "piped" } as const;
  const command = new Deno.Command(program!, { args, ...piped, ...options });
  const child = command.spawn();
  const timer = setTimeout(() => child.kill("SIGKILL"), 1000 * limit);
  child.status.finally(() => clearTimeout(timer));
  return child;
}

export function start(
  script: Script,
  args: string[],
  { within = [], cwd, env = {}, limit, ...options }: RunOptions,
): Deno.ChildProcess {
  const words = commandLine(script, args, options);
  return spawn([...within, ...words], { cwd, env, limit });
}

/**
 * Run a script to its end; by default in a folder of its own. `args` may be a text
 * to split at spaces, and `saved` are the names in `downloads` of that folder.
 */
export async function runScript(
  script: Script,
  args: string | string[],
  options: Partial<RunOptions> = {},
): Promise<Outcome & { saved: string[] }> {
  await using folder = new TemporaryFolder();
  const words = typeof args === "string" ? args.split(" ") : args;
  const child = start(script, words, { cwd: folder.path, ...options });
  return Object.assign(await outcome(child), { saved: await folder.list() });
}

export async function outcome(child: Deno.ChildProcess): Promise<Outcome> {
  const output = await child.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  const [stdout, stderr] = [text(output.stdout), text(output.stderr)];
  return {
    code: output.code,
    stdout,
    stderr,
    get report() {
      return parseReport(stdout);
    },
  };
}

/** Run shell commands in a terminal of some columns, and return its output. */
export async function terminalOf(
  commands: string,
  { cwd, env = {}, columns = 60 }: RunOptions & { columns?: number },
): Promise<string> {
  const unset = env["NO_COLOR"] ? "" : "unset NO_COLOR; ";
  const line = `${unset}stty cols ${columns}; ${commands}`;
  const words = ["script", "-qec", line, "/dev/null"];
  const { stdout } = await outcome(spawn(words, { cwd, env }));
  return stdout.replaceAll("\r\n", "\n");
}

/** Run a script in a terminal, and return the terminal's output. */
export async function terminal(
  script: Script,
  args: string[],
  options: RunOptions & { columns?: number },
): Promise<string> {
  const words = commandLine(script, args, options);
  return await terminalOf(shellQuote(words), options);
}

/** Run a reader's own script in a copy of the project, and wait for its end. */
export async function runOwn(
  { path }: { path: string },
  program: string,
  args: string[] = [],
  stdin = "",
): Promise<Outcome> {
  await Deno.writeTextFile(`${path}/own.ts`, program);
  const words = ["run", "-A", "--no-check", ...STD, "own.ts", ...args];
  const options = {
    cwd: path,
    env: { NO_COLOR: "1" },
    stdin: "piped",
  } as const;
  const child = spawn([Deno.execPath(), ...words], options);
  await new Blob([stdin]).stream().pipeTo(child.stdin).catch(() => {});
  return await outcome(child);
}
