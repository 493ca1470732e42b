/**
 * Functions for the tests of the thread pool to call on other threads.
 *
 * @module
 */

import { delay } from "@std/async/delay";

/** An error with a class and fields of its own. */
export class FlagError extends RangeError {
  override name = "FlagError";
  constructor(readonly status: number, readonly cc: string) {
    super(`${cc}: ${status}`);
  }
}

/** It is called like one of the runtime's. */
export class TimedOut extends Error {}

/** An error that is its own cause, and does not let a field be set. */
export class OwnIdeas extends Error {
  override cause = this;
  status = 2;
  static {
    Object.defineProperty(this.prototype, "status", { get: () => 1 });
  }
}

/** Not known on the other side, unlike the export of that name. */
const Nameless = class FlagErrors extends Error {
  override name = "Nameless";
};

/** Not a class, but it has the name of one. */
export const FlagErrors = 7;

/** What {@linkcode fail} can throw. */
const ERRORS: Record<string, () => unknown> = {
  FlagError: () => new FlagError(418, "BR"),
  NotFound: () => new Deno.errors.NotFound("no such file"),
  TimedOut: () => Object.assign(new TimedOut("it"), { f() {} }), // No copy of f.
  TypeError: () => new TypeError("of the runtime"),
  "runtime's": () => new Deno.errors.TimedOut("too"),
  DOMException: () => new DOMException("too late", "TimeoutError"),
  AggregateError: () => {
    const errors = [new FlagError(2, "CN"), new TypeError(), 3];
    return new AggregateError(errors, "three", {
      cause: new FlagError(1, "IN"),
    });
  },
  "own ideas": () => new OwnIdeas(),
  "no class": () => new Nameless("7 is no class"),
  function: () => () => 1,
  symbol: () => Symbol("odd"),
  unreadable: () =>
    Object.defineProperty(new Error(), "message", { get: () => fail("x") }),
};

/** Throws what is asked for, or else the very word. */
export function fail(what: string): never {
  throw ERRORS[what] ? ERRORS[what]() : what;
}

/** The sum of two numbers; the signal is not used. */
export function add(a: number, b: number, _signal?: AbortSignal): number {
  return a + b;
}

/** No two threads share it. */
const thread = Math.random();

/** Which thread is this? Late enough for the next call to need another one. */
export async function whichThread(ms: number): Promise<number> {
  await delay(ms);
  return thread;
}

let atATime = 0;
let most = 0;

/** The most calls of it at a time on this thread, so far. */
export async function countCalls(ms: number): Promise<number> {
  most = Math.max(most, ++atATime);
  await delay(ms);
  atATime--;
  return most;
}

let initial: unknown[] = [];

/** What a pool calls first; late, and its result cannot be copied. */
export async function initialize(...args: unknown[]): Promise<unknown> {
  await delay(20);
  initial = args;
  return () => {};
}

/** Its arguments. */
export function initialArguments(): unknown[] {
  return initial.map((arg) => arg instanceof AbortSignal ? arg.aborted : arg);
}

/** Lasts a minute, unless it is given up. */
export async function wait(signal?: AbortSignal): Promise<string> {
  const options = signal && { signal };
  return await delay(60_000, options).then(() => "over", () => "given up");
}

/** Returns, and leaves a rejection behind. */
export function leaveRejection(): string {
  Promise.reject(new Error("nobody catches this"));
  return "done";
}

/** The thread dies. */
export async function die(how: string): Promise<void> {
  if (how === "close") return self.close();
  if (how === "exit") Deno.exit(3);
  if (how === "throw") setTimeout(() => fail("FlagError"), 0);
  if (how === "reject") Promise.reject(new Error("nobody catches this"));
  await wait();
}

/** Tries what needs a permission. */
export async function attempt(what: string): Promise<string> {
  const [name, path] = what.split(/ (.*)/s) as [string, string];
  const attempts: Record<string, () => unknown> = {
    read: () => Deno.readTextFile(path),
    write: () => Deno.writeTextFile(path, "", { append: true }),
    net: () => Deno.connect({ hostname: "127.0.0.1", port: Number(path) }),
    run: () => new Deno.Command(Deno.execPath()).output(),
    env: () => Deno.env.get("HOME"),
    sys: () => Deno.hostname(),
    ffi: () => Deno.dlopen("libc.so.6", {}),
  };
  return await Promise.try(attempts[name]!)
    .then(() => "ok", (error) => error.name);
}
