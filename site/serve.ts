#!/usr/bin/env -S deno run -P
/**
 * The LOCAL, DELAY and ERROR sites of the chapter: the flags, at once, late, or
 * not always.
 *
 * They are at 127.0.0.1 and [::1] alone. Run this file to serve until Ctrl-C; a
 * script that finds no server starts the site that it needs, for its one run.
 *
 * @module
 */

import "../lib/version.ts";
import { delay } from "@std/async/delay";
import { ArgumentParser, choiceOf } from "../lib/argparse.ts";
import { abortOnInterrupt, reportError } from "../lib/exit.ts";
import { warn } from "../lib/terminal.ts";
import { Live } from "./live.ts";
import { flagsPage } from "./page.ts";
import { readCodes, ROOT, type Site, SITES } from "./sites.ts";

const ERRORS: [status: number, reason: string][] = [
  [500, "Internal Server Error"],
  [501, "Not Implemented"],
  [502, "Bad Gateway"],
  [503, "Service Unavailable"],
];

const FLAGS = `${ROOT}/flags`;
const CODES = readCodes().map((cc) => cc.toLowerCase());
const PAGE_URL = /^\w+:\/\/[^/]*\/(?:flags\/?)?(?:\?|$)/;
const EVENTS_URL = /^\w+:\/\/[^/]*\/events$/;
const GIF_URL = /^\w+:\/\/[^/]*\/flags\/([a-z]{2})\/\1\.gif(?:\?|$)/;
const FLAG_URL =
  /^\w+:\/\/[^/]*\/flags\/(([a-z]{2})\/(?:\2\.gif|metadata\.json))(?:\?|$)/;

/** Milliseconds after which a server that has failed is started again. */
const PAUSE = 50;

/**
 * Serve a site on this thread: at 127.0.0.1, and where it can be had at [::1].
 *
 * @param site What becomes of the requests, and on which port.
 * @param signal Ends the serving; without it the thread's end does.
 * @throws {Deno.errors.AddrInUse} When there is a server already.
 */
export function serveSite(
  site: Site,
  signal: AbortSignal = new AbortController().signal,
): void {
  const { port } = site;
  const files: Files = new Map();
  const live = new Live();
  const meetFate = async (request: Request): Promise<Response> => {
    const chance = fate(request.url, site.seed);
    if (chance < site.errors) {
      return text(...ERRORS[Math.floor(chance / site.errors * ERRORS.length)]!);
    }
    if (chance < site.errors + site.late) await delay(1000 * site.delay);
    return await answer(request, site, files);
  };
  const handler = async (request: Request): Promise<Response> => {
    if (EVENTS_URL.test(request.url)) return live.watch(false);
    const cc = live.isWatched && request.url.match(GIF_URL)?.[1];
    const respond = () => meetFate(request);
    if (!cc) return await respond();
    return await live.follow(cc, request.signal, respond);
  };

  try {
    serveForGood({ hostname: "127.0.0.1", port, signal }, handler);
  } catch (error) {
    if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    throw new Deno.errors.AddrInUse(`Port ${port} is in use`);
  }
  try {
    serveForGood({ hostname: "::1", port, signal }, handler);
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) {
      warn(
        `*** Another program has [::1]:${port}: this site is at 127.0.0.1 alone`,
      );
    } // Else there is no IPv6 here.
  }
  const lacking = CODES.length - folders();
  if (lacking > 0) {
    warn(
      `*** localhost:${port} lacks ${lacking} of the ${CODES.length} flags: ` +
        "they belong in flags/",
    );
  }
}

/**
 * How many flags have their folder: one look, where one at each of the files
 * would be felt at the start of a run.
 */
function folders(): number {
  try {
    const names = Array.from(Deno.readDirSync(FLAGS), ({ name }) => name);
    return new Set(CODES).intersection(new Set(names)).size;
  } catch {
    return 0;
  }
}

/** Fulfilled when a signal is aborted; rejected when this thread dies before. */
export function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) =>
    signal.addEventListener("abort", () => resolve())
  );
}

/**
 * `Deno.serve` until the signal: by itself it ends at the first connection that
 * it cannot take, as when no more files can be opened. The connections that it
 * has taken live on.
 */
function serveForGood(
  options: { hostname: string; port: number; signal: AbortSignal },
  handler: (request: Request) => Promise<Response>,
): void {
  const again = () => {
    if (options.signal.aborted) return;
    try {
      serveForGood(options, handler);
    } catch {
      setTimeout(again, PAUSE);
    }
  };
  Deno.serve({ ...options, onListen() {} }, handler)
    .finished.catch(() => setTimeout(again, PAUSE));
}

