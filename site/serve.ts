#!/usr/bin/env -S deno run -P
/**
 * The LOCAL, DELAY and ERROR sites of the chapter, which answer at once, late, or
 * sometimes with an error. They listen on 127.0.0.1 and [::1] only.
 *
 * Run this file to serve until Ctrl-C. A script that does not find a server starts the
 * site for its run.
 *
 * @module
 */

import "../lib/version.ts";
import { delay } from "@std/async/delay";
import { ArgumentParser, number, oneOf } from "../lib/argparse.ts";
import { abortOnInterrupt, reportError } from "../lib/exit.ts";
import { printLine, showLine } from "../lib/terminal.ts";
import { answerFile, answerStatus } from "./answers.ts";
import { Live } from "./live.ts";
import { answerPage, describe } from "./page.ts";
import { FLAGS, readCodes, type Site, SITES, urlOf } from "./sites.ts";

const ERRORS = [500, 501, 502, 503];
const FLAG = /^\/flags\/(([a-z]{2})\/(?:\2\.gif|metadata\.json))(?:\?|$)/;

/** Milliseconds for the clients of a site to read their last answers. */
const PATIENCE = 500;

const servers: Promise<void>[] = [];
let threadSignal: AbortSignal = new AbortController().signal;

/** Initialize a thread: its signal ends its sites. */
export function endWith(signal: AbortSignal): void {
  threadSignal = signal;
}

/**
 * Serve a site on this thread at 127.0.0.1 and, if the machine has it, at [::1].
 *
 * @param site The shares of answers, and the port.
 * @param signal Ends the site.
 * @throws {Deno.errors.AddrInUse} If the port is in use.
 * @throws {Deno.errors.PermissionDenied} If Windows reserves the port.
 */
export function serveSite(site: Site, signal = threadSignal): void {
  const { port } = site;
  const live = new Live(describe(site));
  const respond = (path: string, name?: string) => {
    const { errorShare, lateShare } = site;
    const chance = draw(path, site.seed);
    const error = ERRORS[Math.floor(chance / errorShare * ERRORS.length)];
    if (error) return answerStatus(error);
    const answer = () => name ? answerFile(FLAGS, name) : answerStatus(404);
    if (chance >= errorShare + lateShare) return answer();
    // A site that is shutting down does not wait before it answers.
    return delay(1000 * site.delay, { signal }).catch(() => {}).then(answer);
  };
  const handler = async (request: Request): Promise<Response> => {
    const { method, url } = request;
    if (method !== "GET" && method !== "HEAD") {
      return answerStatus(405, { allow: "GET, HEAD" });
    }
    const path = url.replace(/^\w+:\/\/[^/?]*/, "");
    const [, name, cc] = path.match(FLAG) ?? [];
    if (!name) return answerPage(path, live) ?? await respond(path);
    if (!name.endsWith(".gif")) return await respond(path, name);
    return await live.track(cc!, request, () => respond(path, name));
  };

  const { AddrInUse, PermissionDenied } = Deno.errors;
  try {
    keepServing({ hostname: "127.0.0.1", port, signal }, handler);
  } catch (error) {
    const taken = `Port ${port} is in use`;
    if (error instanceof AddrInUse) throw new AddrInUse(taken);
    if (!/\(os error 10013\)/.test(`${error}`)) throw error;
    throw new PermissionDenied(
      `Port ${port} is reserved by the system: ` +
        "netsh int ipv4 show excludedportrange tcp lists such ports",
    );
  }
  try {
    keepServing({ hostname: "::1", port, signal }, handler);
  } catch (error) { // The machine may have no IPv6.
    const taken = `*** [::1]:${port} is in use by another program`;
    const only = "serving on 127.0.0.1 only";
    if (error instanceof AddrInUse) showLine(`${taken}; ${only}`, Deno.stderr);
  }
  signal.addEventListener("abort", () => live.end());
  checkFlags(`localhost:${port}`);
}

