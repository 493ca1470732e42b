/**
 * Command lines and reports of the scripts, for the tests and the bench.
 *
 * @module
 */

export const ROOT: string = import.meta.dirname!.replace(/[\\/]bench$/, "");

/** The scripts, without `flags2_` and `.ts`. */
export const SCRIPTS = ["sequential", "threadpool", "asyncio"] as const;

/** One of {@linkcode SCRIPTS}. */
export type Script = typeof SCRIPTS[number];

/** The ports that `freePort` has found, and the number that it has returned. */
const found: number[] = [];
let returned = 0;

/**
 * Return a port of 127.0.0.1 on which no program listens, a different one each time.
 * Ports are random so that other copies of the project can run at the same time.
 * Ports up to 10080 may be refused by `fetch`, and those from 32768 may be given to
 * outgoing connections.
 */
export function freePort(): number {
  // A child process may hold a port until its program starts, so the function finds
  // each port ten calls before it returns the port.
  while (found.length < returned + 10) {
    const port = 11_000 + Math.floor(19_000 * Math.random());
    if (found.includes(port)) continue;
    try {
      Deno.listen({ hostname: "127.0.0.1", port }).close();
      found.push(port);
    } catch (error) { // Windows reserves some ports for itself.
      const { AddrInUse, PermissionDenied } = Deno.errors;
      if (error instanceof AddrInUse) continue;
      if (!(error instanceof PermissionDenied)) throw error;
    }
  }
  return found[returned++]!;
}

/** Replace the ports of the three sites in a text. */
export function withPorts(text: string, ports: readonly number[]): string {
  return text.replace(/\b800[123]\b/g, (port) => `${ports[+port - 8001]}`);
}

/** A folder that is removed at the end of its `await using` block. */
export class TemporaryFolder implements AsyncDisposable {
  readonly path: string = Deno.makeTempDirSync({ prefix: "flags2_" });

  /** Return the sorted names in a folder, or nothing if it does not exist. */
  async list(folder = "downloads"): Promise<string[]> {
    try {
      const entries = Deno.readDir(`${this.path}/${folder}`);
      return (await Array.fromAsync(entries, ({ name }) => name)).sort();
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return [];
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}

/** The host of @std: JSR or a mirror of it; empty for npm. */
const { host } = new URL(import.meta.resolve("@std/async/pool"));

/** Options of `deno run` with which a script imports @std from the same host. */
export const STD: string[] = host
  ? [`--import-map=${ROOT}/imports.jsr.json`, "--no-lock"]
  : ["--frozen"];

/** An option of `deno run`, because `-P` does not allow imports from a mirror. */
const MIRROR = host && host !== "jsr.io" ? [`--allow-import=${host}`] : [];

/** Options of the command line of a script. */
export interface ScriptOptions {
  /** Options of `deno run`. */
  permissions?: string[];
  /** The folder of the scripts. */
  root?: string;
}

/** Return the words of the command line that runs a script. */
export function commandLine(
  script: Script,
  args: string[],
  { permissions = ["-A"], root = ROOT }: ScriptOptions = {},
): string[] {
  const mirror = permissions.includes("-P") ? MIRROR : [];
  return [Deno.execPath(), "run", ...STD, ...permissions]
    .concat(mirror, `${root}/flags2_${script}.ts`, args);
}

/** Quote words for a POSIX shell. */
export function shellQuote(words: string[]): string {
  return words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
}

/** The numbers of a final report; the elapsed time is in seconds. */
export interface Report {
  flags: number;
  notFound: number;
  errors: number;
  notFinished: number;
  elapsed: number;
}

/**
 * Read a final report.
 *
 * @throws {Error} If the text contains no report.
 */
export function parseReport(stdout: string): Report {
  const [, report = ""] = stdout.split(/^-{20}$/m);
  if (!/^\d+ flags? downloaded\.$[^]*^Elapsed time: \d/m.test(report)) {
    throw new Error(`no report in ${JSON.stringify(stdout)}`);
  }
  const number = (pattern: RegExp) => Number(report.match(pattern)?.[1] ?? 0);
  return {
    flags: number(/^(\d+) flags? downloaded\.$/m),
    notFound: number(/^(\d+) not found\.$/m),
    errors: number(/^(\d+) errors?\.$/m),
    notFinished: number(/^(\d+) not finished\.$/m),
    elapsed: number(/^Elapsed time: (\d+\.\d\d)s$/m),
  };
}
