/**
 * What a program may write where, how it writes when the other end is slow or
 * gone, and how a word from elsewhere can stand in a line.
 *
 * @module
 */

import { isGranted, readOfProcess } from "./permissions.ts";

/** Standard output or standard error. */
export type Stream = Pick<typeof Deno.stdout, "isTerminal" | "writeSync">;

/** What is asked of the environment: all of it that was granted. */
export const ENVIRONMENT: string[] = ["TERM", "TQDM_ASCII", "WT_SESSION"]
  .filter((variable) => isGranted({ name: "env", variable }));

const variable = (name: string) =>
  ENVIRONMENT.includes(name) ? Deno.env.get(name) : undefined;

/** Whether lines can be redrawn there: a dumb terminal shows what should do it. */
export function isTerminal(stream: Stream): boolean {
  return stream.isTerminal() && variable("TERM") !== "dumb";
}

/**
 * Whether to draw with `#`, as blocks are two columns wide in a terminal of East
 * Asian widths. No program can ask: TQDM_ASCII tells it, as it tells Python's tqdm
 * (0: blocks); else a console of Windows has `#`, unless it is Windows Terminal.
 */
export function isAscii(stream: Stream, os: string = Deno.build.os): boolean {
  const asked = variable("TQDM_ASCII");
  if (asked) return asked !== "0";
  return os === "windows" && stream.isTerminal() && !variable("WT_SESSION");
}

/** In colour on a terminal; std leaves it out under NO_COLOR. */
export function colored(
  color: (text: string) => string,
  text: string,
  stream: Stream = Deno.stdout,
): string {
  return isTerminal(stream) ? color(text) : text;
}

/**
 * A word that a user or a server sent, as it can stand in a message of one line:
 * a JSON string when it has other than letters, digits, punctuation and symbols,
 * and cut when it is long.
 */
export function quote(word: string): string {
  const short = word.replace(/^(.{40}).+/su, "$1…");
  if (/^[\p{L}\p{N}\p{P}\p{S}]+$/u.test(short)) return short;
  const escape = (unit: string) =>
    "\\u" + unit.charCodeAt(0).toString(16).padStart(4, "0");
  return JSON.stringify(short).replace(/[^\x20-\x7e]/g, escape);
}

/**
 * Write text as it is. A stream that has no room is waited for, blocking or
 * not: whoever shares a pipe or a terminal may have set it so, and
 * `console.log` throws then. A pipe that its reader has left is no error.
 *
 * @throws {Error} When it cannot be written.
 */
export function write(text: string, stream: Stream = Deno.stdout): void {
  const bytes = new TextEncoder().encode(text);
  for (let written = 0; written < bytes.length;) {
    try {
      written += stream.writeSync(bytes.subarray(written));
    } catch (error) {
      if (error instanceof Deno.errors.BrokenPipe) return;
      if (!(error instanceof Deno.errors.WouldBlock)) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5); // 5 ms
    }
  }
}

/**
 * Python's `print`: a line that has to be written, like a report.
 *
 * @throws {Error} When it cannot be.
 */
export function printLine(line: string, stream: Stream = Deno.stdout): void {
  // The runtime takes what is written to such a stream for written.
  const flags = stream === Deno.stdout ? readOfProcess("fdinfo/1") : "";
  if (/^flags:.*[04]$/m.test(flags)) {
    throw new Deno.errors.BadResource("Standard output can only be read");
  }
  write(`${line}\n`, stream);
}

/** Show how things go, a line or a bar: for one who has gone, nothing is lost. */
export function show(text: string, stream: Stream = Deno.stdout): void {
  try {
    write(text, stream);
  } catch { /* A full disk or a closed window: what is shown matters less. */ }
}

/** {@linkcode show} with the end of the line. */
export function showLine(line: string, stream: Stream = Deno.stdout): void {
  show(`${line}\n`, stream);
}