/**
 * A number in [0, 1): by chance, or, with a seed, always the same for a path.
 */
function fate(url: string, seed?: number): number {
  if (seed === undefined) return Math.random();
  const path = url.replace(/^\w+:\/\/[^/]*/, "");
  let h = 0x811c9dc5; // FNV-1a, and its bits mixed once more
  for (const byte of new TextEncoder().encode(`${seed} ${path}`)) {
    h = Math.imul(h ^ byte, 0x01000193);
  }
  h = Math.imul(h ^ (h >>> 16), 0x45d9f3b);
  return ((h ^ (h >>> 16)) >>> 0) / 2 ** 32;
}

/** What was read already, by its path in `flags/`. */
type Files = Map<string, Uint8Array<ArrayBuffer>>;

const TYPES: Record<string, string> = {
  gif: "image/gif",
  json: "application/json",
  html: "text/html; charset=utf-8",
};

/** What is asked for. No other path than a flag's reaches the disk. */
async function answer(
  { method, url }: Request,
  site: Site,
  files: Files,
): Promise<Response> {
  if (method !== "GET" && method !== "HEAD") {
    return text(405, "Method Not Allowed", { allow: "GET, HEAD" });
  }
  const path = PAGE_URL.test(url) ? "index.html" : url.match(FLAG_URL)?.[1];
  if (!path) return text(404, "Not Found");
  let file = files.get(path);
  try {
    file ??= path === "index.html"
      ? await page(site)
      : await Deno.readFile(`${FLAGS}/${path}`);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return text(404, "Not Found");
    return text(500, "Internal Server Error"); // No more files can be opened.
  }
  files.set(path, file);
  return new Response(method === "GET" ? file : null, {
    headers: {
      "content-length": `${file.length}`,
      "content-type": TYPES[path.split(".")[1]!]!,
    },
  });
}

/** The page with the flags that are there. */
async function page(site: Site): Promise<Uint8Array<ArrayBuffer>> {
  const flags: [cc: string, country: string][] = [];
  for (const cc of CODES.filter(hasFlag)) flags.push([cc, await country(cc)]);
  return new TextEncoder().encode(flagsPage(site, flags));
}

function hasFlag(cc: string): boolean {
  try {
    return Deno.statSync(`${FLAGS}/${cc}/${cc}.gif`).size > 0;
  } catch {
    return false;
  }
}

/** The name of a country; a flag without one is shown all the same. */
async function country(cc: string): Promise<string> {
  try {
    const metadata = await Deno.readTextFile(`${FLAGS}/${cc}/metadata.json`);
    return String(JSON.parse(metadata)?.country ?? "");
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    if (error instanceof SyntaxError) return "";
    throw error;
  }
}

function text(status: number, statusText: string, headers = {}): Response {
  const init = { status, statusText, headers };
  return new Response(`${status} ${statusText}\n`, init);
}

const SECONDS = { bounds: { min: 0, max: 86_400 } };
const SHARE = { bounds: { min: 0, max: 1 } };

const LABELS = Object.keys(SITES);

const parser = new ArgumentParser({
  description:
    "Serve the flags at 127.0.0.1 and [::1], until Ctrl-C. Default: all three sites.",
  positional: {
    metavar: "LABEL",
    help: "LOCAL (port 8001), DELAY (8002) or ERROR (8003)",
  },
}, {
  delay: {
    ...SECONDS,
    flag: "-d SECONDS",
    default: SITES["DELAY"]!.delay,
    help: "how late a late answer is (default=%(default)s)",
  },
  errors: {
    ...SHARE,
    flag: "-e SHARE",
    default: SITES["ERROR"]!.errors,
    help: "share of errors on ERROR (default=%(default)s)",
  },
  late: {
    ...SHARE,
    flag: "-l SHARE",
    default: SITES["ERROR"]!.late,
    help: "share of late answers on ERROR (default=%(default)s)",
  },
  seed: {
    flag: "-s N",
    bounds: { whole: true },
    help: "fail the same paths each time (default: at random)",
  },
});

function main(): void {
  const { help, _: words, delay, errors, late, seed } = parser.parse(Deno.args);
  if (help) return console.log(parser.help);
  const labels = words.map((word) =>
    choiceOf("LABEL", word, { choices: LABELS })
  );

  const stop = new AbortController();
  using _ = abortOnInterrupt(stop);
  for (const label of labels.length > 0 ? labels : LABELS) {
    const site = { ...SITES[label]!, delay, seed };
    if (label === "ERROR") Object.assign(site, { errors, late });
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
