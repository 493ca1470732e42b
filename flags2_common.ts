/**
 * What the three flags2 scripts share: the command line, the download of one
 * flag, the two reports, and `main`, which each script ends with. The numbers
 * `// (1)` to `// (6)` are those of the chapter's two download functions.
 *
 * @module
 */

import { green, red, yellow } from "@std/fmt/colors";
import countryCodes from "./country_codes.txt" with { type: "text" };
import {
  parseNumber,
  parseOptions,
  quote,
  UsageError,
} from "./lib/argparse.ts";
import { abortOnInterrupt, reportError } from "./lib/exit.ts";
import { requirePermissions } from "./lib/permissions.ts";

/** The twenty most populous countries when the chapter was written. */
export const POP20_CC: string[] =
  "CN IN US ID BR PK NG BD RU JP MX PH VN ET EG DE IR TR CD FR".split(" ");

/** Label of a site, as in `--server LABEL`. */
export type Label = "REMOTE" | "LOCAL" | "DELAY" | "ERROR";

/** The sites and their base URLs. */
export const SERVERS: Record<Label, string> = {
  REMOTE: "http://flupy.org/data/flags",
  LOCAL: "http://localhost:8001/flags",
  DELAY: "http://localhost:8002/flags",
  ERROR: "http://localhost:8003/flags",
};

/** The site that is hit when the command line names none. */
export const DEFAULT_SERVER: Label = "LOCAL";

/** The folder for the flags, under the current directory. */
export const DEST_DIR = "downloads";

/**
 * What a download may do on a thread of its own, and no more: reach the sites
 * that the script may reach (a redirect may lead to another), read the code,
 * and write the flags.
 */
export const DOWNLOAD_PERMISSIONS: {
  net: "inherit";
  read: string[];
  write: string[];
} = {
  net: "inherit",
  read: [import.meta.dirname!, DEST_DIR],
  write: [DEST_DIR],
};

/**
 * What a file's name ends with until it is whole; no other process has the
 * same.
 */
const TEMPORARY = `.${Deno.pid}.tmp`;

/** The content codings that `fetch` undoes; it hands out others as they are. */
const DECODED = /^(identity|gzip|br)$/i;

/** How the download of one code ended: callouts (3) and (6). */
export enum HTTPStatus {
  /** 200, and the flag is saved. */
  ok = "ok",
  /** 404 Not Found (RFC 9110, 15.5.5). */
  not_found = "not_found",
  /** Any other failed request. */
  error = "error",
}

/** What {@linkcode downloadOne} returns: how it ended, and for which code. */
export interface Result {
  /** `ok` or `not_found`. */
  status: HTTPStatus;
  /** The country code. */
  cc: string;
}

/**
 * Python's `Counter`, with the three keys that it has here: callouts (1), (10)
 * and (12) of the sequential script.
 *
 * @example
 * ```ts
 * import { Counter, HTTPStatus } from "./flags2_common.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const counter = new Counter();
 * counter[HTTPStatus.not_found] += 1;
 * assertEquals({ ...counter }, { ok: 0, not_found: 1, error: 0 });
 * ```
 */
export class Counter implements Record<HTTPStatus, number> {
  /** Flags that were saved. */
  ok = 0;
  /** Codes without a flag. */
  not_found = 0;
  /** Requests that failed. */
  error = 0;
}

/**
 * A request that failed; its message says how, in words for a reader. What
 * `downloadMany` counts as an error: callouts (6) and (7) of the sequential
 * script. Any other error ends the run.
 */
export class RequestError extends Error {
  /** Its name in a stack trace. */
  override name = "RequestError";
}

/**
 * An answer other than 200 OK (RFC 9110, 15.3.1), after redirects: callout (1).
 */
export class HTTPError extends RequestError {
  /** Its name in a stack trace. */
  override name = "HTTPError";

  /**
   * The message is made of both: `HTTP error 503 - Service Unavailable`.
   *
   * @param status The status code of the answer.
   * @param reason Its reason phrase.
   */
  constructor(readonly status: number, reason: string) {
    super(`HTTP error ${status}` + (reason && ` - ${reason}`));
  }
}

/**
 * Fetch one flag. It handles no status: any but 200 is thrown, callout (1).
 *
 * @param baseUrl The site.
 * @param cc A country code, in any case.
 * @param timeout Seconds until the request is given up, headers and body.
 * @param signal Gives up the request at once.
 * @returns The whole image, as a GIF.
 * @throws {HTTPError} On any answer but 200, after redirects.
 * @throws {RequestError} When there is no whole answer in time.
 */
