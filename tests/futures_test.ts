import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { delay } from "@std/async/delay";
import { pooledMap } from "@std/async/pool";
import { describe, it } from "@std/testing/bdd";
import {
  asCompleted,
  BrokenThreadPool,
  Future,
  nextDone,
  ThreadPoolExecutor,
  type ThreadPoolOptions,
} from "../lib/futures.ts";
import {
  add,
  die,
  fail,
  FlagError,
  initialArguments,
  initialize,
  observe,
  ReadOnlyError,
  TimedOut,
  wait,
} from "./calls.ts";
import { replaced } from "./testing.ts";

const module = import.meta.resolve("./calls.ts");

/** Open a pool for the functions of calls.ts. */
function pool(maxWorkers: number, options: Partial<ThreadPoolOptions> = {}) {
  return new ThreadPoolExecutor({ maxWorkers, module, ...options });
}

/** Return the results of futures, in the order in which they are done. */
const results = <R>(futures: Iterable<Future<R>>) =>
  Array.fromAsync(asCompleted(futures), (it) => it.result());

/** Return the result of one future, or throw its error. */
const resultOf = async <R>(future: Future<R>) => (await results([future]))[0]!;

/** Make a future, and start it. */
function running<R>(call: () => R | Promise<R>): Future<R> {
  const future = new Future(call);
  future.start();
  return future;
}

const raising = (error: unknown) =>
  running(() => Promise.reject<number>(error));
const aborted = () => raising(new DOMException("", "AbortError"));

describe("a Future", () => {
  it("calls its function once and its callbacks when it is done", async () => {
    let calls = 0;
    const seen: unknown[] = [];
    const future = new Future(() => ++calls);
    using _ = replaced(console, "error", (error: unknown) => seen.push(error));
    future.addDoneCallback(() => fail("printed"));
    future.addDoneCallback((it) => seen.push(it === future, it.done));
    await delay(1);
    assertEquals([calls, future.done, future.cancelled], [0, false, false]);
    const loop = "is not done: loop over asCompleted([future])";
    assertThrows(() => future.result(), Error, loop);
    await Promise.all([future.start(), future.start()]);
    await future.start();
    assertEquals([calls, future.done, future.cancelled], [1, true, false]);
    assertEquals([future.result(), future.result()], [1, 1]);
    future.addDoneCallback((it) => seen.push(it === future));
    await delay(0);
    assertEquals(seen, [true, true, "printed", true]);
  });

  it("keeps an error, and is cancelled only by an AbortError", async () => {
    const odd = Object.defineProperty(new Error(), "name", {
      get: () => fail("TypeError"),
    });
    const errors = [new TypeError(), odd, { name: "AbortError" }, null];
    const atOnce = running(() => fail("TypeError"));
    for (const future of [atOnce, ...errors.map(raising)]) {
      await delay(0);
      assertEquals([future.done, future.cancelled], [true, false]);
      assertThrows(() => future.result());
    }
    const future = aborted();
    assertEquals(await results([future]), []);
    assert(future.done && future.cancelled);
    assertThrows(() => future.result(), DOMException);
  });

  it("is printed with its state, as in Python", async () => {
    const result = { status: "ok", cc: "BR" };
    const custom = Symbol.for("Deno.customInspect");
    const futures: [Future<unknown>, shown: string][] = [
      [new Future(() => 1), "pending"],
      [running(() => new Promise(() => {})), "running"],
      [running(() => result), 'finished returned { status: "ok", cc: "BR" }'],
      [running(() => "x\ny"), 'finished returned "x\\ny"'],
      [running(() => fail("FlagError")), "finished raised FlagError"],
      [running(() => ({ [custom]: fail })), "finished returned object"],
      [raising(7), "finished raised 7"],
      [aborted(), "cancelled"],
    ];
    await delay(0);
    for (const [future, shown] of futures) {
      assertEquals(`${future}`, `<Future state=${shown}>`);
      assertEquals(Deno.inspect([future]), `[ ${future} ]`);
    }
  });

  it("can be cancelled until its call starts", async () => {
    let calls = 0;
    const [future, other] = [1, 2].map(() => new Future(() => ++calls));
    assertEquals([future!.cancel(), future!.cancel()], [true, true]);
    await Promise.all([future!.start(), other!.start()]);
    assertEquals([future!.cancelled, other!.cancel()], [true, false]);
    assertEquals([calls, other!.result()], [1, 1]);
    assertThrows(() => future!.result(), DOMException, "Cancelled");
  });
});

