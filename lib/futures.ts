/**
 * What the chapter takes from Python's `concurrent.futures`: {@linkcode
 * ThreadPoolExecutor}, {@linkcode Future} and {@linkcode asCompleted}.
 *
 * @module
 */

import { pooledMap } from "@std/async/pool";
import type { Answer, Call } from "./worker.ts";

/** Makes a future's call, once; fulfilled when it has ended, never rejected. */
let start: (future: Future<unknown>) => Promise<void>;

/**
 * A call that waits to be made, is being made, or has ended. Whoever has it may
 * ask how the call ended; its executor makes the call, and nobody else can.
 */
export class Future<R> {
  readonly #call: () => R | Promise<R>;
  readonly #ended = Promise.withResolvers<void>();
  #state: "pending" | "running" | "finished" | "cancelled" = "pending";
  #outcome: PromiseSettledResult<R> | undefined;

  /** Nothing is called yet. */
  constructor(call: () => R | Promise<R>) {
    this.#call = call;
  }

  static {
    start = (future) => {
      if (future.#state === "pending") future.#start();
      return future.#ended.promise;
    };
  }

  async #start(): Promise<void> {
    this.#state = "running";
    try {
      this.#outcome = { status: "fulfilled", value: await this.#call() };
      this.#state = "finished";
    } catch (reason) {
      const isCancelled = reason instanceof DOMException &&
        reason.name === "AbortError";
      this.#outcome = { status: "rejected", reason };
      this.#state = isCancelled ? "cancelled" : "finished";
    }
    this.#ended.resolve();
  }

  /** Whether the call has ended, whichever way. */
  get done(): boolean {
    return this.#outcome !== undefined;
  }

  /** Whether it was given up: it threw an `AbortError`. */
  get cancelled(): boolean {
    return this.#state === "cancelled";
  }

