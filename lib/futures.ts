/**
 * What the chapter takes from Python's `concurrent.futures`: {@linkcode
 * ThreadPoolExecutor} and {@linkcode asCompleted}. The module is also the code
 * that each thread of an executor runs.
 *
 * @module
 */

import { pooledMap } from "@std/async/pool";

/**
 * One call and its outcome, as {@linkcode asCompleted} yields it: it is always
 * done.
 */
export interface Future<T, R> {
  /** What the call was for: callout (16). */
  readonly item: T;
  /** The call's value; throws the call's error: callout (14). */
  result(): R;
}

/**
 * Call `fn` for each item, at most `poolLimit` at a time, and yield the calls
 * in the order in which they are done: std `pooledMap`, which yields in the
 * order of the items, with the results taken from inside the mapping. Callouts
 * (8), (11) and (13) of the thread pool's script.
 *
 * Once the loop over it is left or `signal` is aborted, no further call is
 * started; a call that fails after the abort was given up and is not yielded.
 *
 * @example
 * ```ts
 * import { asCompleted } from "./futures.ts";
 * import { delay } from "@std/async/delay";
 * import { assertEquals } from "@std/assert";
 *
 * const nap = (ms: number) => delay(ms).then(() => ms);
 * const futures = await Array.fromAsync(asCompleted(2, [50, 1], nap));
 * assertEquals(futures.map((future) => future.result()), [1, 50]);
 * ```
 *
 * @param poolLimit Most calls at a time, >= 1.
 * @param items What to call `fn` for.
 * @param fn The call.
 * @param signal Ends the run early.
 * @returns The calls, each with its item, as they are done.
 */
export function asCompleted<T, R>(
  poolLimit: number,
  items: Iterable<T>,
  fn: (item: T) => Promise<R>,
  signal?: AbortSignal,
): ReadableStream<Future<T, R>> {
  let left = false;
  return new ReadableStream({
    async start(controller) {
      const mapping = pooledMap(poolLimit, items, async (item) => {
        // Leaving the loop over pooledMap, or throwing in it, ends the process
        // (denoland/std#2197): let the rest of the mapping do nothing instead.
        if (left || signal?.aborted) return;
        const [outcome] = await Promise.allSettled([fn(item)]);
        if (left || (signal?.aborted && outcome.status === "rejected")) return;
        controller.enqueue({
          item,
          result() {
            if (outcome.status === "rejected") throw outcome.reason;
            return outcome.value;
          },
        });
      });
      for await (const _ of mapping);
      if (!left) controller.close();
    },
    cancel() {
      left = true;
    },
  });
}

/**
 * Thrown for the calls that wait on a thread which has died, and by `submit`
 * ever after.
 */
export class BrokenThreadPool extends Error {
  /** Its name in a stack trace. */
  override name = "BrokenThreadPool";
}

/** How to build a {@linkcode ThreadPoolExecutor}. */
export interface ThreadPoolOptions {
  /**
   * Calls in flight that the pool is for; a thread takes many, so there are
   * fewer threads.
   */
  maxWorkers: number;
  /** URL of the module that exports the functions to call. */
  module: string;
  /**
   * What the threads may do; by default all that the caller may. Where `import`
   * is left out, it is the caller's: the code may need a registry.
   */
  permissions?: Deno.PermissionOptions;
}

/**
 * What the pool tells a thread: to make a call, or, without a name, to give one
 * up.
 */
interface Call {
  id: number;
  name?: string;
  args?: unknown[];
  /** Which argument is an `AbortSignal`; -1 for none. */
  signalAt?: number;
}

/**
 * What a thread tells the pool: how a call ended, or, without an id, that it
 * dies.
 */
interface Answer {
  id?: number;
  value?: unknown;
  error?: unknown;
  /**
   * An `Error` loses its class and its fields on the way: they travel beside
   * it.
   */
  className?: string | undefined;
  fields?: object;
}

/** A thread and the calls that wait for it. */
interface Thread {
  worker: Worker;
  pending: Map<number, PromiseWithResolvers<unknown>>;
}

/**
 * No pool starts more threads than this: two to four were as fast as any
 * number.
 */
const MAX_THREADS = 4;

/**
 * Runs functions on other threads (workers), which are started as they are
 * needed.
 *
 * A thread of JavaScript has an event loop of its own and keeps many calls in
 * flight, so a pool has at most as many threads as the machine has cores,
 * whatever `maxWorkers` is. Leaving the `await using` block waits for the calls
 * that are pending and ends the threads.
 *
 * @example
 * ```ts
 * import { formatInterval } from "./tqdm.ts";
 * import { ThreadPoolExecutor } from "./futures.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const module = import.meta.resolve("./tqdm.ts");
 * await using executor = new ThreadPoolExecutor({ maxWorkers: 1, module });
 * assertEquals(await executor.submit(formatInterval, 83), "01:23");
 * ```
 */
export class ThreadPoolExecutor implements AsyncDisposable {
  readonly #options: ThreadPoolOptions;
  readonly #maxThreads: number;
  readonly #threads: Thread[] = [];
  #calls = 0;
  #broken: BrokenThreadPool | undefined;

