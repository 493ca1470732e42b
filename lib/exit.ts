/**
 * How a program ends: with the exit status that a shell expects, and with a
 * word on standard error why.
 *
 * @module
 */

import { red } from "@std/fmt/colors";
import { UsageError } from "./argparse.ts";
import { BrokenThreadPool } from "./futures.ts";
import { isGranted } from "./permissions.ts";
import { ConnectionError, HTTPError } from "./requests.ts";
import { colored, isTerminal, warn } from "./terminal.ts";

/**
 * The signals that end a run, each with the exit status that a shell expects
 * for it.
 */
const EXIT_STATUS: Partial<Record<Deno.Signal, number>> =
  Deno.build.os === "windows"
    ? { SIGINT: 130 }
    : { SIGHUP: 129, SIGINT: 130, SIGQUIT: 131, SIGTERM: 143 };

/**
 * Milliseconds in which a second signal is the first once more: the terminal
 * sends Ctrl-C to `deno task` and to the script, and `deno task` hands it on.
 */
const HANDED_ON = 250;

/** Python's exception for Ctrl-C; here for the other signals, too. */
export class KeyboardInterrupt extends Error {
  static {
    this.prototype.name = "KeyboardInterrupt";
  }

  /** The status is 128 and the signal's number. */
  constructor(readonly exitStatus: number) {
    super("interrupted");
  }
}

/** Python's exception for an end with a message and status 1. */
export class SystemExit extends Error {
  static {
    this.prototype.name = "SystemExit";
  }
}

/** What Linux says of this process. */
const STATUS = { name: "read", path: "/proc/self/status" } as const;

/**
 * Whether the window may be closed, as under `nohup`. The runtime takes SIGHUP
 * whoever ignores it, and only Linux tells, under `-A` alone. Else it is seen by
 * what `nohup` does: it leaves no output on a terminal.
 */
function ignoresHangup(): boolean {
  try {
    // An odd number: the first bit of the mask is SIGHUP's. No prompt for it.
    if (isGranted(STATUS)) {
      return /^SigIgn:.*[13579bdf]$/m.test(Deno.readTextFileSync(STATUS.path));
    }
  } catch { /* Another system, or reading is granted and no more. */ }
  return !Deno.stdout.isTerminal() && !Deno.stderr.isTerminal();
}

/**
 * Abort a run at the first Ctrl-C (SIGTERM, SIGQUIT, or SIGHUP unless that is
 * ignored), with a {@linkcode KeyboardInterrupt}, and end the process at the
 * second.
 *
 * @param cleanUp Called before the process is ended.
 * @returns Leaving its `using` block gives the signals back to the runtime.
 */
export function abortOnInterrupt(
  run: Pick<AbortController, "abort" | "signal">,
  cleanUp: () => void = () => {},
): Disposable {
  let interrupted = -Infinity;
  // Asked now: a terminal that has gone is none.
  const ignored = ignoresHangup() ? "SIGHUP" : "";
  const listeners = Object.entries(EXIT_STATUS).map(([name, exitStatus]) => {
    const listener = () => {
      // Without a listener the runtime would end the process.
      if (name === ignored) return;
      if (performance.now() - interrupted < HANDED_ON) return;
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

/** What can happen to a program without a mistake in it: a line tells it. */
const EXPECTED = [
  BrokenThreadPool,
  ConnectionError,
  HTTPError,
  SystemExit,
  UsageError,
  ...Object.values(Deno.errors),
];

/** The runtime has no class for some errors of the system, like a full disk. */
const OS_ERROR = / \(os error \d+\)/;

/**
 * Say on standard error why a program ends, and set its exit status: 2 for a
 * command line that cannot be run, 130 after Ctrl-C, else 1. An error that can
 * only be a mistake in the program is told with its stack, as Python does.
 *
 * @param usage The usage line.
 */
export function reportError(error: unknown, usage: string): void {
  Deno.exitCode = error instanceof KeyboardInterrupt
    ? error.exitStatus
    : error instanceof UsageError
    ? 2
    : 1;
  if (error instanceof KeyboardInterrupt) return;
  const message = error instanceof Error ? error.message : String(error);
  const isExpected = EXPECTED.some((Class) => error instanceof Class) ||
    OS_ERROR.test(message);
  const isThere = isTerminal(Deno.stderr);
  const text = error instanceof UsageError
    ? `${colored(red, "*** Usage error", isThere)}: ${message}\n${usage}`
    : isExpected
    ? colored(red, `*** ${message.replace(OS_ERROR, "")}`, isThere)
    : Deno.inspect(error, { colors: isThere && !Deno.noColor });
  warn(text); // When nobody hears it, the status tells it.
}