describe("asCompleted", () => {
  it("yields each future once, in the order of completion, but no cancelled one", async () => {
    const [late, soon] = [1, 2].map((n) => new Future(() => n));
    const failed = raising(new RangeError());
    await delay(0);
    const all = [late!, soon!, aborted(), failed, soon!];
    const seen = Array.fromAsync(asCompleted(all), async (it) => {
      await delay(5); // The others are done while the loop is busy.
      return all.indexOf(it);
    });
    for (const future of [soon, late]) await future!.start();
    assertEquals(await seen, [3, 1, 0]);
    assertEquals(await results([]), []);
  });

  it("yields the futures that pooledMap starts in the order of completion", async () => {
    const done: number[] = [];
    const futures = [...Array(300).keys()].map((n) =>
      new Future(async () => {
        await delay(n * 7 % 5);
        done.push(n);
        if (n % 3 === 0) throw new DOMException("", "AbortError");
        return n;
      })
    );
    const next = nextDone<Future<number>>();
    const calls = pooledMap(7, futures, (future) => {
      future.start();
      return next(future);
    });
    const seen = await Array.fromAsync(asCompleted(calls), (it) => it.result());
    assertEquals(seen, done.filter((n) => n % 3 > 0));
  });

  it("throws what its iterable throws", async () => {
    function* broken() {
      yield new Future(() => 1);
      throw new RangeError("of the iterable");
    }
    await assertRejects(() => results(broken()), RangeError, "of the iterable");
  });
});

