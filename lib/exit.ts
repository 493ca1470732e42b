/**
 * The end of a program, with the exit status that a shell expects and a message.
 *
 * @module
 */

import { red } from "@std/fmt/colors";
import { UsageError } from "./argparse.ts";
import { colored, isTerminal, showLine } from "./terminal.ts";

/** The signals that end a run, with their exit statuses: 128 plus the number. */
const EXIT_STATUS = { HUP: 129, INT: 130, QUIT: 131, TERM: 143, BREAK: 149 };

/** Python's `SystemExit`: ends the program with an exit status and maybe a message. */
export class SystemExit extends Error {
  /** The exit status is 1 by default. */
  constructor(message: string, readonly exitStatus = 1) {
    super(message);
  }
}
SystemExit.prototype.name = "SystemExit";

let current: [AbortController, cleanUp: () => void] | undefined;
let interruptedAt = -Infinity;
let isListening = false;

/**
 * Abort a run at the first Ctrl-C (or SIGTERM and the like) with a
 * {@linkcode SystemExit}, and end the process at the second one.
 *
 * @param cleanUp Called before a second signal ends the process.
 * @returns A resource: after its `using` block, the first Ctrl-C ends the process.
 */
export function abortOnInterrupt(
  controller: AbortController,
  cleanUp: () => void = () => {},
): Disposable {
  current = [controller, cleanUp];
  if (!isListening) listen();
  return { [Symbol.dispose]: () => current = undefined };
}

function listen(): void {
  isListening = true;
  // As process 1 of a container, the runtime would crash on a signal while it exits.
  addEventListener("beforeunload", () => Deno.exit());
  for (const [name, exitStatus] of Object.entries(EXIT_STATUS)) {
    const signal = `SIG${name}` as Deno.Signal;
    try {
      Deno.addSignalListener(signal, () => interrupt(exitStatus));
    } catch { /* This system, or an old Deno on Windows, lacks this signal. */ }
  }
}

function interrupt(exitStatus: number): void {
  // Within 250 ms it is the same Ctrl-C, forwarded by `deno task`.
  if (performance.now() - interruptedAt < 250) return;
  const [controller, cleanUp] = current ?? [];
  if (!controller || controller.signal.aborted) {
    try {
      cleanUp?.();
    } finally {
      Deno.exit(exitStatus);
    }
  }
  interruptedAt = performance.now();
  controller.abort(new SystemExit("", exitStatus));
}

/** The names of the classes that only bugs throw; subclasses do not count. */
const BUG = /^(Range|Reference|Syntax|Type)?Error$/;

/** Some errors of the system, like a full disk, have no class in the runtime. */
const OS_ERROR = / \(os error \d+\)/;

/**
 * Report on standard error why a program ends, and set its exit status: that of a
 * `SystemExit` (130 after Ctrl-C), 2 for an invalid command line, otherwise 1. A usage
 * error adds the usage; a bug, its stack, as in Python.
 */
export function reportError(error: unknown, usage: string): void {
  const status = error instanceof UsageError ? 2 : 1;
  Deno.exitCode = error instanceof SystemExit ? error.exitStatus : status;
  if (error instanceof SystemExit && !error.message) return;
  const message = error instanceof Error ? error.message : "";
  const isBug = !(error instanceof Error) ||
    BUG.test(error.constructor?.name) && !OS_ERROR.test(message);
  const text = error instanceof UsageError
    ? `${colored(red, "*** Usage error", Deno.stderr)}: ${message}\n${usage}`
    : isBug
    ? Deno.inspect(error, { colors: isTerminal(Deno.stderr) && !Deno.noColor })
    : colored(red, `*** ${message.replace(OS_ERROR, "")}`, Deno.stderr);
  showLine(text, Deno.stderr); // If this fails, the exit status is still set.
}
