/**
 * The answers of a site: a file as it is now, or a status.
 *
 * @module
 */

const SEPARATOR = Deno.build.os === "windows" ? "\\" : "/";

const TYPES: Record<string, string> = {
  gif: "image/gif",
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  json: "application/json",
};

/** Milliseconds in which the clock of a disk may stand still: FAT's does. */
const TICK = 2000;

/** Files by their paths, with what the disk said of them when they were read. */
const known = new Map<string, { state: string; bytes: BufferSource }>();

/**
 * A file of a folder as it is now; it is read when it has changed since.
 *
 * @throws {Deno.errors.NotFound} When it is not there, or where a link leads out
 *   of the folder.
 */
export function readFile(folder: string, name: string): BufferSource {
  const path = `${folder}/${name}`;
  const { ctime, mtime, size, isFile } = Deno.statSync(path);
  const changed = Number(ctime ?? mtime);
  const state = `${changed} ${size}`;
  const before = known.get(path);
  // What was written just now may be written again within a tick.
  const isOld = Date.now() - changed > TICK;
  if (before?.state === state && isOld) return before.bytes;
  const root = Deno.realPathSync(folder) + SEPARATOR;
  if (!isFile || !Deno.realPathSync(path).startsWith(root)) {
    throw new Deno.errors.NotFound(path);
  }
  const bytes = Deno.readFileSync(path);
  known.set(path, { state, bytes });
  return bytes;
}

/**
 * A file; 404 when it is not there, 500 when it cannot be read, as when no more
 * files can be opened.
 */
export function answerFile(folder: string, name: string): Response {
  try {
    const headers = { "content-type": TYPES[name.split(".").at(-1)!]! };
    return new Response(readFile(folder, name), { headers });
  } catch (error) {
    return answerStatus(error instanceof Deno.errors.NotFound ? 404 : 500);
  }
}

/** A status, and its number as the body. */
export function answerStatus(status: number, headers = {}): Response {
  return new Response(`${status}\n`, { status, headers });
}
