/**
 * Text for terminals, pipes and files, which may be slow or gone.
 *
 * @module
 */

import { readVariable } from "./permissions.ts";

/** Standard output or standard error. */
export type Stream = Pick<typeof Deno.stdout, "isTerminal" | "writeSync">;

/** Report whether lines can be redrawn: a dumb terminal prints the escape codes. */
export function isTerminal(stream: Stream): boolean {
  return stream.isTerminal() && readVariable("TERM") !== "dumb";
}

/**
 * Report whether to draw with `#`, because blocks are two columns wide on some East
 * Asian terminals. As in Python's tqdm, TQDM_ASCII decides (0: blocks). Without it,
 * Windows consoles other than Windows Terminal get `#`.
 */
export function isAscii(stream: Stream, os: string = Deno.build.os): boolean {
  const asked = readVariable("TQDM_ASCII");
  if (asked) return asked !== "0";
  return os === "windows" && stream.isTerminal() && !readVariable("WT_SESSION");
}

/** Colour text for a terminal, but not under NO_COLOR (see std). */
export function colored(
  color: (text: string) => string,
  text: string,
  stream: Stream = Deno.stdout,
): string {
  return isTerminal(stream) ? color(text) : text;
}

/**
 * Make a word of the command line fit for a message of one line. A long word is cut,
 * and a word with spaces or control characters becomes a JSON string.
 */
export function quote(word: string): string {
  const short = word.replace(/^(.{40}).+/su, "$1…");
  if (/^[\p{L}\p{N}\p{P}\p{S}]+$/u.test(short)) return short;
  const escape = (unit: string) =>
    "\\u" + unit.charCodeAt(0).toString(16).padStart(4, "0");
  return JSON.stringify(short).replace(/[^\x20-\x7e]/g, escape);
}

/**
 * Write text, and wait while the stream is full. (A program that shares the pipe may
 * have made it non-blocking; `console.log` throws then.) A pipe whose reader has gone
 * is not an error.
 *
 * @throws {Error} If the text cannot be written.
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

/** Write a line that matters, like a report; throws if it cannot be written. */
export function printLine(line: string, stream: Stream = Deno.stdout): void {
  write(`${line}\n`, stream);
}

/** Write text; errors in writing are ignored. */
export function show(text: string, stream: Stream = Deno.stdout): void {
  try {
    write(text, stream);
  } catch { /* The disk is full, or the window is closed. */ }
}

/** Write a line; errors in writing are ignored. */
export function showLine(line: string, stream: Stream = Deno.stdout): void {
  show(`${line}\n`, stream);
}