/** Report missing flags. A run waits for this check, so list the folder only once. */
function checkFlags(host: string): void {
  const codes = readCodes().map((cc) => cc.toLowerCase());
  let fault = "";
  try {
    const there = Array.from(Deno.readDirSync(FLAGS), ({ name }) => name);
    const { size } = new Set(codes).difference(new Set(there));
    const share = `${size} of the ${codes.length} flags`;
    if (size > 0) fault = `is missing ${share}; add them to flags/`;
  } catch (error) {
    fault = `cannot list flags/: ${(error as Error).message}`;
  }
  if (fault) showLine(`*** ${host} ${fault}`, Deno.stderr);
}

/** Wait until the sites of this thread have answered their last requests. */
export async function untilEnded(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  threadSignal.onabort = () => setTimeout(resolve, PATIENCE);
  await Promise.race([promise, Promise.all(servers)]);
}

/**
 * Keep a server running until the signal is aborted. By itself, `Deno.serve` stops at
 * the first connection that it cannot accept, for example because too many files are
 * open. Accepted connections are not affected.
 */
function keepServing(
  { signal, ...address }: Deno.ServeTcpOptions & { signal: AbortSignal },
  handler: (request: Request) => Promise<Response>,
): void {
  let server: Deno.HttpServer;
  const serve = () => {
    server = Deno.serve({ ...address, onListen() {} }, handler);
    return server.finished;
  };
  const again = (): Promise<void> =>
    delay(50).then(() => signal.aborted ? undefined : serve()).catch(again);
  servers.push(serve().catch(again));
  signal.addEventListener("abort", () => server.shutdown());
}

/** Draw a number in [0, 1): at random, or, with a seed, fixed for each path. */
function draw(path: string, seed?: number): number {
  if (seed === undefined) return Math.random();
  let h = 0x811c9dc5; // FNV-1a, with its bits mixed once more
  for (const byte of new TextEncoder().encode(`${seed} ${path}`)) {
    h = Math.imul(h ^ byte, 0x01000193);
  }
  h = Math.imul(h ^ (h >>> 16), 0x45d9f3b);
  return ((h ^ (h >>> 16)) >>> 0) / 2 ** 32;
}

const SHARE = number("a number from 0 to 1", (n) => n >= 0 && n <= 1);
const LABELS = Object.keys(SITES);

const parser = new ArgumentParser({
  description:
    "Serve the flags on 127.0.0.1 and [::1] until Ctrl-C. Default: all three sites.",
  positional: {
    metavar: "LABEL",
    type: oneOf(LABELS),
    help: "LOCAL (port 8001), DELAY (8002) or ERROR (8003)",
  },
}, {
  delay: {
    flag: "-d SECONDS",
    type: number("a number from 0 to 86400", (n) => n >= 0 && n <= 86_400),
    default: SITES["DELAY"]!.delay,
    help: "delay of a late answer (default=%(default)s)",
  },
  errors: {
    type: SHARE,
    flag: "-e SHARE",
    default: SITES["ERROR"]!.errorShare,
    help: "share of errors on ERROR (default=%(default)s)",
  },
  late: {
    type: SHARE,
    flag: "-l SHARE",
    default: SITES["ERROR"]!.lateShare,
    help: "share of late answers on ERROR (default=%(default)s)",
  },
  seed: {
    flag: "-s N",
    type: number("a whole number < 2 ** 53", Number.isSafeInteger),
    help: "treat a path the same way each time (default: at random)",
  },
});

function main(): void {
  const { help, _: words, delay, errors, late, seed } = parser.parse(Deno.args);
  if (help) return printLine(parser.help);
  using _ = abortOnInterrupt(new AbortController()); // Later, Ctrl-C ends the process.
  const lateShare = Math.min(late, 1 - errors); // A failed request is not delayed.
  for (const label of words.length > 0 ? words : LABELS) {
    const shares = label === "ERROR" && { errorShare: errors, lateShare };
    serveSite({ ...SITES[label]!, delay, seed, ...shares });
    printLine(`${label} site: ${urlOf(label)}`);
  }
}

if (import.meta.main) {
  try {
    main();
  } catch (error) {
    reportError(error, parser.usage);
    Deno.exit(); // Otherwise the sites that were started before would go on.
  }
}
