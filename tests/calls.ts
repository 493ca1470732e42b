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
  // Functions cannot be copied.
  TimedOut: () =>
    Object.assign(new TimedOut("it", { cause: fail }), { f() {}, code: 7 }),
  TypeError: () => new TypeError("of the runtime"),
  "runtime's": () => new Deno.errors.TimedOut("too"),
  DOMException: () => new DOMException("too late", "TimeoutError"),
  "no constructor": () =>
    Object.assign(new Error("odd"), { constructor: undefined }),
  "hidden name": () =>
    Object.defineProperty(new Error("odd"), "name", { value: "Hidden" }),
  many: () => {
    const errors = [new FlagError(2, "CN"), new TypeError(), 3];
    return new AggregateError(errors, "three", {
      cause: new FlagError(1, "IN"),
    });
  },
  "own ideas": () => new OwnIdeas(),
  "no class": () => new Nameless("7 is no class"),
  function: () => () => 1,
  symbol: () => Symbol("odd"),
  revoked: () => {
    const { proxy, revoke } = Proxy.revocable(new Error(), {});
    revoke();
    return proxy;
  },
  unreadable: () =>
    Object.defineProperty(new Error(), "message", { get: () => fail("x") }),
};

/** Throws what is asked for, or else the very word. */
export function fail(what: string): never {
  throw ERRORS[what] ? ERRORS[what]() : what;
}

/** The sum of two numbers. */
export function add(a: number, b: number): number {
  return a + b;
}

let counted = 0;

/** How often this thread was asked to count, late enough for others to come in. */
export async function count(_: number): Promise<number> {
  await delay(5);
  return ++counted;
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
  initial = args;
  await delay(20);
  return () => {};
}

/** The arguments of {@linkcode initialize}. */
export function initialArguments(): unknown[] {
  return initial.map((arg) => arg instanceof AbortSignal ? arg.aborted : arg);
}

/** Lasts a minute, unless the signal of the thread is aborted. */
export async function wait(): Promise<string> {
  const signal = initial.at(-1) as AbortSignal | undefined;
  const options = signal && { signal };
  return await delay(60_000, options).then(() => "over", () => "aborted");
}

/** The thread dies. */
export async function die(how: string): Promise<void> {
  if (how === "close") return self.close();
  if (how === "exit") Deno.exit(3);
  if (how === "throw") setTimeout(() => fail("FlagError"), 0);
  if (how === "reject") Promise.reject(new Error("nobody catches this"));
  await wait();
}
