/**
 * The three built-in sites of the chapter.
 *
 * @module
 */

/** A site, which fails a request, or answers it late or at once. */
export interface Site {
  /** The port on localhost. */
  port: number;
  /** Share of the requests that the site fails with an HTTP error, 0 to 1. */
  errorShare: number;
  /** Share of the requests that the site answers late, 0 to 1. */
  lateShare: number;
  /** Delay of a late answer, in seconds. */
  delay: number;
  /** With a seed, the site treats a path the same way each time. */
  seed?: number | undefined;
}

/** The three sites, by their labels. */
export const SITES: Record<string, Site> = {
  LOCAL: { port: 8001, errorShare: 0, lateShare: 0, delay: 0 },
  DELAY: { port: 8002, errorShare: 0, lateShare: 1, delay: 0.5 },
  ERROR: { port: 8003, errorShare: 0.25, lateShare: 0.5, delay: 0.5 },
};

/** Return the base URL of a site's flags. */
export function urlOf(label: string): string {
  return `http://localhost:${SITES[label]!.port}/flags`;
}

/** The project's folder. */
export const ROOT = `${import.meta.dirname}/..`;

/** The folder of the flags. */
export const FLAGS = `${ROOT}/flags`;

/** Read the codes that have a flag, in upper case. */
export function readCodes(): string[] {
  return Deno.readTextFileSync(`${ROOT}/country_codes.txt`).trim().split(/\s+/);
}