export async function getFlag(
  baseUrl: string,
  cc: string,
  timeout: number,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const url = `${baseUrl}/${cc}/${cc}.gif`.toLowerCase();
  const timer = AbortSignal.timeout(1000 * timeout);
  try {
    const response = await fetch(url, {
      signal: AbortSignal.any([timer, signal]),
    });
    const { status, statusText, headers } = response;
    const coding = headers.get("content-encoding") ?? "identity";
    if (status === 200 && DECODED.test(coding)) return await response.bytes();
    await response.body?.cancel();
    if (status !== 200) throw new HTTPError(status, statusText); // (1)
    throw new RequestError(`Unknown content coding: ${quote(coding)}`);
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof RequestError) throw error;
    if (timer.aborted) throw new RequestError(`Timed out after ${timeout} s`);
    throw new RequestError(`Connection error: ${reason(error)}`);
  }
}

/**
 * Why `fetch` failed, less the addresses and the layers that it names first.
 */
function reason(error: unknown): string {
  const { message, cause } = error as Error;
  return (cause instanceof Error ? cause.message : message)
    .replace(/^.*client error \(\w+\): |^Fetch failed: /, "")
    .replace(/ \(os error \d+\)$/, "")
    .replace(/^Invalid URL: .*/s, "redirect to an invalid URL")
    .replace(/^error reading a body from connection$/, "incomplete body");
}

/**
 * Save an image in {@linkcode DEST_DIR}, whole or not at all: under a temporary
 * name first.
 *
 * @param image The image.
 * @param filename Its name in the folder.
 * @throws {Error} When the disk does not take it.
 */
export async function saveFlag(
  image: Uint8Array,
  filename: string,
): Promise<void> {
  const path = `${DEST_DIR}/${filename}`;
  const temporary = path + TEMPORARY;
  try {
    await Deno.writeFile(temporary, image);
    await Deno.rename(temporary, path);
  } catch (error) {
    await Deno.remove(temporary).catch(() => {});
    throw error;
  }
}

/**
 * Download one flag. It handles 404 and nothing else: callouts (2) to (6).
 *
 * @param cc A country code, in upper case.
 * @param baseUrl The site.
 * @param verbose Print a line when it is done.
 * @param timeout Seconds until the request is given up.
 * @param signal Gives up the request at once.
 * @returns How it ended: `ok` or `not_found`.
 * @throws {RequestError} When the request fails in any other way.
 */
export async function downloadOne(
  cc: string,
  baseUrl: string,
  verbose: boolean,
  timeout: number,
  signal: AbortSignal,
): Promise<Result> {
  let status: HTTPStatus;
  let message: string;
  try {
    const image = await getFlag(baseUrl, cc, timeout, signal);
    await saveFlag(image, `${cc.toLowerCase()}.gif`);
    status = HTTPStatus.ok;
    message = colored(green, "OK");
  } catch (error) { // (2)
    // (4)
    if (!(error instanceof HTTPError && error.status === 404)) throw error;
    status = HTTPStatus.not_found; // (3)
    message = colored(yellow, "not found");
  }
  if (verbose) console.log(`${cc} ${message}`); // (5)
  return { status, cc }; // (6)
}

/**
 * The line of a verbose run for a code whose request failed: callout (11) of
 * the sequential script.
 *
 * @param cc The country code.
 * @param error What `downloadOne` threw for it.
 * @returns One line, red on a terminal.
 */
export function errorLine(cc: string, error: RequestError): string {
  return colored(red, `*** Error for ${cc}: ${error.message}`);
}

const STDOUT_IS_TERMINAL = Deno.stdout.isTerminal();

/**
 * Text in colour, on a terminal alone; std leaves the colour out under
 * NO_COLOR.
 */
function colored(color: (text: string) => string, text: string): string {
  return STDOUT_IS_TERMINAL ? color(text) : text;
}

/**
 * What a run is about to do.
 *
 * @param ccList The codes.
 * @param concurReq Most requests at a time.
 * @param server Label of the site.
 * @returns Three lines.
 */
export function initialReport(
  ccList: string[],
  concurReq: number,
  server: Label,
): string {
  const codes = ccList.length <= 10
    ? ccList.join(", ")
    : `from ${ccList.at(0)} to ${ccList.at(-1)}`;
  return [
    `${server} site: ${SERVERS[server]}`,
    `Searching for ${count(ccList.length, "flag")}: ${codes}`,
    `${count(concurReq, "concurrent connection")} will be used.`,
  ].join("\n");
}

