/**
 * The three sites of the chapter that are built in, and where they are.
 *
 * @module
 */

/** A site. Each of its requests fails, or is answered late or at once. */
export interface Site {
  /** Where it listens. */
  port: number;
  /** Share of the requests that are answered with an HTTP error, 0 to 1. */
  errors: number;
  /** Share of the requests that are answered late, 0 to 1. */
  late: number;
  /** How late, in seconds. */
  delay: number;
  /** With a seed, a path meets the same fate each time. */
  seed?: number | undefined;
}

/** The three sites, by their labels. */
export const SITES: Record<string, Site> = {
  LOCAL: { port: 8001, errors: 0, late: 0, delay: 0 },
  DELAY: { port: 8002, errors: 0, late: 1, delay: 0.5 },
  ERROR: { port: 8003, errors: 0.25, late: 0.5, delay: 0.5 },
};

/** The base URL of a site's flags. */
export function urlOf(label: string): string {
  return `http://localhost:${SITES[label]!.port}/flags`;
}

/** Where a site listens. */
export const HOSTS: string[] = ["127.0.0.1", "[::1]"];

/** The project's folder. */
export const ROOT = `${import.meta.dirname}/..`;

/** The codes that have a flag, in upper case. */
export function readCodes(): string[] {
  return Deno.readTextFileSync(`${ROOT}/country_codes.txt`).trim().split(/\s+/);
}