describe("ThreadPoolExecutor", () => {
  it("runs maxWorkers calls at a time, on at most four threads", async () => {
    const cores = Math.min(navigator.hardwareConcurrency, 4);
    for (const maxWorkers of [1, 2, 7, 30]) {
      await using executor = pool(maxWorkers);
      const threads = Math.min(maxWorkers, cores);
      const calls = executor.map(observe, Array(30).fill(20));
      const seen = await Array.fromAsync(calls);
      const most = Math.max(...seen.map((it) => it.most)); // on one thread
      assertEquals(most, Math.ceil(maxWorkers / threads));
      assertEquals(new Set(seen.map((it) => it.thread)).size, threads);
    }
    await using idle = pool(30);
    const { thread } = await resultOf(idle.submit(observe, 0));
    assertEquals((await resultOf(idle.submit(observe, 0))).thread, thread);
  });

  it("rejects an invalid number of workers or module", () => {
    for (const maxWorkers of [0, -1, 1.5, NaN, Infinity]) {
      const message = `must be a whole number >= 1, not ${maxWorkers}`;
      assertThrows(() => pool(maxWorkers), RangeError, message);
    }
    assertThrows(() => pool(1, { module: "./calls.ts" }), TypeError, "./calls");
  });

  it("maps a function over iterables up to the end of the shortest", async () => {
    await using executor = pool(2);
    function* ones() {
      for (;;) yield 1;
    }
    const sums = executor.map(add, new Set([3, 2, 1]), ones());
    const none = executor.map(initialArguments);
    const errors = executor.map(fail, ["TypeError", "FlagError"]);
    assertEquals(await Array.fromAsync(sums), [4, 3, 2]);
    assertEquals(await Array.fromAsync(none), []);
    await assertRejects(() => errors.next(), TypeError);
  });

  it("fails a call that is not of its module or cannot be copied", async () => {
    await using executor = pool(1);
    const others = [
      () => 1,
      function notExported() {},
      { add: (a: number) => -a }.add,
      class FlagErrors {} as unknown as () => void,
    ];
    for (const other of others) {
      const call = () => executor.submit<[number], unknown>(other, 1);
      const why =
        `the function ${other.name || other} is not exported by ${module}: ` +
        "export it there, or set the option";
      await assertRejects(() => resultOf(call()), TypeError, why);
    }
    const argument = (() => {}) as unknown as number;
    const result = executor.submit(initialize);
    for (const call of [result, executor.submit(add, argument, 1)]) {
      await assertRejects(() => resultOf<unknown>(call), DOMException);
    }
    assertEquals(await resultOf(executor.submit(add, 1, 2)), 3);
    const missing = import.meta.resolve("./no_such_module.ts");
    await using broken = pool(1, { module: missing });
    const call = broken.submit(add, 1, 2);
    await assertRejects(() => resultOf(call), Error, "no_such");
  });

  it("cancels the queued calls of map when its loop ends early", async () => {
    for (const what of ["left", "FlagError"]) {
      await using executor = pool(1);
      const numbers = Array(8).fill(5);
      const results = what === "left"
        ? executor.map(observe, numbers)
        : executor.map(fail, numbers.fill(what));
      await results.next().catch((error) => assert(error instanceof FlagError));
      await results.return();
      const { calls } = await resultOf(executor.submit(observe, 0));
      assert(calls <= 4, `${what}: ${calls} calls`);
    }
  });

  type Class = abstract new (...args: never[]) => Error;
  const thrown: [what: string, Class, text: string, fields: object][] = [
    ["FlagError", FlagError, "FlagError: BR: 418", { status: 418, cc: "BR" }],
    ["NotFound", Deno.errors.NotFound, "NotFound: no such file", {}],
    ["TimedOut", TimedOut, "Error: it", { code: 7 }],
    ["TypeError", TypeError, "TypeError: of the runtime", {}],
    ["runtime's", Deno.errors.TimedOut, "TimedOut: too", {}],
    ["DOMException", DOMException, "TimeoutError: too late", {}],
    ["read-only", ReadOnlyError, "Error", { status: 2 }],
    ["no class", Error, "Nameless: 7 is not a class", {}],
    ["no constructor", Error, "Error: odd", { constructor: undefined }],
    ["hidden name", Error, "Hidden: odd", {}],
  ];
  it("throws the errors of its threads with their classes and fields", async () => {
    await using executor = pool(1);
    // deno-lint-ignore no-explicit-any
    const failure = (what: string): Promise<any> =>
      resultOf(executor.submit(fail, what)).catch((error) => error);
    for (const [what, Class, text, fields] of thrown) {
      const error = await failure(what);
      assert(Object.getPrototypeOf(error) === Class.prototype, what);
      assertEquals(`${error}`, text);
      assertEquals(Object.fromEntries(Object.entries(error)), fields);
      assert(error.stack.includes("calls.ts"), error.stack);
    }
    const { message, errors: [one, two, three], cause } = await failure("many");
    assertEquals([message, one.cc, three, cause.cc], ["three", "CN", 3, "IN"]);
    const classes = [one, two, cause].map((error) => error.constructor);
    assertEquals(classes, [FlagError, TypeError, FlagError]);
    assertEquals(await failure("a word"), "a word");
    for (const what of ["function", "symbol", "revoked"]) {
      assert(await failure(what) instanceof Error, what);
    }
    assertEquals((await failure("unreadable")).message, "");
    assertEquals(await resultOf(executor.submit(add, 1, 2)), 3);
  });

  const bad: [Partial<ThreadPoolOptions>, why: string][] = [
    [{ initializer: fail, initargs: ["TypeError"] }, "of the runtime"],
    [{ initializer: initialize, initargs: [() => {}] }, "DataCloneError"],
    [{ initializer: die, initargs: ["exit"] }, "exited"],
  ];
  for (const [options, why] of bad) {
    it(`starts no further thread once its initializer has failed: ${why}`, async () => {
      let threads = 0;
      class CountedWorker extends Worker {
        number = ++threads;
      }
      using _ = replaced(globalThis, "Worker", CountedWorker);
      await using executor = pool(4, options);
      const submit = () => executor.submit(add, 1, 2);
      for await (const call of asCompleted(Array.from(Array(50), submit))) {
        assertThrows(() => call.result(), BrokenThreadPool, why);
      }
      assertThrows(submit, BrokenThreadPool, "the initializer failed");
      assert(threads <= 4, `${threads} threads`);
    });
  }

  it("initializes each thread with arguments and a signal that it aborts", async () => {
    const run = new AbortController();
    const { signal } = run;
    const options = { initializer: initialize, initargs: [7], signal };
    await using executor = pool(4, options);
    const first = await resultOf(executor.submit(initialArguments));
    assertEquals(first, [7, false]);
    const calls = [1, 2].map(() => executor.submit(wait));
    await delay(0); // The calls have their threads.
    run.abort();
    await using later = pool(1, options);
    const all = [...calls, later.submit(wait)];
    assertEquals(await results(all), Array(3).fill([7, true]));
  });

  it("fails only the calls on a thread that dies", async () => {
    await using executor = pool(2);
    for (const how of ["close", "exit", "throw", "reject"]) {
      const call = () => resultOf(executor.submit(die, how));
      await assertRejects(call, BrokenThreadPool, "a thread has died: ", how);
      assertEquals(await resultOf(executor.submit(add, 1, 2)), 3);
    }
  });

  it("finishes the queued calls when its block ends, and then rejects more", async () => {
    const executor = pool(2);
    const futures = Array.from(Array(9), () => executor.submit(observe, 5));
    for await (const _ of asCompleted(futures)) break;
    await executor[Symbol.asyncDispose]();
    assert(futures.every((future) => future.result().calls > 0));
    assertThrows(() => executor.submit(add, 1, 2), Error, "shut down");
    await executor[Symbol.asyncDispose]();
  });
});