/**
 * What became of a run.
 *
 * @param counter The codes that are done.
 * @param notTried The codes that were left out, or given up before they were
 *   done.
 * @param elapsed Seconds.
 * @returns Three lines or more.
 */
export function finalReport(
  counter: Counter,
  notTried: number,
  elapsed: number,
): string {
  return [
    "-".repeat(20),
    `${count(counter.ok, "flag")} downloaded.`,
    counter.not_found && `${counter.not_found} not found.`,
    counter.error && `${count(counter.error, "error")}.`,
    notTried && `${notTried} not tried.`,
    `Elapsed time: ${elapsed.toFixed(2)}s`,
  ].filter(Boolean).join("\n");
}

/** `1 flag`, `2 flags`. */
function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? "" : "s"}`;
}

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ".split("");

/**
 * The codes that a command line asks for.
 *
 * @example
 * ```ts
 * import { expandCcArgs } from "./flags2_common.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(expandCcArgs(false, false, ["us", "b"], 2), ["BA", "BB"]);
 * assertEquals(expandCcArgs(false, true, []).length, 194);
 * ```
 *
 * @param everyCc All 676 codes, AA to ZZ.
 * @param allCc All 194 codes that have a flag.
 * @param ccArgs Codes and first letters, in any case; none for the top 20.
 * @param limit How many codes at most.
 * @returns Codes in upper case, each once, in alphabetical order.
 * @throws {UsageError} When a word is neither a code nor a letter.
 */
export function expandCcArgs(
  everyCc: boolean,
  allCc: boolean,
  ccArgs: string[],
  limit = Infinity,
): string[] {
  const starting = (letter: string) => LETTERS.map((second) => letter + second);
  const bad = ccArgs.find((cc) => !/^[A-Z]{1,2}$/i.test(cc));
  if (bad !== undefined) {
    throw new UsageError(`CC must be A to Z or AA to ZZ, not ${quote(bad)}`);
  }
  const given = ccArgs.map((cc) => cc.toUpperCase())
    .flatMap((cc) => cc.length === 1 ? starting(cc) : cc);
  const codes = everyCc
    ? LETTERS.flatMap(starting)
    : allCc
    ? countryCodes.trim().split(/\s+/)
    : given.length > 0
    ? given
    : POP20_CC;
  return [...new Set(codes)].sort().slice(0, limit);
}

/** What a command line asks for. */
export interface Args {
  /** Show the help and do nothing else. */
  help: boolean;
  /** The codes, sorted. */
  ccList: string[];
  /** Most requests at a time, before the script's own bound. */
  maxReq: number;
  /** The site. */
  server: Label;
  /** Seconds until a request is given up. */
  timeout: number;
  /** A line for each code in place of the bar. */
  verbose: boolean;
}

/**
 * Read a command line.
 *
 * @param args Its words.
 * @param defaultConcurReq What `--max_req` is by default.
 * @returns What it asks for.
 * @throws {UsageError} When it cannot be understood, or is out of bounds.
 */
export function processArgs(args: string[], defaultConcurReq: number): Args {
  const { help, every, all, verbose, _: ccArgs, ...given } = parseOptions(
    args,
    { help: "h", all: "a", every: "e", verbose: "v" },
    {
      limit: ["l", "N"],
      max_req: ["m", "CONCURRENT"],
      server: ["s", "LABEL"],
      timeout: ["t", "SECONDS"],
    },
  );
  const atLeastOne = { whole: true, min: 1 };
  const limit = given.limit &&
    parseNumber("--limit N", given.limit, atLeastOne);
  const maxReq = given.max_req &&
    parseNumber("--max_req CONCURRENT", given.max_req, atLeastOne);
  const timeout = given.timeout &&
    parseNumber("--timeout SECONDS", given.timeout, { above: 0, max: 86_400 });
  const server = (given.server ?? DEFAULT_SERVER).toUpperCase();
  if (!Object.hasOwn(SERVERS, server)) {
    const labels = Object.keys(SERVERS).sort().join(", ");
    throw new UsageError(
      `--server LABEL must be one of ${labels}, not ${quote(given.server!)}`,
    );
  }
  return {
    help,
    ccList: expandCcArgs(every, all, ccArgs, limit || undefined),
    maxReq: maxReq || defaultConcurReq,
    server: server as Label,
    timeout: timeout || 10,
    verbose,
  };
}

function usage(prog: string): string {
  return `usage: ${prog} [-h] [-a] [-e] [-l N] [-m CONCURRENT] [-s LABEL] [-t SECONDS] [-v] [CC ...]`;
}

function help(prog: string, defaultConcurReq: number): string {
  return `${usage(prog)}

