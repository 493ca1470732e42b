/**
 * How a program ends: with the exit status that a shell expects, and with one
 * line that says why.
 *
 * @module
 */

import { red } from "@std/fmt/colors";
import { UsageError } from "./argparse.ts";

/**
 * The signals that end a run, each with the exit status that a shell expects
 * for it.
 */
const EXIT_STATUS: Partial<Record<Deno.Signal, number>> =
  Deno.build.os === "windows" ? { SIGINT: 130 } : { SIGINT: 130, SIGTERM: 143 };

/**
 * Milliseconds in which a second signal is the first once more: the terminal
 * sends Ctrl-C to `deno task` and to the script, and `deno task` hands it on.
 */
const ECHO = 250;

/**
 * Why a run was aborted from outside: Python's exception for Ctrl-C, for
 * SIGTERM, too.
 */
export class KeyboardInterrupt extends Error {
  /** Its name in a stack trace. */
  override name = "KeyboardInterrupt";

  /**
   * As a signal's listener throws it.
   *
   * @param exitStatus 128 and the signal's number.
   */
  constructor(readonly exitStatus: number) {
    super("interrupted");
  }
}

/**
 * Abort a run at the first Ctrl-C (or SIGTERM), and end the process at the
 * second.
 *
 * @param run What to abort, with a {@linkcode KeyboardInterrupt}.
 * @param cleanUp Called before the process is ended.
 * @returns Leaving its `using` block gives the signals back to the runtime.
 */
export function abortOnInterrupt(
  run: AbortController,
  cleanUp: () => void,
): Disposable {
  let interrupted = -Infinity;
  const listeners = Object.entries(EXIT_STATUS).map(([name, exitStatus]) => {
    const listener = () => {
      if (performance.now() - interrupted < ECHO) return;
      if (run.signal.aborted) {
        try {
          cleanUp();
        } finally {
          Deno.exit(exitStatus);
        }
      }
      interrupted = performance.now();
      run.abort(new KeyboardInterrupt(exitStatus));
    };
    Deno.addSignalListener(name as Deno.Signal, listener);
    return [name as Deno.Signal, listener] as const;
  });
  return {
    [Symbol.dispose]() {
      for (const listener of listeners) Deno.removeSignalListener(...listener);
    },
  };
}

/**
 * Say on standard error why a program ends, and set its exit status: 2 for a
 * command line that cannot be run, 130 after Ctrl-C, else 1.
 *
 * @param error What was thrown.
 * @param usage The usage line.
 */
export function reportError(error: unknown, usage: string): void {
  if (error instanceof KeyboardInterrupt) {
    Deno.exitCode = error.exitStatus;
    return;
  }
  const isUsage = error instanceof UsageError;
  const message = (error instanceof Error ? error.message : String(error))
    .replace(/ \(os error \d+\)/, "");
  const [label, rest] = isUsage
    ? ["*** Usage error", `: ${message}\n${usage}`]
    : [`*** ${message}`, ""];
  console.error((Deno.stderr.isTerminal() ? red(label) : label) + rest);
  Deno.exitCode = isUsage ? 2 : 1;
}
