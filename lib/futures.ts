/**
 * The parts of Python's `concurrent.futures` that the chapter uses.
 *
 * @module
 */

import { pooledMap } from "@std/async/pool";
import type { Answer, Copy } from "./worker.ts";

/** A call that is pending, running or done, and its outcome. */
export class Future<R> {
  readonly #call: () => R | Promise<R>;
  readonly #ended = Promise.withResolvers<void>();
  #state: "pending" | "running" | "returned" | "raised" | "cancelled" =
    "pending";
  #outcome: unknown;

  /** Creating a future does not start its call. */
  constructor(call: () => R | Promise<R>) {
    this.#call = call;
  }

  /**
   * Make the call, unless it was started or cancelled before. (An executor starts its
   * futures.) The promise is fulfilled when the call has ended, and never rejected.
   */
  async start(): Promise<void> {
    if (this.#state !== "pending") return await this.#ended.promise;
    this.#state = "running";
    try {
      this.#outcome = await this.#call();
      this.#state = "returned";
    } catch (error) {
      this.#outcome = error;
      const isAbort = error instanceof DOMException &&
        error.name === "AbortError";
      this.#state = isAbort ? "cancelled" : "raised";
    }
    this.#ended.resolve();
  }

  /** Cancel a call that has not started; return whether the future is cancelled. */
  cancel(): boolean {
    if (this.#state === "pending") {
      this.#state = "cancelled";
      this.#outcome = new DOMException("Cancelled", "AbortError");
      this.#ended.resolve();
    }
    return this.cancelled;
  }

  /** True once the call has returned, thrown an error or been cancelled. */
  get done(): boolean {
    return this.#state !== "pending" && this.#state !== "running";
  }

  /** True once the future is cancelled or its call has thrown an `AbortError`. */
  get cancelled(): boolean {
    return this.#state === "cancelled";
  }

  /**
   * Return the result of the call. Unlike in Python, this method does not wait: loop
   * over {@linkcode asCompleted} to wait, even for a single future.
   *
   * @throws {unknown} The error that the call threw, or an `Error` if it is not done.
   */
  result(): R {
    if (this.#state === "returned") return this.#outcome as R;
    if (this.done) throw this.#outcome;
    throw new Error(`${this} is not done: loop over asCompleted([future])`);
  }

  /**
   * Call `callback` with this future when it is done, or soon if it already is. As
   * in Python, an error that the callback throws is printed and otherwise ignored.
   */
  addDoneCallback(callback: (future: this) => void): void {
    this.#ended.promise.then(() => callback(this)).catch(console.error);
  }

  /** Format the future much like Python: `<Future state=finished returned 42>`. */
  toString(): string {
    if (!this.done || this.cancelled) return `<Future state=${this.#state}>`;
    let outcome: string = typeof this.#outcome;
    try {
      outcome = this.#outcome instanceof Error
        ? this.#outcome.constructor.name
        : Deno.inspect(this.#outcome, { compact: true, breakLength: Infinity });
    } catch { /* The value cannot be shown: show its type. */ }
    return `<Future state=finished ${this.#state} ${outcome}>`;
  }

  /** The text that `console.log` and `Deno.inspect` show. */
  [Symbol.for("Deno.customInspect")](): string {
    return this.toString();
  }
}

/**
 * Yield futures in the order of their completion, each one once. Cancelled futures
 * are skipped. (Python yields them, and their results throw.)
 *
 * @param futures Futures, or an asynchronous iterable of futures that are done.
 */
export async function* asCompleted<F extends Future<unknown>>(
  futures: Iterable<F> | AsyncIterable<F>,
): AsyncGenerator<F, void> {
  const done = Symbol.asyncIterator in futures
    ? futures
    : Array.from(new Set(futures), nextDone<F>());
  for await (const future of done) if (!future.cancelled) yield future;
}

/**
 * Return a function to call once with each future. Its n-th call returns a promise of
 * the n-th of these futures to finish.
 */
export function nextDone<F extends Future<unknown>>(): (
  future: F,
) => Promise<F> {
  const promises: PromiseWithResolvers<F>[] = [];
  let done = 0;
  return (future) => {
    const next = Promise.withResolvers<F>();
    promises.push(next);
    future.addDoneCallback(() => promises[done++]!.resolve(future));
    return next.promise;
  };
}

/** The error of calls whose thread has died or whose initializer has failed. */
export class BrokenThreadPool extends Error {}
BrokenThreadPool.prototype.name = "BrokenThreadPool";

/** Options of a {@linkcode ThreadPoolExecutor}. */
export interface ThreadPoolOptions {
  /** The most calls that run at a time, >= 1. */
  maxWorkers: number;
  /** URL of the module that exports the functions; by default the main module. */
  module?: string;
  /** Aborts the signal of each thread. */
  signal?: AbortSignal;
  /** A function of the module: each thread's first call. */
  initializer?: (...args: never[]) => unknown;
  /** Its arguments; the thread's signal follows them. */
  initargs?: unknown[];
}

/** The calls that a thread has not answered, by their ids. */
type Calls = Map<number, PromiseWithResolvers<unknown>>;
// deno-lint-ignore no-explicit-any
type Exports = Record<string, any>;

/** Break the pool of a thread that calls `main` or makes a pool; return the error. */
export function refuseOnThread(): Error {
  const why = "call main() and create pools under if (import.meta.main): " +
    "each thread imports this module, too";
  const answer: Answer = { why, isBroken: true };
  (globalThis as unknown as Partial<Worker>).postMessage?.(answer);
  return new Error(why);
}

/**
 * A pool that runs functions of a module on other threads, at most `maxWorkers`
 * calls at a time. Further calls wait in a queue.
 *
 * A worker is a slot of the pool, not a thread: a thread of JavaScript has an event
 * loop and keeps many calls in flight. The pool starts a thread when all others are
 * busy, up to four but not more than the machine has cores. Threads inherit the
 * permissions of the process, and each imports the module for itself. A pool for
 * functions of the main module therefore belongs under `if (import.meta.main)`. Idle
 * threads end after 100 ms, so an open pool does not keep the program alive.
 *
 * @example
 * ```ts
 * import { ThreadPoolExecutor } from "./futures.ts";
 * import { formatInterval } from "./tqdm.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const module = import.meta.resolve("./tqdm.ts");
 * await using executor = new ThreadPoolExecutor({ maxWorkers: 2, module });
 * const texts = executor.map(formatInterval, [59, 83]);
 * assertEquals(await Array.fromAsync(texts), ["00:59", "01:23"]);
 * ```
 */
export class ThreadPoolExecutor implements AsyncDisposable {
  readonly #options: ThreadPoolOptions & { module: string };
  readonly #threads = new Map<Worker, Calls>();
  readonly #drained: Promise<void>;
  #queue!: ReadableStreamDefaultController<Future<unknown>>;
  #idle = new AbortController();
  #isShut = false;
  #broken: BrokenThreadPool | undefined;
  #exports: Exports | Promise<Exports> = {};
  #calls = 0;

  /**
   * Create a pool, without threads yet. A thread of `module` cannot create one.
   * @throws {RangeError} If `maxWorkers` is not a whole number >= 1.
   */
  constructor(options: ThreadPoolOptions) {
    const { maxWorkers, signal } = options;
    if (!Number.isInteger(maxWorkers) || maxWorkers < 1) {
      const rule = "maxWorkers must be a whole number >= 1";
      throw new RangeError(`${rule}, not ${maxWorkers}`);
    }
    // The name of a thread is its module; a thread has no main module.
    const { name } = globalThis as { name?: string };
    const module = new URL(options.module ?? Deno.mainModule ?? name).href;
    if (module === name) throw refuseOnThread();
    this.#options = { ...options, module };
    signal?.addEventListener("abort", this.#abort);
    const queue = new ReadableStream<Future<unknown>>({
      start: (controller) => void (this.#queue = controller),
    });
    const calls = pooledMap(maxWorkers, queue, (future) => future.start());
    this.#drained = (async () => {
      for await (const _ of calls);
    })();
    // Importing the main module waits for its code, which may wait for this pool.
    const imported = import(module).catch(() => ({}));
    if (module !== Deno.mainModule) this.#exports = imported;
    else imported.then((exports) => this.#exports = exports);
  }

  /**
   * Queue a call of a function that the module exports under its name.
   *
   * Arguments and result are copied as by `structuredClone`. An error comes back
   * with its fields, and with its class if the module or the runtime exports that.
   * (Classes of the main module are known when its code has run: call `main()` without
   * `await` there.)
   *
   * @throws {Error} If the pool is shut down or broken.
   */
  submit<A extends unknown[], R>(
    fn: (...args: A) => R | Promise<R>,
    ...args: A
  ): Future<R> {
    if (this.#isShut) throw new Error("the pool is shut down");
    if (this.#broken) throw this.#broken;
    const future = new Future(() => this.#post(fn, args) as Promise<R>);
    this.#queue.enqueue(future);
    return future;
  }

  /**
   * Queue `fn(a0, b0)`, `fn(a1, b1)` and so on, all at once, up to the end of the
   * shortest iterable, and yield the results in this order. As in Python, calls that
   * have not started are cancelled when the loop is left or when a call throws.
   */
  map<A extends unknown[], R>(
    fn: (...args: A) => R | Promise<R>,
    ...iterables: { [I in keyof A]: Iterable<A[I]> }
  ): AsyncGenerator<R, void> {
    const iterators = (iterables as Iterable<unknown>[]).map(Iterator.from);
    const futures: Future<R>[] = [];
    while (iterators.length > 0) {
      const items = iterators.map((iterator) => iterator.next());
      if (items.some(({ done }) => done)) break;
      futures.push(this.submit(fn, ...items.map(({ value }) => value) as A));
    }
    return async function* () {
      try {
        for (const future of futures) {
          for await (const _ of asCompleted([future]));
          yield future.result();
        }
      } finally {
        for (const future of futures) future.cancel();
      }
    }();
  }

  /** Wait for the calls, then end the threads. Further calls are refused. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isShut) this.#queue.close();
    this.#isShut = true;
    await this.#drained;
    this.#options.signal?.removeEventListener("abort", this.#abort);
    this.#idle.abort(); // The timer would keep the program alive.
    for (const thread of this.#threads.keys()) this.#end(thread);
  }

  #abort = () => {
    for (const thread of this.#threads.keys()) thread.postMessage({});
  };

  /** End the threads after 100 ms without a call. */
  #endWhenIdle(): void {
    this.#idle.abort();
    const { signal } = this.#idle = new AbortController();
    // Much cheaper than the first `setTimeout` of a program.
    AbortSignal.timeout(100).addEventListener("abort", () => {
      for (const [thread, { size }] of this.#threads) {
        if (size === 0) this.#end(thread);
      }
    }, { signal });
  }

  /** Return the thread with the fewest calls, or start one if all are busy. */
  #leastBusy(): Worker {
    const [least] = [...this.#threads].sort(([, a], [, b]) => a.size - b.size);
    // Two to four threads were as fast as any number.
    const most = Math.min(navigator.hardwareConcurrency, 4);
    const mayStart = this.#threads.size < most && least?.[1].size !== 0;
    return least && !mayStart ? least[0] : this.#start();
  }

  async #post(
    fn: { name: string },
    args: unknown[],
    starting?: Worker,
  ): Promise<unknown> {
    if (this.#broken) throw this.#broken; // Start no thread for the call.
    const thread = starting ?? this.#leastBusy();
    const [id, { name }, text] = [this.#calls++, fn, `${fn}`];
    thread.postMessage({ id, name, text, args, isInitial: !!starting });
    const answer = Promise.withResolvers<unknown>();
    this.#threads.get(thread)!.set(id, answer);
    return await answer.promise;
  }

  #start(): Worker {
    const { module, initializer, initargs = [], signal } = this.#options;
    const url = new URL("worker.ts", import.meta.url);
    const thread = new Worker(url, { type: "module", name: module });
    const calls: Calls = new Map();
    this.#threads.set(thread, calls);
    this.#endWhenIdle(); // If the call cannot be posted, the thread is idle.
    thread.onmessage = async ({ data }: MessageEvent<Answer>) => {
      const { id = NaN, value, thrown, why, isBroken } = data ?? {};
      if (why) return this.#end(thread, why, isBroken);
      const call = calls.get(id);
      calls.delete(id);
      if (calls.size === 0) this.#endWhenIdle();
      if (!thrown) return call?.resolve(value);
      call?.reject(rebuild(thrown, await this.#exports));
    };
    thread.onerror = (event) => {
      event.preventDefault();
      // No file name means that worker.ts could not be loaded: no thread can start.
      this.#end(thread, event.message, event.filename === "");
    };
    if (signal?.aborted) thread.postMessage({});
    if (initializer) {
      this.#post(initializer, initargs, thread).catch((error) =>
        this.#end(thread, `the initializer failed: ${error}`, true)
      );
    }
    return thread;
  }

  /** End a thread and fail its calls; `isBroken` fails all further calls, too. */
  #end(thread: Worker, why = "", isBroken = false): void {
    const message = isBroken ? why : `a thread has died: ${why}`;
    const error = this.#broken ?? new BrokenThreadPool(message);
    if (isBroken) this.#broken = error;
    for (const [, call] of this.#threads.get(thread) ?? []) call.reject(error);
    thread.terminate();
    this.#threads.delete(thread);
  }
}

/** Rebuild what a thread has thrown, with the classes of its errors. */
function rebuild(copy: Copy, exports: Exports): unknown {
  const { value, fields, className = "", place = -1 } = copy;
  if (!fields) return value;
  const places: Exports[] = [exports, Deno.errors, globalThis];
  const Class = places[place]?.[className] ?? Error;
  const rebuilt = Class === DOMException // An Error cannot become one.
    ? new DOMException(`${fields.message?.value}`, `${fields.name?.value}`)
    : Class === Array
    ? []
    // On Deno 2.5, the stack of a new Error hid the thread's; a clone's did not.
    : structuredClone(new Error());
  Object.setPrototypeOf(rebuilt, Class.prototype ?? Error.prototype);
  for (const [key, part] of Object.entries(fields)) {
    const value = rebuild(part, exports);
    const enumerable = !/^(name|message|stack|cause|errors)$/.test(key);
    const property = { value, enumerable, writable: true, configurable: true };
    Object.defineProperty(rebuilt, key, property);
  }
  return rebuilt;
}
