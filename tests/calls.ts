/**
 * Functions for the tests of the thread pool to call on other threads.
 *
 * @module
 */

/** An error with a class and fields of its own. */
export class FlagError extends RangeError {
  /** Its name in a stack trace. */
  override name = "FlagError";
  /** As `downloadOne`'s error has one. */
  constructor(
    readonly status: number,
    readonly cc: string,
    options?: ErrorOptions,
  ) {
    super(`${cc}: ${status}`, options);
  }
}

/** A number that no two threads share. */
const thread = Math.random();

/**
 * Which thread is this? Answers late enough for the next call to need another
 * one.
 */
export async function whichThread(ms: number): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve, ms));
  return thread;
}

let atATime = 0;
let most = 0;

/** The most calls of it at a time on this thread, so far. */
export async function countCalls(ms: number): Promise<number> {
  most = Math.max(most, ++atATime);
  await new Promise((resolve) => setTimeout(resolve, ms));
  atATime--;
  return most;
}

let initial: unknown[] = [];

/** What a pool calls first on each thread; late, as a careful one may be. */
export async function initialize(...args: unknown[]): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 20));
  initial = args;
}

/** A first call whose result cannot be copied. */
export async function initializeOddly(...args: unknown[]): Promise<unknown> {
  await initialize(...args);
  return () => {};
}

/** What it was called with. */
export function initialArguments(): unknown[] {
  return initial.map((arg) => arg instanceof AbortSignal ? arg.aborted : arg);
}

/** A first call that fails. */
export function initializeBadly(): never {
  throw new RangeError("no way to begin");
}

/** Not known on the other side, unlike the export of that name. */
const Nameless = class FlagErrors extends Error {};

/** No class, but it has the name of one. */
export const FlagErrors = 7;

/** Its argument; the signal is not used. */
export function take(n: number, _signal: AbortSignal): number {
  return n;
}

/** An error that does not let a field be set. */
export class OwnIdeas extends Error {
  /** Looks like a field of the copy. */
  get status(): number {
    return 1;
  }
}

/** The sum of two numbers. */
export function add(a: number, b: number): number {
  return a + b;
}

/** Throws what is asked for. */
export async function fail(what: string): Promise<never> {
  switch (what) {
    case "FlagError":
      throw new FlagError(418, "BR");
    case "NotFound":
      return await Deno.readTextFile("no/such/file") as never;
    case "TypeError":
      throw new TypeError("of the runtime");
    case "DOMException":
      throw new DOMException("too late", "TimeoutError");
    case "cause":
      throw new Error("outer", { cause: new SyntaxError("inner") });
    case "uncopyable":
      throw Object.assign(new FlagError(500, "BR"), { f() {} });
    case "uncopyable cause":
      throw new FlagError(500, "BR", { cause: () => {} });
    case "AggregateError":
      throw new AggregateError([new Error("one"), new Error("two")], "both");
    case "own ideas":
      throw Object.defineProperty(new OwnIdeas("with a getter"), "status", {
        value: 2,
        enumerable: true,
      });
    case "function":
      throw () => 1;
    case "symbol":
      throw Symbol("odd");
    case "unreadable":
      throw Object.defineProperty(new Error(), "message", {
        get() {
          throw new RangeError("do not ask");
        },
      });
    case "no class":
      throw new Nameless("7 is no class");
    default:
      throw what;
  }
}

/** A result that cannot be copied. */
export function uncopyable(): () => void {
  return () => {};
}

/** Never ends, unless it is given up. */
export async function wait(signal?: AbortSignal): Promise<string> {
  if (signal?.aborted) return "given up";
  return await new Promise((resolve) =>
    signal?.addEventListener("abort", () => resolve("given up"))
  );
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
  if (how === "throw") setTimeout(() => nowhere(), 0);
  if (how === "reject") Promise.reject(new Error("nobody catches this"));
  await wait();
}

function nowhere(): never {
  throw new Error("nobody catches this");
}

const SHELL = Deno.build.os === "windows" ? "cmd" : "sh";

/** Tries what needs a permission. */
export async function attempt(what: string): Promise<string> {
  const [name, path] = what.split(" ") as [string, string];
  const attempts: Record<string, () => unknown> = {
    read: () => Deno.readTextFile(path),
    write: () => Deno.writeTextFile(path, "", { append: true }),
    net: () => Deno.connect({ hostname: "127.0.0.1", port: Number(path) }),
    run: () => new Deno.Command(SHELL).output(),
    env: () => Deno.env.get("HOME"),
    sys: () => Deno.hostname(),
    ffi: () => Deno.dlopen("libc.so.6", {}),
  };
  try {
    await attempts[name]!();
    return "ok";
  } catch (error) {
    return (error as Error).name;
  }
}
