/**
 * Functions that the tests of the thread pool call on other threads.
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

/** An error whose class has the same name as one of the runtime's. */
export class TimedOut extends Error {}

/** An error that is its own cause and has a read-only field. */
export class ReadOnlyError extends Error {
  override cause = this;
  status = 2;
  static {
    Object.defineProperty(this.prototype, "status", { get: () => 1 });
  }
}

/** A class that is not exported; the export of that name is a number. */
const Nameless = class FlagErrors extends Error {
  override name = "Nameless";
};

/** A number with the name of a class. */
export const FlagErrors = 7;

/** The errors that {@linkcode fail} can throw. */
const ERRORS: Record<string, () => unknown> = {
  FlagError: () => new FlagError(418, "BR"),
  NotFound: () => new Deno.errors.NotFound("no such file"),
  // Functions cannot be copied.
  TimedOut: () =>
    Object.assign(new TimedOut("it", { cause: fail }), { f() {}, code: 7 }),
  TypeError: () => new TypeError("of the runtime"),
  "runtime's": () => new Deno.errors.TimedOut("too"),
  DOMException: () => new DOMException("too late", "TimeoutError"),
  many: () => {
    const errors = [new FlagError(2, "CN"), new TypeError(), 3];
    return new AggregateError(errors, "three", {
      cause: new FlagError(1, "IN"),
    });
  },
  "read-only": () => new ReadOnlyError(),
  "no class": () => new Nameless("7 is not a class"),
  "no constructor": () =>
    Object.assign(new Error("odd"), { constructor: undefined }),
  "hidden name": () =>
    Object.defineProperty(new Error("odd"), "name", { value: "Hidden" }),
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

/** A different number on each thread. */
const thread = Math.random();
let calls = 0;
let atATime = 0;
let most = 0;

/** Throw the error of this name, or the name if it has no error. */
export function fail(what: string): never {
  calls++;
  throw ERRORS[what] ? ERRORS[what]() : what;
}

export function add(a: number, b: number): number {
  return a + b;
}

/** Return this call's thread, the calls there so far, and the most at a time. */
export async function observe(ms: number) {
  calls++;
  most = Math.max(most, ++atATime);
  await delay(ms);
  atATime--;
  return { thread, calls, most };
}

let initial: unknown[] = [];

/** An initializer that takes 20 ms, and whose result cannot be copied. */
export async function initialize(...args: unknown[]): Promise<unknown> {
  initial = args;
  await delay(20);
  return () => {};
}

export function initialArguments(): unknown[] {
  return initial.map((arg) => arg instanceof AbortSignal ? arg.aborted : arg);
}

/** Wait for a minute, or until the signal of the thread is aborted. */
export async function wait(): Promise<unknown[]> {
  const signal = initial.at(-1) as AbortSignal | undefined;
  await delay(60_000, signal && { signal }).catch(() => {});
  return initialArguments();
}

/** End this thread in one of four ways. */
export async function die(how: string): Promise<void> {
  if (how === "close") return self.close();
  if (how === "exit") Deno.exit(3);
  if (how === "throw") setTimeout(() => fail("FlagError"), 0);
  if (how === "reject") Promise.reject(new Error("not caught"));
  await wait();
}