Download flags for country codes. Default: top 20 countries by population.

positional arguments:
  CC                    country code or 1st letter (eg. B for BA...BZ)

options:
  -h, --help            show this help message and exit
  -a, --all             get all available flags (AD to ZW)
  -e, --every           get flags for every possible code (AA...ZZ)
  -l N, --limit N       limit to N first codes
  -m CONCURRENT, --max_req CONCURRENT
                        maximum concurrent requests (default=${defaultConcurReq})
  -s LABEL, --server LABEL
                        Server to hit; one of DELAY, ERROR, LOCAL, REMOTE
                        (default=LOCAL)
  -t SECONDS, --timeout SECONDS
                        give up on a request after SECONDS (default=10)
  -v, --verbose         output detailed progress info`;
}

/**
 * The part of a script that is its own style: download all flags, count how
 * each ended.
 *
 * @param ccList The codes.
 * @param baseUrl The site.
 * @param verbose Print a line for each code in place of the bar.
 * @param concurReq Most requests at a time.
 * @param timeout Seconds until a request is given up.
 * @param run Its signal gives up the run; a failure that is no request's aborts
 *   it.
 * @returns The count: all codes, unless `run` was aborted.
 */
export type DownloadMany = (
  ccList: string[],
  baseUrl: string,
  verbose: boolean,
  concurReq: number,
  timeout: number,
  run: AbortController,
) => Promise<Counter>;

/**
 * Run a script: read the command line, start the site if need be, download,
 * report, and set the exit status.
 *
 * @param downloadMany The script's style.
 * @param defaultConcurReq Most requests at a time when the command line does
 *   not say.
 * @param maxConcurReq Most requests at a time, whatever the command line says.
 */
export async function main(
  downloadMany: DownloadMany,
  defaultConcurReq: number,
  maxConcurReq: number,
): Promise<void> {
  const prog = decodeURIComponent(Deno.mainModule.replace(/^.*\//, ""));
  const run = new AbortController();
  using _ = abortOnInterrupt(run, removeTemporary);
  try {
    const args = processArgs(Deno.args, defaultConcurReq);
    if (args.help) console.log(help(prog, defaultConcurReq));
    else await downloadAndReport(downloadMany, args, maxConcurReq, run);
  } catch (error) {
    run.abort(error);
  }
  if (run.signal.aborted) reportError(run.signal.reason, usage(prog));
}

/** The run between the two reports; the second one stands, whatever happens. */
async function downloadAndReport(
  downloadMany: DownloadMany,
  { ccList, maxReq, server, timeout, verbose }: Args,
  maxConcurReq: number,
  run: AbortController,
): Promise<void> {
  const baseUrl = SERVERS[server];
  const concurReq = Math.min(maxReq, maxConcurReq, ccList.length);
  console.log(initialReport(ccList, concurReq, server));
  let counter = new Counter();
  let t0 = performance.now();
  try {
    const net = [new URL(baseUrl).host];
    requirePermissions({ ...DOWNLOAD_PERMISSIONS, net });
    await Deno.mkdir(DEST_DIR, { recursive: true });
    await using _site = await siteFor(server, run.signal);
    t0 = performance.now();
    counter = await downloadMany(
      ccList,
      baseUrl,
      verbose,
      concurReq,
      timeout,
      run,
    );
  } catch (error) {
    run.abort(error);
  }
  const elapsed = (performance.now() - t0) / 1000;
  const done = counter.ok + counter.not_found + counter.error;
  const notTried = ccList.length - done;
  console.log(finalReport(counter, notTried, elapsed));
  if (notTried !== 0) {
    run.abort(new Error("some downloads are unaccounted for"));
  }
}

/** The site on a thread of its own, unless a server answers there. */
async function siteFor(
  server: Label,
  signal: AbortSignal,
): Promise<AsyncDisposable | undefined> {
  if (server === "REMOTE") return;
  const { hostname, port } = new URL(SERVERS[server]);
  try {
    (await Deno.connect({ hostname, port: Number(port) })).close();
  } catch {
    const { startSite } = await import("./site/serve.ts");
    const site = await startSite(server, Number(port), signal);
    if (site) console.error(`Started the ${server} site for this run.`);
    return site;
  }
}

/** What a save in progress leaves behind when the process ends at once. */
function removeTemporary(): void {
  for (const { name } of Deno.readDirSync(DEST_DIR)) {
    if (name.endsWith(TEMPORARY)) Deno.removeSync(`${DEST_DIR}/${name}`);
  }
}
