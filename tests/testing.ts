/**
 * What the tests share: the scripts as child processes, in a folder of their
 * own, and in a terminal.
 *
 * @module
 */

import { delay } from "@std/async/delay";
import { it } from "@std/testing/bdd";
import { cp } from "node:fs/promises";
import { asCompleted, type Future } from "../lib/futures.ts";
import { startSite } from "../site/start.ts";
import {
  commandLine,
  freePort,
  quoted,
  ROOT,
  type Script,
  type ScriptOptions,
  STD,
  TemporaryFolder,
} from "../bench/scripts.ts";

export * from "../bench/scripts.ts";

/** The flags as the sites serve them. */
export const FLAGS = `${ROOT}/flags`;

/** Whether a program can be run here. */
export async function has(
  program: string,
  ...args: string[]
): Promise<boolean> {
  try {
    const piped = { stdin: "null", stdout: "null", stderr: "null" } as const;
    const command = new Deno.Command(program, { args, ...piped });
    return (await command.output()).success;
  } catch { // There is none of that name.
    return false;
  }
}

/** `it`, or, where a test has not what it needs, one whose name says so. */
export function itIf(
  isThere: boolean,
  needs: string,
): (name: string, test: () => Promise<void>) => void {
  if (isThere) return it;
  return (name, test) => it.skip(`${name} (left out: needs ${needs})`, test);
}

/** Whether this machine has [::1]. */
export const hasIPv6: boolean = (() => {
  try {
    Deno.listen({ hostname: "::1", port: 0 }).close();
    return true;
  } catch {
    return false;
  }
})();

const { os } = Deno.build;

/** A test of what POSIX has: a shell, signals, `/dev`. */
export const itOnPosix = itIf(os !== "windows", "a POSIX system");

/** A test of what Linux has, as `/dev/full`. */
export const itOnLinux = itIf(os === "linux", "Linux");

/** A test in a pseudo-terminal. */
export const itInTerminal = itIf(
  os === "linux" && await has("script", "--version"),
  "util-linux script",
);

/**
 * Call a function until it returns something true, and return that.
 *
 * @throws {Error} After 20 seconds.
 */
export async function eventually<Seen>(
  look: () => Seen | Promise<Seen>,
): Promise<Seen & NonNullable<unknown>> {
  for (const end = performance.now() + 20_000; performance.now() < end;) {
    const seen = await look();
    if (seen) return seen;
    await delay(20);
  }
  throw new Error(`20 seconds have passed without ${look}`);
}

/** Something else in the place of a member, until the block is left. */
export function replaced<Owner, Name extends keyof Owner>(
  owner: Owner,
  name: Name,
  other: unknown,
): Disposable {
  const before = owner[name];
  owner[name] = other as Owner[Name];
  return { [Symbol.dispose]: () => void (owner[name] = before) };
}

/** Code in a page, with what stands after its fence. */
export const FENCED = /^```(.*)\n([^]*?)^```$/gm;

/** What is in the code blocks of a page that have this after their fence. */
export function blocks(page: string, info: string): string[] {
  return [...page.matchAll(FENCED)]
    .filter(([, given]) => given === info).map(([, , block]) => block!);
}

/** Wait for a future that somebody runs, as a reader would. */
export async function resultOf<R>(future: Future<R>): Promise<R> {
  for await (const done of asCompleted([future])) return done.result();
  throw new Error("it was cancelled");
}

/** A copy of the project with its flags, to run in or to change. */
export async function project(): Promise<TemporaryFolder> {
  const folder = new TemporaryFolder();
  const scripts = Deno.readDirSync(ROOT).map(({ name }) => name)
    .filter((name) => name.endsWith(".ts"));
  const files =
    "deno.json deno.lock country_codes.txt tests/std.d.ts lib site flags";
  for (const name of [...files.split(" "), ...scripts]) {
    await cp(`${ROOT}/${name}`, `${folder.path}/${name}`, { recursive: true });
  }
  return folder;
}

/** A copy of the project, with the ports of LOCAL, DELAY and ERROR there. */
type ProjectAtFreePorts = TemporaryFolder & {
  readonly ports: readonly [number, number, number];
};

/**
 * Copy the project, with its sites at free ports, in the permission set, too: a
 * server may be at their own.
 */
