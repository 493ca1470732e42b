/**
 * What the chapter takes from Python's `concurrent.futures`: {@linkcode
 * ThreadPoolExecutor}, {@linkcode Future} and {@linkcode asCompleted}.
 *
 * @module
 */

import type { Answer, Call, Copy } from "./worker.ts";

/** The method that makes a future's call: only this module can name it. */
const START = Symbol("start");

/**
 * A call that waits to be made, is being made, or has ended. Whoever has it may
 * ask how the call ended; its executor makes the call, and nobody else can.
 */
export class Future<R> {
  readonly #call: () => R | Promise<R>;
  readonly #ended = Promise.withResolvers<void>();
  #state: "pending" | "running" | "returned" | "raised" | "cancelled" =
    "pending";
  #outcome: unknown;

  /** Nothing is called yet. */
  constructor(call: () => R | Promise<R>) {
    this.#call = call;
  }

  /** Makes the call, once; fulfilled when it has ended, never rejected. */
  async [START](): Promise<void> {
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

  /** Whether the call has ended, whichever way. */
  get done(): boolean {
    return this.#state !== "pending" && this.#state !== "running";
  }

  /** Whether it was given up: it threw an `AbortError`. */
  get cancelled(): boolean {
    return this.#state === "cancelled";
  }

  /**
   * What the call returned. It does not wait, as Python's does: a loop over
   * {@linkcode asCompleted} waits, for one future, too.
   *
   * @throws {unknown} What the call threw.
   * @throws {Error} When the call is not done.
   */
  result(): R {
    if (this.#state === "returned") return this.#outcome as R;
    if (this.done) throw this.#outcome;
    const loop =
      "for await (const done of asCompleted([future])) done.result()";
    throw new Error(`${this} is not done; this waits for it: ${loop}`);
  }

  /**
   * Calls `callback` when the future is done, soon if it is already. What it
   * throws is printed and no more, as in Python.
   */
  addDoneCallback(callback: (future: this) => void): void {
    this.#ended.promise.then(() => callback(this)).catch(console.error);
  }

  /** As Python shows it: `<Future state=finished returned 42>`. */
  toString(): string {
    const { name } = this.constructor;
    if (!this.done || this.cancelled) return `<${name} state=${this.#state}>`;
    const what = this.#outcome instanceof Error
      ? this.#outcome.constructor.name
      : Deno.inspect(this.#outcome, { compact: true, breakLength: Infinity });
    return `<${name} state=finished ${this.#state} ${what}>`;
  }

  /** What `console.log` and `Deno.inspect` show. */
  [Symbol.for("Deno.customInspect")](): string {
    return this.toString();
  }
}

/**
 * A future without an executor: like a coroutine object of Python, it does
 * nothing until somebody starts it.
 */
export class LazyFuture<R> extends Future<R> {
  /** Makes the call, once; fulfilled when it has ended, never rejected. */
  start(): Promise<void> {
    return this[START]();
  }
}

/**
 * The futures in the order in which they are done: those that are done already
 * first, each one once. It only waits; whoever made the futures starts them.
 *
 * A cancelled future is passed over. (Python yields it, and its result throws.)
 *
 * @throws {unknown} What the iterable throws.
 */
export async function* asCompleted<F extends Future<unknown>>(
  futures: Iterable<F>,
): AsyncGenerator<F, void> {
  const all = new Set(futures);
  const places = Array.from(all, () => Promise.withResolvers<F>());
  let done = 0;
  for (const future of all) {
    future.addDoneCallback(() => places[done++]!.resolve(future));
  }
  for (const { promise } of places) {
    const future = await promise;
    if (!future.cancelled) yield future;
  }
}

/**
 * Thrown for the calls that were on a thread when it died, and for all calls once
 * a thread could not be started or, as in Python, an initializer has failed.
 */
export class BrokenThreadPool extends Error {}
BrokenThreadPool.prototype.name = "BrokenThreadPool";

/** How to build a {@linkcode ThreadPoolExecutor}. */
export interface ThreadPoolOptions {
  /** The most calls that run at a time, >= 1. */
  maxWorkers: number;
  /** URL of the module that exports the functions; by default the main module. */
  module?: string;
  /**
   * What the threads may do; by default all that the caller may, as with `import`
   * where that is left out. To give any takes `--unstable-worker-options`.
   */
  permissions?: Deno.PermissionOptions;
  /** A function of the module: each thread's first call. */
  initializer?: (...args: never[]) => unknown;
  /** Its arguments. */
  initargs?: unknown[];
}

/** A thread, the calls that wait for it, and what its end has to do. */
interface Thread {
  worker: Worker;
  calls: Map<number, PromiseWithResolvers<unknown>>;
  forget?: () => void;
}

/** What a module exports. */
// deno-lint-ignore no-explicit-any
type Exports = Record<string, any>;

/** What a thread says that would do what is its main module's. */
export const UNGUARDED =
  "put this under if (import.meta.main): a thread imports this module, too";

/**
 * Runs functions of a module on other threads, at most `maxWorkers` calls at a
 * time; the others wait in a queue.
 *
 * Here a worker is a place in the pool, not a thread: a thread of JavaScript
 * has an event loop and keeps many calls in flight. So there are at most four
 * threads, and no more than cores, started as they are needed. Each imports the
 * module for itself, so a pool for the script's own functions has to stand under
 * `if (import.meta.main)`.
 *
 * Leaving its `await using` block waits for the calls and ends the threads. Idle
 * threads end by themselves: the program would not, without such a block.
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
  readonly #threads = new Set<Thread>();
  readonly #queue: Future<unknown>[] = [];
  readonly #running = new Set<Future<unknown>>();
  #idle = new AbortController();
  #isShut = false;
  #broken: BrokenThreadPool | undefined;
  #exports: Exports | Promise<Exports> | undefined;
  #calls = 0;

  /**
   * No thread is started before the first call.
   *
   * @throws {RangeError} When `maxWorkers` is not a whole number >= 1.
   * @throws {TypeError} When `module` is not a URL.
   * @throws {Error} On a thread, for the very module that the thread imports:
   *   its threads would make pools as well, without end.
   */
  constructor(options: ThreadPoolOptions) {
    const { maxWorkers } = options;
    if (!Number.isInteger(maxWorkers) || maxWorkers < 1) {
      const rule = "maxWorkers must be a whole number >= 1";
      throw new RangeError(`${rule}, not ${maxWorkers}`);
    }
    // A thread has a name, its module's, and no main module.
    const { name } = globalThis as { name?: string };
    const module = new URL(options.module ?? Deno.mainModule ?? name).href;
    if (module === name) throw new Error(UNGUARDED);
    this.#options = { ...options, module };
    const imported = import(module).catch(() => ({}));
    // That waits for the end of a main module, which may wait for this pool.
    if (module !== Deno.mainModule) this.#exports = imported;
    else imported.then((exports) => this.#exports = exports);
  }

  /**
   * Queue a call of a function that the module exports under its name. When it
   * does not, or another one, the future throws a `TypeError`.
   *
   * Arguments and result are copied, as `structuredClone` does, but for one
   * argument that may be an `AbortSignal`: an abort reaches the thread while the
   * call lasts. An error comes back with its fields, and of its class if that is
   * the runtime's or exported, too. (Classes of the main module are known when
   * it has run to its end: let it call `main()` without `await`.)
   *
   * @throws {BrokenThreadPool} When no thread can be started, or an initializer
   *   has failed.
   * @throws {Error} When the pool is shut down.
   */
  submit<A extends unknown[], R>(
    fn: (...args: A) => R | Promise<R>,
    ...args: A
  ): Future<R> {
    if (this.#isShut) throw new Error("the pool is shut down");
    if (this.#broken) throw this.#broken;
    const future = new Future(async () => {
      const exports = await this.#exports;
      const isOther = exports !== undefined && exports[fn.name] !== fn;
      if (this.#broken) throw this.#broken;
      return await this.#post(this.#leastBusy(), fn, args, { isOther }) as R;
    });
    this.#queue.push(future);
    if (this.#running.size < this.#options.maxWorkers) this.#makeCalls();
    return future;
  }

  /**
   * Queue a call for each item, or, as long as all iterables have one, for each
   * first item, each second and so on: all at once.
   *
   * @returns What the calls return, in this order, or throw, as their turn comes.
   * @throws {unknown} What {@linkcode ThreadPoolExecutor.submit} throws.
   */
  map<A extends unknown[], R>(
    fn: (...args: A) => R | Promise<R>,
    ...iterables: { [I in keyof A]: Iterable<A[I]> }
  ): AsyncGenerator<R, void> {
    const iterators = (iterables as Iterable<unknown>[])
      .map((items) => items[Symbol.iterator]());
    const futures: Future<R>[] = [];
    while (iterators.length > 0) {
      const items = iterators.map((iterator) => iterator.next());
      if (items.some(({ done }) => done)) break;
      futures.push(this.submit(fn, ...items.map(({ value }) => value) as A));
    }
    return async function* () {
      for (const future of futures) {
        for await (const _ of asCompleted([future]));
        yield future.result();
      }
    }();
  }

  /** Wait for the calls, then end the threads. Further calls are refused. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isShut = true;
    const futures = [...this.#running, ...this.#queue];
    for await (const _ of asCompleted(futures));
    this.#idle.abort(); // A program would wait for the timer.
    for (const thread of this.#threads) this.#end(thread);
  }

  /** Make calls of the queue, one after the other, as long as there are some. */
  async #makeCalls(): Promise<void> {
    for (let future; (future = this.#queue.shift());) {
      this.#running.add(future);
      await future[START]();
      this.#running.delete(future);
    }
    if (this.#running.size === 0) this.#endWhenIdle();
  }

  /** End the threads after 100 ms without a call. */
  #endWhenIdle(): void {
    this.#idle.abort();
    const { signal } = this.#idle = new AbortController();
    // Much cheaper than the first `setTimeout` of a program.
    AbortSignal.timeout(100).addEventListener("abort", () => {
      for (const thread of this.#threads) {
        if (thread.calls.size === 0) this.#end(thread);
      }
    }, { signal });
  }

  /** The thread with the fewest calls, or a new one when all have some. */
  #leastBusy(): Thread {
    const order = (a: Thread, b: Thread) => a.calls.size - b.calls.size;
    const [thread] = [...this.#threads].sort(order);
    // Two to four threads were as fast as any number.
    const most = Math.min(navigator.hardwareConcurrency, 4);
    const isFull = this.#threads.size === most;
    return isFull || thread?.calls.size === 0 ? thread! : this.#start();
  }

  /** Make a call on a thread; with `initial`, its signal is the thread's. */
  async #post(
    thread: Thread,
    fn: { name: string },
    args: unknown[],
    { initial = false, isOther = false } = {},
  ): Promise<unknown> {
    const { worker, calls } = thread;
    const id = this.#calls++;
    const signalAt = args.findIndex((arg) => arg instanceof AbortSignal);
    const signal = args[signalAt] as AbortSignal | undefined;
    const post = (call: Call) => worker.postMessage(call);
    const abort = () => post({ id });
    const forget = () => signal?.removeEventListener("abort", abort);
    if (initial) thread.forget = forget;
    const answer = Promise.withResolvers<unknown>();
    try {
      const copies = args.map((arg, i) => i === signalAt ? null : arg);
      const call = { id, name: fn.name, text: String(fn), isOther, initial };
      post({ ...call, args: copies, signalAt });
      calls.set(id, answer);
      if (signal?.aborted) abort();
      signal?.addEventListener("abort", abort);
      return await answer.promise;
    } finally {
      if (!initial) forget();
    }
  }

  #start(): Thread {
    const { module, permissions, initializer, initargs = [] } = this.#options;
    const granted = typeof permissions === "object"
      ? { import: "inherit" as const, ...permissions }
      : permissions;
    const worker = new Worker(new URL("worker.ts", import.meta.url), {
      type: "module",
      name: module,
      ...granted && { deno: { permissions: granted } },
    });
    const thread: Thread = { worker, calls: new Map() };
    worker.onmessage = async ({ data }: MessageEvent<Answer>) => {
      if (data.id === undefined) {
        const why = String(data.value);
        return this.#end(thread, why, why.includes(UNGUARDED));
      }
      const call = thread.calls.get(data.id);
      thread.calls.delete(data.id);
      if (!data.thrown) return call?.resolve(data.value);
      call?.reject(rebuilt(data.thrown, await this.#exports ?? {}));
    };
    // The thread itself tells of its errors: this one is that it cannot begin.
    worker.onerror = (event) => {
      event.preventDefault();
      this.#end(thread, `no thread can be started: ${event.message}`, true);
    };
    this.#threads.add(thread);
    if (initializer) {
      this.#post(thread, initializer, initargs, { initial: true })
        .catch((why) =>
          this.#end(thread, `the initializer failed: ${why}`, true)
        )
        .finally(() => this.#endWhenIdle());
    }
    return thread;
  }

  /** End a thread; its calls fail, and all when another would do no better. */
  #end(thread: Thread, why = "", isBroken = false): void {
    const message = isBroken ? why : `a thread has died: ${why}`;
    const error = this.#broken ?? new BrokenThreadPool(message);
    if (isBroken) this.#broken = error;
    for (const { reject } of thread.calls.values()) reject(error);
    this.#threads.delete(thread);
    thread.forget?.();
    thread.worker.terminate();
  }
}

/** What was thrown on a thread, of its class again. */
function rebuilt(copy: Copy, exports: Exports): unknown {
  const { value, items, fields, className = "Error", isExported } = copy;
  if (items) return items.map((it) => rebuilt(it, exports));
  if (!fields) return value;
  const places: Exports[] = isExported ? [exports] : [Deno.errors, globalThis];
  const Class = places.find((it) => it[className])?.[className] ?? Error;
  const [name, message] = [fields.name?.value, fields.message?.value];
  const error = Class === DOMException
    ? new DOMException(`${message}`, `${name}`) // An Error cannot become one.
    // A clone has no stack of its own, which would be shown for the thread's.
    : Object.setPrototypeOf(structuredClone(new Error()), Class.prototype);
  for (const [key, part] of Object.entries(fields)) {
    const value = rebuilt(part, exports);
    const enumerable = !/^(name|message|stack|cause|errors)$/.test(key);
    const property = { value, enumerable, writable: true, configurable: true };
    Object.defineProperty(error, key, property);
  }
  return error;
}