  /**
   * What the call returned. It does not block, as Python's may.
   *
   * @throws {unknown} What the call threw.
   * @throws {Error} When the call is not done.
   */
  result(): R {
    if (!this.#outcome) throw new Error("the future is not done");
    if (this.#outcome.status === "rejected") throw this.#outcome.reason;
    return this.#outcome.value;
  }

  /**
   * Calls `callback` when the future is done, soon if it is already. What it
   * throws is printed and no more, as in Python.
   */
  addDoneCallback(callback: (future: this) => void): void {
    this.#ended.promise.then(() => callback(this)).catch(console.error);
  }
}

/**
 * A future without an executor: like a coroutine object of Python, it does
 * nothing until somebody starts it.
 *
 * @example
 * ```ts
 * import { LazyFuture } from "./futures.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const future = new LazyFuture(() => 6 * 7);
 * assertEquals(future.done, false);
 * await future.start();
 * assertEquals(future.result(), 42);
 * ```
 */
export class LazyFuture<R> extends Future<R> {
  /** Makes the call, once; fulfilled when it has ended, never rejected. */
  start(): Promise<void> {
    return start(this);
  }
}

/**
 * The futures in the order in which they are done: those that are done already
 * first, each one once. It only waits; whoever made the futures starts them.
 *
 * A cancelled future is passed over. (Python yields it, and its result throws.)
 *
 * @example
 * ```ts
 * import { asCompleted, LazyFuture } from "./futures.ts";
 * import { delay } from "@std/async/delay";
 * import { assertEquals } from "@std/assert";
 *
 * const late = new LazyFuture(() => delay(50).then(() => "late"));
 * const soon = new LazyFuture(() => "soon");
 * for (const future of [late, soon]) future.start();
 * const done = await Array.fromAsync(asCompleted([late, soon]));
 * assertEquals(done.map((future) => future.result()), ["soon", "late"]);
 * ```
 *
 * @throws {unknown} What the iterable throws.
 */
export async function* asCompleted<F extends Future<unknown>>(
  futures: Iterable<F>,
): AsyncGenerator<F, void> {
  const all = new Set(futures);
  const done: F[] = [];
  let wake = () => {};
  for (const future of all) {
    future.addDoneCallback(() => {
      done.push(future);
      wake();
    });
  }
  for (let left = all.size; left > 0; left--) {
    if (done.length === 0) await new Promise<void>((next) => wake = next);
    const future = done.shift()!;
    if (!future.cancelled) yield future;
  }
}

/**
 * Thrown for the calls that were on a thread when it died, and, as in Python, for
 * all calls once an initializer has failed.
 */
export class BrokenThreadPool extends Error {
  static {
    this.prototype.name = "BrokenThreadPool";
  }
}

/** How to build a {@linkcode ThreadPoolExecutor}. */
export interface ThreadPoolOptions {
  /** The most calls that run at a time, >= 1. */
  maxWorkers: number;
  /** URL of the module that exports the functions to call. */
  module: string;
  /**
   * What the threads may do; by default all that the caller may. Where `import`
   * is left out, it is the caller's: the code may need a registry.
   */
  permissions?: Deno.PermissionOptions;
  /** A function of the module: each thread's first call. */
  // deno-lint-ignore no-explicit-any
  initializer?: (...args: any[]) => unknown;
  /** Its arguments. */
  initargs?: unknown[];
}

/** A thread, and the calls that wait for it. */
interface Thread {
  worker: Worker;
  calls: Map<number, PromiseWithResolvers<unknown>>;
}

/** Two to four threads were as fast as any number. */
const MAX_THREADS = 4;

/**
 * Runs functions of a module on other threads, at most `maxWorkers` calls at a
 * time; the others wait in a queue.
 *
 * Here a worker is a place in the pool, not a thread: a thread of JavaScript
 * has an event loop and keeps many calls in flight. So there are at most four
 * threads (Deno calls those workers), and no more than cores, started as they
 * are needed.
 *
 * Leaving its `await using` block waits for the calls and ends the threads.
 *
 * @example
 * ```ts
 * import { asCompleted, ThreadPoolExecutor } from "./futures.ts";
 * import { formatInterval } from "./tqdm.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const module = import.meta.resolve("./tqdm.ts");
 * await using executor = new ThreadPoolExecutor({ maxWorkers: 1, module });
 * const future = executor.submit(formatInterval, 83);
 * for await (const done of asCompleted([future])) {
 *   assertEquals(done.result(), "01:23");
 * }
 * ```
 */
export class ThreadPoolExecutor implements AsyncDisposable {
  readonly #options: ThreadPoolOptions;
  readonly #threads: Thread[] = [];
  readonly #maxThreads: number;
  readonly #cleanUp = new DisposableStack();
  readonly #pending = new Set<Future<unknown>>();
  #queue!: ReadableStreamDefaultController<Future<unknown>>;
  #isShutDown = false;
  #broken: BrokenThreadPool | undefined;
  #calls = 0;

  /**
   * No thread is started before the first call.
   *
   * @throws {RangeError} When `maxWorkers` is no whole number >= 1.
   */
  constructor(options: ThreadPoolOptions) {
    const { maxWorkers } = options;
    if (!Number.isInteger(maxWorkers) || maxWorkers < 1) {
      throw new RangeError(
        `maxWorkers must be a whole number >= 1, not ${maxWorkers}`,
      );
    }
    const { hardwareConcurrency } = navigator;
    this.#maxThreads = Math.min(maxWorkers, hardwareConcurrency, MAX_THREADS);
    this.#options = options;
    const queue = new ReadableStream<Future<unknown>>({
      start: (controller) => void (this.#queue = controller),
    });
    // It goes on whether or not anybody reads what it yields.
    pooledMap(maxWorkers, queue, start);
  }

  /**
   * Queue a call of a function that the module exports.
   *
   * Arguments and result are copied, as `structuredClone` does, but for one
   * argument that may be an `AbortSignal`: an abort reaches the thread while the
   * call lasts. What the function throws comes back with its class and its
   * fields.
   *
   * @throws {TypeError} When the function has no name to find it by.
   * @throws {BrokenThreadPool} When an initializer has failed.
   * @throws {Error} When the pool is shut down.
   */
  submit<A extends unknown[], R>(
    fn: (...args: A) => R | Promise<R>,
    ...args: A
  ): Future<R> {
    if (this.#isShutDown) throw new Error("the pool is shut down");
    if (this.#broken) throw this.#broken;
    if (!fn.name) {
      throw new TypeError(
        `a thread finds a function by its name in ${this.#options.module}: ` +
          `${fn} has none`,
      );
    }
    const future = new Future(async () => {
      if (this.#broken) throw this.#broken;
      return await this.#post(this.#leastBusy(), fn.name, args) as R;
    });
    this.#pending.add(future);
    future.addDoneCallback(() => this.#pending.delete(future));
    this.#queue.enqueue(future);
    return future;
  }

  /** Wait for the calls, then end the threads. Further calls are refused. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isShutDown) this.#queue.close();
    this.#isShutDown = true;
    for await (const _ of asCompleted(this.#pending));
    this.#cleanUp.dispose();
  }

  /** The thread with the fewest calls, or a new one when all have some. */
  #leastBusy(): Thread {
    const [thread] = this.#threads.toSorted((a, b) =>
      a.calls.size - b.calls.size
    );
    const isFull = this.#threads.length === this.#maxThreads;
    return thread && (isFull || thread.calls.size === 0)
      ? thread
      : this.#start();
  }

  /** Make a call on a thread; with `initial`, its signal is the thread's. */
  async #post(
    { worker, calls }: Thread,
    name: string,
    args: unknown[],
    initial = false,
  ): Promise<unknown> {
    const id = this.#calls++;
    const signalAt = args.findIndex((arg) => arg instanceof AbortSignal);
    const signal = args[signalAt] as AbortSignal | undefined;
    const copies = args.map((arg, i) => i === signalAt ? null : arg);
    const call: Call = { id, name, args: copies, signalAt, initial };
    worker.postMessage(call);
    const abort = () => worker.postMessage({ id } satisfies Call);
    if (signal?.aborted) abort();
    signal?.addEventListener("abort", abort);
    const forget = () => signal?.removeEventListener("abort", abort);
    if (initial) this.#cleanUp.defer(forget);
    const answer = Promise.withResolvers<unknown>();
    calls.set(id, answer);
    try {
      return await answer.promise;
    } finally {
      calls.delete(id);
      if (!initial) forget();
    }
  }

  #start(): Thread {
    const { module, permissions = "inherit", initializer, initargs = [] } =
      this.#options;
    const worker = new Worker(new URL("worker.ts", import.meta.url), {
      type: "module",
      name: module,
      deno: {
        permissions: typeof permissions === "string"
          ? permissions
          : { import: "inherit", ...permissions },
      },
    });
    const thread: Thread = { worker, calls: new Map() };
    const die = (why: unknown) => {
      const error = this.#broken ??
        new BrokenThreadPool(`a thread has died: ${why}`);
      for (const { reject } of thread.calls.values()) reject(error);
      worker.terminate();
      const at = this.#threads.indexOf(thread);
      if (at >= 0) this.#threads.splice(at, 1);
    };
    worker.onmessage = async ({ data }: MessageEvent<Answer>) => {
      if (data.id === undefined) return die(data.error);
      const call = thread.calls.get(data.id);
      thread.calls.delete(data.id);
      if ("error" in data) call?.reject(await withItsClass(data, module));
      else call?.resolve(data.value);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      die(event.message);
    };
    this.#threads.push(thread);
    this.#cleanUp.defer(() => worker.terminate());
    if (initializer) {
      this.#post(thread, initializer.name, initargs, true).catch((why) => {
        const message = `the initializer has failed: ${why}`;
        this.#broken = new BrokenThreadPool(message);
        die(why);
      });
    }
    return thread;
  }
}

/**
 * What was thrown on a thread, of its class again: one that `module` exports, or
 * one of the runtime's. Where that cannot be had, it is as it came.
 */
async function withItsClass(
  { error, className, fields }: Answer,
  module: string,
): Promise<unknown> {
  if (!className || !(error instanceof Error)) return error;
  try {
    const places = [await import(module), Deno.errors, globalThis];
    const prototype = places
      .map((place) => Object.hasOwn(place, className) && place[className])
      .find((value) => value?.prototype instanceof Error)?.prototype;
    if (prototype) Object.setPrototypeOf(error, prototype);
    Object.assign(error, fields);
  } catch { /* The module is not there, or the class has ideas of its own. */ }
  return error;
}
