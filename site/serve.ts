#!/usr/bin/env -S deno run -P
/**
 * The LOCAL, DELAY and ERROR sites of the chapter: the flags, at once, late, or
 * not always.
 *
 * They are at 127.0.0.1 and [::1] only. Run this file to serve until Ctrl-C; a
 * script that finds no server starts the site that it needs, for its one run.
 *
 * @module
 */

import "../lib/version.ts";
import { delay } from "@std/async/delay";
import { ArgumentParser, number, oneOf } from "../lib/argparse.ts";
import { abortOnInterrupt, reportError } from "../lib/exit.ts";
import { showLine } from "../lib/terminal.ts";
import { answerFile, answerStatus } from "./files.ts";
import { Live } from "./live.ts";
import { answerPage, describe } from "./page.ts";
import { readCodes, ROOT, type Site, SITES } from "./sites.ts";

const FLAGS = `${ROOT}/flags`;
const ERRORS = [500, 501, 502, 503];
const FLAG = /^\/flags\/(([a-z]{2})\/(?:\2\.gif|metadata\.json))(?:\?|$)/;

/** Milliseconds that the clients of a site have to read their last answers. */
const PATIENCE = 500;

const servers: Promise<void>[] = [];
let threadSignal = new AbortController().signal;

/** Initialize a thread: its signal ends its sites. */
export function endWith(signal: AbortSignal): void {
  threadSignal = signal;
}

/**
 * Serve a site on this thread at 127.0.0.1 and, if the machine has it, at [::1].
 *
 * @param site The shares of answers, and the port.
 * @param signal Ends the site.
 * @throws {Deno.errors.AddrInUse} When there is a server already.
 * @throws {Deno.errors.PermissionDenied} When Windows keeps the port for others.
 */
export function serveSite(
  site: Site,
  signal: AbortSignal = threadSignal,
): void {
  const { port } = site;
  const live = new Live(describe(site));
  const respond = (path: string, name?: string) => {
    const chance = fate(path, site.seed);
    if (chance < site.errors) {
      const error = ERRORS[Math.floor(chance / site.errors * ERRORS.length)];
      return answerStatus(error!);
    }
    const answer = () => name ? answerFile(FLAGS, name) : answerStatus(404);
    if (chance >= site.errors + site.late) return answer();
    // A site that ends answers at once.
    return delay(1000 * site.delay, { signal }).catch(() => {}).then(answer);
  };
  const handler = (request: Request): Response | Promise<Response> => {
    const { method, url } = request;
    if (method !== "GET" && method !== "HEAD") {
      return answerStatus(405, { allow: "GET, HEAD" });
    }
    const path = url.replace(/^\w+:\/\/[^/?]*/, "");
    const [, name, cc] = path.match(FLAG) ?? [];
    if (!name) return answerPage(path, live) ?? respond(path);
    if (!name.endsWith(".gif")) return respond(path, name);
    return live.track(cc!, request, () => respond(path, name));
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
  } catch (error) { // There is no IPv6, or:
    const there = `*** Another program has [::1]:${port}`;
    const here = "this site is at 127.0.0.1 only";
    if (error instanceof AddrInUse) showLine(`${there}: ${here}`, Deno.stderr);
  }
  signal.addEventListener("abort", () => live.end());
  lookAtFlags(`localhost:${port}`);
}

/** Say what is wrong with `flags/`, seen at one look, as a run waits for it. */
function lookAtFlags(host: string): void {
  const codes = readCodes();
  const lacking = new Set(codes);
  try {
    for (const { name } of Deno.readDirSync(FLAGS)) {
      lacking.delete(name.toUpperCase());
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) {
      const [why] = (error as Error).message.split(" (os error");
      return showLine(`*** ${host} cannot list flags/: ${why}`, Deno.stderr);
    }
  }
  if (lacking.size === 0) return;
  const share = `${lacking.size} of the ${codes.length} flags`;
  showLine(`*** ${host} lacks ${share}: they belong in flags/`, Deno.stderr);
}

/** Wait until the sites of this thread have answered their last requests. */
export async function untilEnded(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  threadSignal.onabort = () => setTimeout(resolve, PATIENCE);
  await Promise.race([promise, Promise.all(servers)]);
}

/**
 * Call `Deno.serve` until the signal, which shuts the server down. By itself it ends at
 * the first connection that it cannot accept, for example if no more files can be
 * opened. The connections that it has accepted live on.
 */
function keepServing(
  { signal, ...address }: {
    hostname: string;
    port: number;
    signal: AbortSignal;
  },
  handler: (request: Request) => Response | Promise<Response>,
): void {
  const serve = () => {
    const server = Deno.serve({ ...address, onListen() {} }, handler);
    const shutDown = () => server.shutdown();
    signal.addEventListener("abort", shutDown);
    return server.finished
      .finally(() => signal.removeEventListener("abort", shutDown));
  };
  const again = (): Promise<void> =>
    delay(50).then(() => signal.aborted ? undefined : serve()).catch(again);
  servers.push(serve().catch(again));
}

/** A number in [0, 1): by chance, or, with a seed, the same for a path. */
function fate(path: string, seed?: number): number {
  if (seed === undefined) return Math.random();
  let h = 0x811c9dc5; // FNV-1a, and its bits mixed once more
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
    "Serve the flags at 127.0.0.1 and [::1], until Ctrl-C. Default: all three sites.",
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
    help: "how late a late answer is (default=%(default)s)",
  },
  errors: {
    type: SHARE,
    flag: "-e SHARE",
    default: SITES["ERROR"]!.errors,
    help: "share of errors on ERROR (default=%(default)s)",
  },
  late: {
    type: SHARE,
    flag: "-l SHARE",
    default: SITES["ERROR"]!.late,
    help: "share of late answers on ERROR (default=%(default)s)",
  },
  seed: {
    flag: "-s N",
    type: number("a whole number < 2 ** 53", Number.isSafeInteger),
    help: "fail the same paths each time (default: at random)",
  },
});

function main(): void {
  const { help, _: words, delay, errors, late, seed } = parser.parse(Deno.args);
  if (help) return console.log(parser.help);
  const stop = new AbortController();
  using _ = abortOnInterrupt(stop);
  for (const label of words.length > 0 ? words : LABELS) {
    const site = { ...SITES[label]!, delay, seed };
    const rest = Math.min(late, 1 - errors); // What fails is not late.
    if (label === "ERROR") Object.assign(site, { errors, late: rest });
    try {
      serveSite(site, stop.signal);
    } catch (error) {
      stop.abort(error); // The sites before it would go on for ever.
      throw error;
    }
    console.log(`${label} site: http://localhost:${site.port}/flags`);
  }
}

if (import.meta.main) {
  try {
    main();
  } catch (error) {
    reportError(error, parser.usage);
  }
}