  /**
   * No thread is started before the first call.
   *
   * @param options How many calls, of which module, with which permissions.
   */
  constructor(options: ThreadPoolOptions) {
    this.#options = options;
    this.#maxThreads = Math.min(
      options.maxWorkers,
      navigator.hardwareConcurrency,
      MAX_THREADS,
    );
  }

  /**
   * Call an exported function of the module on one of the threads: callout (9).
   *
   * Arguments and result are copied, as `structuredClone` does; one argument
   * may be an `AbortSignal`, which then is aborted on the thread, too.
   *
   * @param fn The function; the thread finds it by its name.
   * @param args Its arguments.
   * @returns What it returns.
   * @throws {BrokenThreadPool} When the thread dies.
   * @throws {Error} What the function throws, with its class and its fields.
   */
  async submit<A extends unknown[], R>(
    fn: (...args: A) => R,
    ...args: A
  ): Promise<Awaited<R>> {
    if (this.#broken) throw this.#broken;
    const signalAt = args.findIndex((arg) => arg instanceof AbortSignal);
    const signal = args[signalAt] as AbortSignal | undefined;
    signal?.throwIfAborted();

    const { worker, pending } = this.#idlest();
    const id = this.#calls++;
    const call = Promise.withResolvers<unknown>();
    const post = (message: Call) => worker.postMessage(message);
    const giveUp = () => post({ id });
    pending.set(id, call);
    signal?.addEventListener("abort", giveUp);
    try {
      const copies = args.map((arg, i) => i === signalAt ? null : arg);
      post({ id, name: fn.name, args: copies, signalAt });
      return await call.promise as Awaited<R>;
    } finally {
      signal?.removeEventListener("abort", giveUp);
      pending.delete(id);
    }
  }

  /**
   * Wait for the calls that are pending, then end the threads. Further calls
   * are refused.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#broken ??= new BrokenThreadPool("the pool is shut down");
    const calls = this.#threads.flatMap(({ pending }) => [...pending.values()]);
    await Promise.allSettled(calls.map(({ promise }) => promise));
    for (const { worker } of this.#threads) worker.terminate();
  }

  /** The thread with the fewest calls, or a new one when all have some. */
  #idlest(): Thread {
    const [idlest] = this.#threads.toSorted((a, b) =>
      a.pending.size - b.pending.size
    );
    const full = this.#threads.length === this.#maxThreads;
    return idlest && (full || idlest.pending.size === 0)
      ? idlest
      : this.#start();
  }

  #start(): Thread {
    const { module, permissions = "inherit" } = this.#options;
    const worker = new Worker(import.meta.url, {
      type: "module",
      name: module,
      deno: {
        permissions: typeof permissions === "string"
          ? permissions
          : { import: "inherit", ...permissions },
      },
    });
    const thread: Thread = { worker, pending: new Map() };
    const die = (message: unknown) => {
      this.#broken = new BrokenThreadPool(`a thread has died: ${message}`);
      for (const { reject } of thread.pending.values()) reject(this.#broken);
      worker.terminate();
    };
    worker.onmessage = async ({ data }: MessageEvent<Answer>) => {
      if (data.id === undefined) return die(data.error);
      const call = thread.pending.get(data.id);
      if ("error" in data) call?.reject(await rebuilt(data, module));
      else call?.resolve(data.value);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      die(event.message);
    };
    this.#threads.push(thread);
    return thread;
  }
}

/**
 * What was thrown on the thread, of its class again: one of `module`'s or of
 * the runtime's.
 */
async function rebuilt(
  { error, className, fields }: Answer,
  module: string,
): Promise<unknown> {
  if (!className || !(error instanceof Error)) return error;
  const exports = await import(module).catch(() => ({}));
  for (const place of [exports, Deno.errors, globalThis]) {
    if (!Object.hasOwn(place, className)) continue;
    Object.setPrototypeOf(error, place[className].prototype);
    break;
  }
  return Object.assign(error, fields);
}

/**
 * What a thread runs: make the calls that the pool asks for, many at a time.
 */
function answerCalls(thread: Worker & { name: string; close(): void }): void {
  const controllers = new Map<number, AbortController>();
  const post = (answer: Answer) => thread.postMessage(answer);

  thread.onmessage = async ({ data }: MessageEvent<Call>) => {
    const { id, name, args = [], signalAt = -1 } = data;
    if (name === undefined) return controllers.get(id)?.abort();
    const controller = new AbortController();
    controllers.set(id, controller);
    if (signalAt >= 0) args[signalAt] = controller.signal;
    try {
      const module = await import(thread.name);
      post({ id, value: await module[name](...args) });
    } catch (error) {
      const className = (error as Error | undefined)?.constructor?.name;
      try {
        post({ id, error, className, fields: { ...error as object } });
      } catch { // It has something that cannot be copied.
        post({ id, error: new Error(String(error)), className });
      }
    } finally {
      controllers.delete(id);
    }
  };

  // However a thread dies, it says so: the pool would wait for it for ever.
  const { close } = thread;
  thread.close = () => {
    post({ error: "it closed itself" });
    close();
  };
  addEventListener("unload", () => post({ error: "it exited" }));
  addEventListener("error", (event) => {
    event.preventDefault();
    post({ error: event.message });
  });
  addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    post({ error: String(event.reason) });
  });
}

if (import.meta.main) {
  answerCalls(self as unknown as Worker & { name: string; close(): void });
}
