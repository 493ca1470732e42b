/**
 * The functions and settings that the three flags2 scripts share. The callouts
 * `// (1)` to `// (6)` are those of the chapter's two download functions.
 *
 * @module
 */

import "./lib/version.ts";
import { green, red, yellow } from "@std/fmt/colors";
import { ArgumentParser, number, oneOf, urlOr } from "./lib/argparse.ts";
import { abortOnInterrupt, reportError, SystemExit } from "./lib/exit.ts";
import { prepareFolder, removeTemporary } from "./lib/files.ts";
import { writeAtomically } from "./lib/files.ts";
import { refuseOnThread, type ThreadPoolOptions } from "./lib/futures.ts";
import { isWholeGif } from "./lib/gif.ts";
import { requirePermissions } from "./lib/permissions.ts";
import { ConnectionError, HTTPError } from "./lib/requests.ts";
import { exemptLocalhost, get, type RequestOptions } from "./lib/requests.ts";
import { colored, printLine, showLine } from "./lib/terminal.ts";
import { readCodes, urlOf } from "./site/sites.ts";
import { endSites, ensureSite } from "./site/start.ts";

export { ConnectionError, HTTPError }; // So that a thread's errors regain their class.

/** The twenty most populous countries when the chapter was written. */
export const POP20_CC: string[] =
  "CN IN US ID BR PK NG BD RU JP MX PH VN ET EG DE IR TR CD FR".split(" ");

/** The base URLs of the flags on each server, by the server's label. */
export const SERVERS: Record<string, string> = {
  REMOTE: "http://flupy.org/data/flags",
  LOCAL: urlOf("LOCAL"),
  DELAY: urlOf("DELAY"),
  ERROR: urlOf("ERROR"),
};

/** The server to hit by default. */
export const DEFAULT_SERVER = "LOCAL";

/** The folder for the flags, under the current directory. */
export const DEST_DIR = "downloads";

/** The outcome of a country code. */
export enum HTTPStatus {
  ok = "ok",
  not_found = "not_found", // 404 (RFC 9110, 15.5.5)
  error = "error",
}

/** The result of `downloadOne`; its status is `ok` or `not_found`. */
export type Result = { status: HTTPStatus; cc: string };

/** Python's `Counter`, but with only three fixed keys. */
export class Counter implements Record<HTTPStatus, number> {
  /** All counts start at zero. */
  constructor(public ok = 0, public not_found = 0, public error = 0) {}
}

/** The state that the downloads of a run share. */
export interface Run extends RequestOptions {
  /** Ends the run: after Ctrl-C, or an error that is not a failed request. */
  abort(reason: unknown): void;
  /** Marks the temporary files that a second Ctrl-C removes; empty outside `main`. */
  id: string;
}

function newRun(id = ""): Omit<Run, "restartServer"> {
  const controller = new AbortController();
  const abort = (reason: unknown) => controller.abort(reason);
  return { timeout: 10, id, signal: controller.signal, abort };
}

/** The state of the whole run, not of one country code; each `main` resets it. */
export const run: Run = {
  ...newRun(),
  // Only during `main`, because `main` ends the sites that it starts.
  restartServer: async (url, request) =>
    !!run.id && await ensureSite(url, run.signal, request),
};

/** Initialize a thread: its `run` gets the process's state and a signal of the pool. */
export function joinRun(state: Partial<Run>, signal: AbortSignal): void {
  Object.assign(run, state, { signal });
}

/** Return the options of a pool whose threads download. */
export const threadOptions = (): Omit<ThreadPoolOptions, "maxWorkers"> => ({
  module: import.meta.url,
  signal: run.signal,
  initializer: joinRun,
  initargs: [{ timeout: run.timeout, id: run.id }],
});

/**
 * Fetch one flag; errors are left to the caller.
 *
 * @throws {HTTPError} If the status is not 200.
 * @throws {ConnectionError} If the request fails, or its body is not a whole GIF.
 */
