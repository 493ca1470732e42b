/**
 * The scripts as child processes: what the tests and the bench need of them.
 * Importing it does nothing.
 *
 * @module
 */

/** The project's folder. */
export const ROOT: string = import.meta.dirname!.replace(/[\\/]bench$/, "");

/** The scripts, without `flags2_` and `.ts`. */
export const SCRIPTS = ["sequential", "threadpool", "asyncio"] as const;

/** One of {@linkcode SCRIPTS}. */
export type Script = typeof SCRIPTS[number];

/** The ports that `freePort` has found, and how many of them it has returned. */
const found: number[] = [];
let returned = 0;

/**
 * Return a port of 127.0.0.1 on which no program listens, another one each time.
 * It is a random one, so that other checkouts can run at the same time. It is
 * above 10080, which `fetch` refuses, and below the ports that the system gives
 * to outgoing connections.
 */
export function freePort(): number {
  // A child process that is just starting may still hold the last ports found.
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

/** A folder that is gone when its `await using` block is left. */
export class TemporaryFolder implements AsyncDisposable {
  /** Where it is. */
  readonly path: string = Deno.makeTempDirSync({ prefix: "flags2_" });

  /** What is in one of its folders, sorted; nothing when that is not there. */
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

/** Where this code has @std from: JSR or a mirror of it; npm has no host. */
const { host } = new URL(import.meta.resolve("@std/async/pool"));

/** Options of `deno run` that take @std from there, too. */
export const STD: string[] = host
  ? [`--import-map=${ROOT}/imports.jsr.json`, "--no-lock"]
  : ["--frozen"];

/** `-P` imports from no mirror. */
const MIRROR = host && host !== "jsr.io" ? [`--allow-import=${host}`] : [];

/** How to run a script. */
export interface ScriptOptions {
  /** Options of `deno run`. */
  permissions?: string[];
  /** The folder of the scripts. */
  root?: string;
}

/** The words of the command line that runs a script. */
export function commandLine(
  script: Script,
  args: string[],
  { permissions = ["-A"], root = ROOT }: ScriptOptions = {},
): string[] {
  return [
    Deno.execPath(),
    "run",
    ...STD,
    ...permissions,
    ...permissions.includes("-P") ? MIRROR : [],
    `${root}/flags2_${script}.ts`,
    ...args,
  ];
}

/** Words as a POSIX shell reads them. */
export function shellQuote(words: string[]): string {
  return words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
}

/** The numbers of a final report. */
export interface Report {
  /** Flags downloaded. */
  flags: number;
  /** Codes not found. */
  notFound: number;
  /** Errors. */
  errors: number;
  /** Codes not finished. */
  notFinished: number;
  /** Seconds. */
  elapsed: number;
}

/**
 * Read a final report.
 *
 * @throws {Error} When there is none.
 */
export function parseReport(stdout: string): Report {
  const [, report] = stdout.split(/^-{20}$/m);
  const number = (pattern: RegExp) => {
    const [, digits] = report?.match(pattern) ?? [];
    return digits === undefined ? undefined : Number(digits);
  };
  const flags = number(/^(\d+) flags? downloaded\.$/m);
  const elapsed = number(/^Elapsed time: (\d+\.\d\d)s$/m);
  if (flags === undefined || elapsed === undefined) {
    throw new Error(`no report in ${JSON.stringify(stdout)}`);
  }
  return {
    flags,
    notFound: number(/^(\d+) not found\.$/m) ?? 0,
    errors: number(/^(\d+) errors?\.$/m) ?? 0,
    notFinished: number(/^(\d+) not finished\.$/m) ?? 0,
    elapsed,
  };
}
