/**
 * The answers of a site: a file with its current content, or a status.
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

/** The coarsest resolution of file times, in milliseconds: that of FAT. */
const TICK = 2000;

/** Files by their paths, with their time and size when they were read. */
const known = new Map<string, { state: string; bytes: BufferSource }>();

/**
 * Return the current content of a file, which is read again if it has changed.
 *
 * @throws {Deno.errors.NotFound} If the file does not exist, or a link leads out of
 *   the folder.
 */
export function readFile(folder: string, name: string): BufferSource {
  const path = `${folder}/${name}`;
  const { ctime, mtime, size, isFile } = Deno.statSync(path);
  const changedAt = Number(ctime ?? mtime);
  const state = `${changedAt} ${size}`;
  const before = known.get(path);
  // A file that has just been written may be written again within a tick.
  const isOld = Date.now() - changedAt > TICK;
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
 * Answer with a file, with 404 if it does not exist, or with 500 if it cannot be read,
 * for example because too many files are open.
 */
export function answerFile(folder: string, name: string): Response {
  try {
    const headers = { "content-type": TYPES[name.split(".").at(-1)!]! };
    return new Response(readFile(folder, name), { headers });
  } catch (error) {
    return answerStatus(error instanceof Deno.errors.NotFound ? 404 : 500);
  }
}

/** Answer with a status, and its number as the body. */
export function answerStatus(status: number, headers = {}): Response {
  return new Response(`${status}\n`, { status, headers });
}
