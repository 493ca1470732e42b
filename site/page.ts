/**
 * The page of a site, which shows in a browser what becomes of each request.
 *
 * @module
 */

import { answerFile, readFile } from "./answers.ts";
import type { Live } from "./live.ts";
import { FLAGS, readCodes, ROOT, type Site, SITES } from "./sites.ts";

/**
 * Answer a request for the page or for one of its parts. The site neither fails
 * nor delays such a request.
 *
 * @param path The path of the URL, from its first slash.
 * @returns Nothing when the path does not belong to the page.
 */
export function answerPage(path: string, live: Live): Response | undefined {
  const pathname = path.replace(/\?.*/s, "");
  if (/^\/(flags\/?)?$/.test(pathname)) {
    return answerFile(`${ROOT}/site`, "page.html");
  }
  const part = pathname.match(/^\/page\/(.*)$/)?.[1];
  if (part === "events") return live.watch();
  if (part === "facts") return Response.json(facts());
  if (part === "page.js" || part === "lanes.js") {
    return answerFile(`${ROOT}/site`, part);
  }
  const cc = part?.match(/^([a-z]{2})\.gif$/)?.[1];
  return cc ? answerFile(FLAGS, `${cc}/${part}`) : undefined;
}

/** Say in a sentence or two what a site does to the requests. */
export function describe({ errorShare, lateShare, delay }: Site): string {
  const percent = (share: number) => Math.round(1000 * share) / 10;
  const of = (share: number) =>
    share < 1 ? `${percent(share)}%` : "every request";
  const rest = 1 - errorShare - lateShare;
  const parts = [
    errorShare > 0 && `fails ${of(errorShare)}`,
    lateShare > 0 && `answers ${of(lateShare)} after ${delay} s`,
    percent(rest) > 0 && `answers ${of(rest)} at once`,
  ].filter((part) => part !== false);
  const whose = parts[1] ? "Of all requests, this site" : "This site";
  const why = errorShare || lateShare
    ? ""
    : " Most answers are sent before the next " +
      "request arrives, so fewer requests are in flight than -m allows.";
  return `${whose} ${new Intl.ListFormat("en").format(parts)}.${why}`;
}

/** Collect the facts that the page needs. */
function facts() {
  const sites = Object.entries(SITES);
  return {
    deno: Deno.version.deno,
    sites: Object.fromEntries(sites.map(([label, { port }]) => [port, label])),
    countries: Object.fromEntries(readCodes().map((cc) => [cc, country(cc)])),
  };
}

/** Return the name of a country, or nothing when it cannot be read. */
function country(cc: string): string {
  try {
    const metadata = readFile(FLAGS, `${cc.toLowerCase()}/metadata.json`);
    return String(JSON.parse(new TextDecoder().decode(metadata)).country ?? "");
  } catch {
    return "";
  }
}