export async function getFlag(
  baseUrl: string,
  cc: string,
): Promise<Uint8Array> {
  const path = `${cc}/${cc}.gif`.toLowerCase();
  const { status, reason, content } = await get(`${baseUrl}/${path}`, run);
  if (status !== 200) throw new HTTPError(status, reason); // (1)
  if (!isWholeGif(content)) throw new ConnectionError("Not a whole GIF image");
  return content;
}

/** Save an image in `DEST_DIR`. The file is written whole or not at all. */
export async function saveFlag(
  image: Uint8Array,
  filename: string,
): Promise<void> {
  if (!run.id) await prepareFolder(DEST_DIR); // Otherwise `main` has done so.
  await writeAtomically(`${DEST_DIR}/${filename}`, image, run.id);
}

/**
 * Download one flag. This function handles 404 and nothing else.
 *
 * @throws {unknown} Any other error of `getFlag` and `saveFlag`.
 */
export async function downloadOne(
  cc: string,
  baseUrl: string,
  verbose = false,
): Promise<Result> {
  let status, message;
  try {
    const image = await getFlag(baseUrl, cc);
    await saveFlag(image, `${cc.toLowerCase()}.gif`);
    status = HTTPStatus.ok;
    message = "OK";
  } catch (error) {
    if (error instanceof HTTPError && error.status === 404) { // (2)
      status = HTTPStatus.not_found; // (3)
      message = "not found";
    } else {
      throw error; // (4)
    }
  }
  const color = status === HTTPStatus.ok ? green : yellow;
  if (verbose) showLine(`${cc} ${colored(color, message)}`); // (5)
  return { status, cc }; // (6)
}

/** Show the line of a verbose run for a code whose request failed. */
export function showError(cc: string, message: string): void {
  showLine(colored(red, `*** Error for ${cc}: ${message}`));
}

/** Format the three lines that announce a run. */
export function initialReport(
  ccList: string[],
  concurReq: number,
  server: string,
): string {
  const baseUrl = SERVERS[server] ?? server;
  const label = SERVERS[server] ? server : new URL(server).host;
  const codes = ccList.length <= 10
    ? ccList.join(", ")
    : `from ${ccList.at(0)} to ${ccList.at(-1)}`;
  return `${label} site: ${baseUrl}
Searching for ${count(ccList.length, "flag")}: ${codes}
${count(concurReq, "concurrent connection")} will be used.`;
}

/** Format the counts of a run that took `elapsed` seconds, in three lines or more. */
export function finalReport(
  counter: Counter,
  notFinished: number,
  elapsed: number,
): string {
  return [
    "-".repeat(20),
    `${count(counter.ok, "flag")} downloaded.`,
    counter.not_found && `${counter.not_found} not found.`,
    counter.error && `${count(counter.error, "error")}.`,
    notFinished && `${notFinished} not finished.`,
    `Elapsed time: ${elapsed.toFixed(2)}s`,
  ].filter(Boolean).join("\n");
}

const count = (n: number, noun: string) => `${n} ${noun}${n === 1 ? "" : "s"}`;

/** Expand the arguments to sorted, unique country codes; a letter means 26 codes. */
export function expandCcArgs(
  everyCc: boolean,
  allCc: boolean,
  ccArgs: string[],
  limit = Infinity,
): string[] {
  const letters = [..."ABCDEFGHIJKLMNOPQRSTUVWXYZ"];
  const given = ccArgs.length > 0 ? ccArgs : POP20_CC;
  const codes = (everyCc ? letters : allCc ? readCodes() : given)
    .map((cc) => cc.toUpperCase())
    .flatMap((cc) => cc[1] ? cc : letters.map((second) => cc + second));
  return [...new Set(codes)].sort().slice(0, limit);
}

