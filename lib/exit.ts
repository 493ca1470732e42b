/**
 * How a program ends: with the status that a shell expects, and a word why.
 *
 * @module
 */

import { red } from "@std/fmt/colors";
import { UsageError } from "./argparse.ts";
import { readOfProcess } from "./permissions.ts";
import { colored, isTerminal, showLine } from "./terminal.ts";

/** The signals that end a run, with their statuses: 128 and the number. */
const EXIT_STATUS: Partial<Record<Deno.Signal, number>> = //
  { SIGHUP: 129, SIGINT: 130, SIGQUIT: 131, SIGTERM: 143, SIGBREAK: 149 };

/** Python's exception for an end with a message, or none, and a status. */
export class SystemExit extends Error {
  /** The process's status is 1 by default. */
  constructor(message: string, readonly exitStatus = 1) {
    super(message);
  }
}
SystemExit.prototype.name = "SystemExit";

/**
 * Whether the window may be closed, as under `nohup`. Where Linux does not tell, it
 * is seen by what `nohup` does: it leaves no output on a terminal.
 */
function ignoresHangup(): boolean {
  if (Deno.build.os === "windows") return false;
  // The first bit of the mask is SIGHUP's.
  const [, digit] = readOfProcess("status").match(/^SigIgn:.*(.)$/m) ?? [];
  if (digit) return parseInt(digit, 16) % 2 === 1;
  return !Deno.stdout.isTerminal() && !Deno.stderr.isTerminal();
}

let current: [AbortController, cleanUp: () => void] | undefined;
let interrupted = -Infinity;
let isListening = false;

/**
 * Abort a run at the first Ctrl-C (or SIGTERM and the like; SIGHUP unless that is
 * ignored) with a {@linkcode SystemExit}, and end the process at the second.
 *
 * @param cleanUp Called before the process is ended.
 * @returns After its `using` block the first Ctrl-C ends the process.
 */
export function abortOnInterrupt(
  run: AbortController,
  cleanUp: () => void = () => {},
): Disposable {
  current = [run, cleanUp];
  if (!isListening) listen();
  return { [Symbol.dispose]: () => current = undefined };
}

function listen(): void {
  isListening = true;
  // As process 1, in a container, the runtime crashes at a signal after its end.
  addEventListener("beforeunload", () => Deno.exit());
  // Asked now: a terminal that has gone is not one.
  const ignored = ignoresHangup() ? "SIGHUP" : "";
  for (const [name, exitStatus] of Object.entries(EXIT_STATUS)) {
    try {
      Deno.addSignalListener(name as Deno.Signal, () => {
        // Without a listener the runtime would end the process.
        if (name !== ignored) interrupt(exitStatus);
      });
    } catch { /* This system, or an old Deno on Windows, has not this one. */ }
  }
}

function interrupt(exitStatus: number): void {
  // So soon it is the same Ctrl-C: `deno task` hands on what the script has, too.
  if (performance.now() - interrupted < 250) return;
  const [run, cleanUp] = current ?? [];
  if (!run || run.signal.aborted) {
    try {
      cleanUp?.();
    } finally {
      Deno.exit(exitStatus);
    }
  }
  interrupted = performance.now();
  run.abort(new SystemExit("", exitStatus));
}

/** What only a mistake in a program throws; a subclass is not meant. */
const MISTAKES: unknown[] = //
  [Error, RangeError, ReferenceError, SyntaxError, TypeError];

/** The runtime has no class for some errors of the system, like a full disk. */
const OS_ERROR = / \(os error \d+\)/;

/**
 * Say on standard error why a program ends, and set its exit status: 2 for a
 * command line that cannot be run, with the usage, 130 after Ctrl-C, else 1. What
 * can only be a mistake in the program is told with its stack, as in Python.
 */
export function reportError(error: unknown, usage: string): void {
  const status = error instanceof UsageError ? 2 : 1;
  Deno.exitCode = error instanceof SystemExit ? error.exitStatus : status;
  if (error instanceof SystemExit && !error.message) return;
  const message = error instanceof Error ? error.message : "";
  const isMistake = !(error instanceof Error) ||
    MISTAKES.includes(error.constructor) && !OS_ERROR.test(message);
  const text = error instanceof UsageError
    ? `${colored(red, "*** Usage error", Deno.stderr)}: ${message}\n${usage}`
    : isMistake
    ? Deno.inspect(error, { colors: isTerminal(Deno.stderr) && !Deno.noColor })
    : colored(red, `*** ${message.replace(OS_ERROR, "")}`, Deno.stderr);
  showLine(text, Deno.stderr); // When nobody hears it, the status tells it.
}
