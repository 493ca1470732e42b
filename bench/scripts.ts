/**
 * The scripts as child processes: what the bench and the tests need of them.
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

/** A port of 127.0.0.1 where nobody listens. */
export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** A folder that is gone when its `await using` block is left. */
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

/** How to run a script. */
export interface ScriptOptions {
  /** Base URLs in place of those in `SERVERS`: to download from a free port. */
  servers?: Record<string, string>;
  /** Options of `deno run`. */
  permissions?: string[];
  /** The folder of the scripts. */
  root?: string;
}

/** The words of the command line that runs a script. */
export function commandLine(
  script: Script,
  args: string[],
  { servers, permissions = ["-A"], root = ROOT }: ScriptOptions = {},
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