export async function projectAtFreePorts(): Promise<ProjectAtFreePorts> {
  const copy = await project();
  const ports = [freePort(), freePort(), freePort()] as const;
  for (const name of ["deno.json", "site/sites.ts"]) {
    const text = await Deno.readTextFile(`${copy.path}/${name}`);
    await Deno.writeTextFile(
      `${copy.path}/${name}`,
      text.replace(/\b800[123]\b/g, (port) => `${ports[+port - 8001]}`),
    );
  }
  return Object.assign(copy, { ports });
}

let shared: Promise<ProjectAtFreePorts> | undefined;

/** One for all tests of a file; they leave it as it is but for `downloads`. */
export function sharedProject(): Promise<ProjectAtFreePorts> {
  return shared ??= projectAtFreePorts().then((copy) => {
    const remove = () => Deno.removeSync(copy.path, { recursive: true });
    addEventListener("unload", remove);
    return copy;
  });
}

/** One of the sites at a free port, on a thread of these tests. */
export async function siteAtFreePort(
  label: string,
): Promise<AsyncDisposable & { url: string }> {
  const port = freePort();
  const site = await startSite(label, port, new AbortController().signal);
  return Object.assign(site!, { url: `http://localhost:${port}/flags` });
}

/** A server of a test's own: at a free port of 127.0.0.1, if not told another. */
export function serve(
  handler: (url: URL) => Response | Promise<Response>,
  options: Partial<Deno.ServeTcpOptions & Deno.TlsCertifiedKeyPem> = {},
): Deno.HttpServer<Deno.NetAddr> & { url: string; requests: URL[] } {
  const requests: URL[] = [];
  const address = { hostname: "127.0.0.1", port: 0, onListen() {} };
  const server = Deno.serve({ ...address, ...options }, (request) => {
    const url = new URL(request.url);
    requests.push(url);
    return handler(url);
  });
  const scheme = options.cert ? "https" : "http";
  const url = `${scheme}://127.0.0.1:${server.addr.port}`;
  return Object.assign(server, { url, requests });
}

/** How long a child process may run. */
interface Limit {
  /** Seconds after which it is killed; by default 30. */
  limit?: number | undefined;
}

/** How to run a script as a child process. */
export interface RunOptions extends ScriptOptions, Limit {
  /** The current directory. */
  cwd: string;
  /** Environment variables, beside those of the tests. */
  env?: Record<string, string>;
  /** A program that runs the command line which is appended to these words. */
  within?: string[];
}

/** The exit status of a program, and what it printed. */
export type Outcome = { code: number; stdout: string; stderr: string };

/**
 * Start a program as a child process, with pipes for what it prints. It is killed
 * after `limit` seconds, so that a program that hangs fails its own test only.
 */
export function spawn(
  [program, ...args]: string[],
  { limit = 30, ...options }: Deno.CommandOptions & Limit = {},
): Deno.ChildProcess {
  const child = new Deno.Command(program!, {
    args,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    ...options,
  }).spawn();
  const timer = setTimeout(() => child.kill("SIGKILL"), 1000 * limit);
  child.status.finally(() => clearTimeout(timer));
  return child;
}

/** Start a script as a child process. */
export function start(
  script: Script,
  args: string[],
  { within = [], cwd, env = {}, limit, ...options }: RunOptions,
): Deno.ChildProcess {
  const words = commandLine(script, args, options);
  return spawn([...within, ...words], { cwd, env, limit });
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

/** What a terminal of some columns gets to see of a shell's commands. */
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

/** What a terminal gets to see of a script. */
export async function terminal(
  script: Script,
  args: string[],
  options: RunOptions & { columns?: number },
): Promise<string> {
  return await terminalOf(quoted(commandLine(script, args, options)), options);
}

/**
 * Run a script that a reader may write beside the others, in a copy of the
 * project, to its end.
 */
export async function runOwn(
  { path }: { path: string },
  program: string,
  args: string[] = [],
  stdin = "",
): Promise<Outcome> {
  await Deno.writeTextFile(`${path}/own.ts`, program);
  const words = ["run", "-A", "--no-check", ...STD, "own.ts", ...args];
  const child = spawn([Deno.execPath(), ...words], {
    cwd: path,
    env: { NO_COLOR: "1" },
    stdin: "piped",
  });
  await new Blob([stdin]).stream().pipeTo(child.stdin).catch(() => {});
  return await outcome(child);
}