function argumentParser(defaultConcurReq: number) {
  const read = (cc: string) => cc.match(/^[A-Z]{1,2}$/i)?.[0];
  const type = number("a whole number >= 1", (n) => n >= 1 && n % 1 === 0);
  const label = oneOf(Object.keys(SERVERS).sort());
  return new ArgumentParser({
    description:
      "Download flags for country codes. Default: top 20 countries by population.",
    positional: {
      metavar: "CC",
      type: { rule: "A to Z or AA to ZZ", read },
      help: "country code or 1st letter (eg. B for BA...BZ)",
    },
  }, {
    all: { flag: "-a", help: "get all available flags (AD to ZW)" },
    every: { flag: "-e", help: "get flags for every possible code (AA...ZZ)" },
    limit: { flag: "-l N", type, help: "limit to N first codes" },
    max_req: {
      flag: "-m CONCURRENT",
      type,
      default: defaultConcurReq,
      help: "maximum concurrent requests (default=%(default)s)",
    },
    server: {
      flag: "-s LABEL",
      type: urlOr(label),
      default: DEFAULT_SERVER,
      help: `Server to hit; ${label.rule}\n(default=%(default)s)\n` +
        "or the base URL of another, http(s)://HOST/PATH",
    },
    timeout: {
      flag: "-t SECONDS",
      type: number("a number > 0 and <= 86400", (n) => n > 0 && n <= 86_400),
      default: 10,
      help: "give up on a request after SECONDS (default=%(default)s)",
    },
    verbose: { flag: "-v", help: "output detailed progress info" },
  });
}

/** The arguments of a command line; `server` is a label or a base URL. */
export type Args = {
  help: boolean;
  ccList: string[];
  maxReq: number;
  server: string;
  timeout: number;
  verbose: boolean;
};

/** Read a command line; an invalid one throws a `UsageError`. */
export function processArgs(args: string[], defaultConcurReq: number): Args {
  const parser = argumentParser(defaultConcurReq);
  const { all, every, limit, max_req: maxReq, _, ...rest } = parser.parse(args);
  return { ...rest, maxReq, ccList: expandCcArgs(every, all, _, limit) };
}

/** A script's style: downloads all flags and counts the outcomes. */
export type DownloadMany = (
  ccList: string[],
  baseUrl: string,
  verbose: boolean,
  concurReq: number,
) => Promise<Counter>;

/** Run a script, from its command line to the report and the exit status. */
export async function main(
  downloadMany: DownloadMany,
  defaultConcurReq: number,
  maxConcurReq: number,
): Promise<void> {
  if (!Deno.mainModule) return void refuseOnThread();
  const { usage, help } = argumentParser(defaultConcurReq);
  const busy = new SystemExit("another main() is running: await each call");
  if (run.id) return reportError(busy, usage);
  Object.assign(run, newRun(crypto.randomUUID().slice(0, 8)));
  try {
    const args = processArgs(Deno.args, defaultConcurReq);
    if (args.help) return printLine(help);
    const { ccList, server, verbose } = args;
    run.timeout = args.timeout;
    exemptLocalhost();
    using _ = abortOnInterrupt(run, () => removeTemporary(DEST_DIR, run.id));
    const baseUrl = SERVERS[server] ?? server;
    const concurReq = Math.min(args.maxReq, maxConcurReq, ccList.length);
    requirePermissions("net", new URL(baseUrl).host);
    requirePermissions("read", import.meta.dirname!, DEST_DIR);
    requirePermissions("write", DEST_DIR);
    await prepareFolder(DEST_DIR);
    printLine(initialReport(ccList, concurReq, server));
    await ensureSite(baseUrl, run.signal);
    const t0 = performance.now();
    const counter = await downloadMany(ccList, baseUrl, verbose, concurReq);
    const elapsed = (performance.now() - t0) / 1000;
    const { ok, not_found, error } = counter;
    const notFinished = ccList.length - (ok + not_found + error);
    printLine(finalReport(counter, notFinished, elapsed));
    if (notFinished) throw new SystemExit("some codes were not counted");
  } catch (error) {
    run.abort(error);
  } finally {
    if (run.signal.aborted) reportError(run.signal.reason, usage);
    Object.assign(run, newRun()); // From now on no site is restarted.
    await endSites();
  }
}
