import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertMatch,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { delay } from "@std/async/delay";
import { pooledMap } from "@std/async/pool";
import { describe, it } from "@std/testing/bdd";
import {
  asCompleted,
  BrokenThreadPool,
  Future,
  LazyFuture,
  ThreadPoolExecutor,
} from "../lib/futures.ts";
import {
  add,
  countCalls,
  die,
  fail,
  FlagError,
  initialArguments,
  initialize,
  initializeBadly,
  initializeOddly,
  leaveRejection,
  take,
  uncopyable,
  wait,
  whichThread,
} from "./calls.ts";
import { resultOf } from "./testing.ts";

const module = import.meta.resolve("./calls.ts");

/** Its results, in the order in which `asCompleted` yields them. */
async function results<R>(futures: Iterable<Future<R>>): Promise<R[]> {
  return await Array.fromAsync(
    asCompleted(futures),
    (future) => future.result(),
  );
}

/** A future that is being run. */
function running<R>(call: () => R | Promise<R>): Future<R> {
  const future = new LazyFuture(call);
  future.start();
  return future;
}

const nap = (ms: number) => running(() => delay(ms).then(() => ms));

/** One that is given up. */
const given = () =>
  running(() => delay(9, { signal: AbortSignal.abort() }).then(() => 9));

describe("a LazyFuture", () => {
  it("makes its call once, when it is started", async () => {
    let calls = 0;
    const future = new LazyFuture(() => ++calls);
    await delay(1);
    assertEquals([calls, future.done, future.cancelled], [0, false, false]);
    assertThrows(() => future.result(), Error, "the future is not done");
    await Promise.all([future.start(), future.start()]);
    await future.start();
    assertEquals([calls, future.done, future.cancelled], [1, true, false]);
    assertEquals(future.result(), 1);
    assertEquals(future.result(), 1);
  });

  it("keeps what the call threw for result, also when it threw at once", async () => {
    for (
      const call of [
        () => {
          throw new RangeError("at once");
        },
        () => Promise.reject(new RangeError("later")),
      ]
    ) {
      const future = new LazyFuture(call);
      await future.start();
      assertEquals([future.done, future.cancelled], [true, false]);
      assertThrows(() => future.result(), RangeError);
    }
  });

  it("is cancelled when the call was given up", async () => {
    const future = new LazyFuture(() =>
      delay(9999, { signal: AbortSignal.abort() })
    );
    await future.start();
    assertEquals([future.done, future.cancelled], [true, true]);
    assertThrows(() => future.result(), DOMException);
  });

  it("is not cancelled by an error that only looks so", async () => {
    class Odd extends Error {
      override get name(): string {
        throw new RangeError("do not ask");
      }
    }
    for (const error of [new Odd(), { name: "AbortError" }, null]) {
      const future = running(() => Promise.reject(error));
      for await (const done of asCompleted([future])) {
        assertEquals([done.done, done.cancelled], [true, false]);
      }
    }
  });

  it("calls back when it is done, or is already", async () => {
    const seen: unknown[] = [];
    const future = new LazyFuture(() => 1);
    future.addDoneCallback((it) => seen.push(it, it.done));
    assertEquals(seen, []);
    await future.start();
    future.addDoneCallback((it) => seen.push(it));
    await delay(0);
    assertEquals(seen, [future, true, future]);
  });
});

describe("asCompleted", () => {
  it("yields the futures as they are done, not in their order", async () => {
    assertEquals(await results([nap(80), nap(1), nap(40)]), [1, 40, 80]);
  });

  it("begins with those that are done already", async () => {
    const [late, done] = [nap(30), new LazyFuture(() => "done")];
    await done.start();
    assertEquals(await results<unknown>([late, done]), ["done", 30]);
  });

  it("yields each future once, however often it is given", async () => {
    const [a, b] = [nap(20), nap(1)];
    assertEquals(await results([a, b, a, a, b]), [1, 20]);
  });

  it("yields those that failed, and passes over those that were cancelled", async () => {
    const failed = running(() => Promise.reject<number>(new RangeError()));
    const [cancelled, ended] = [given(), nap(1)];
    const seen = await Array.fromAsync(asCompleted([cancelled, failed, ended]));
    assertEquals(new Set(seen), new Set([failed, ended]));
    assert(cancelled.cancelled);
    assertEquals(await results([given(), given()]), []);
  });

  it("ends at once when there is none", async () => {
    assertEquals(await results([]), []);
  });

  it("loses none that is done while the loop is busy", async () => {
    const futures = Array.from(
      { length: 50 },
      (_, i) => new LazyFuture(() => i),
    );
    const seen: number[] = [];
    const loop = (async () => {
      for await (const future of asCompleted(futures)) {
        seen.push(future.result());
        await delay(future.result() % 3);
      }
    })();
    for (const future of futures) await future.start();
    await loop;
    assertEquals(seen.sort((a, b) => a - b), [...Array(50).keys()]);
  });

  it("throws what its iterable throws", async () => {
    function* broken() {
      yield new LazyFuture(() => 1);
      throw new RangeError("of the iterable");
    }
    await assertRejects(() => results(broken()), RangeError, "of the iterable");
  });

  it("waits only: pooledMap is what bounds the calls", async () => {
    let inFlight = 0;
    let most = 0;
    const futures = Array.from(
      { length: 50 },
      () =>
        new LazyFuture(async () => {
          most = Math.max(most, ++inFlight);
          await delay(1);
          inFlight--;
        }),
    );
    const loop = results(futures);
    await delay(5);
    assertEquals(most, 0);
    const pool = pooledMap(7, futures, (future) => future.start());
    await Promise.all([Array.fromAsync(pool), loop]);
    assertEquals(most, 7);
  });
});

describe("ThreadPoolExecutor", () => {
  it("runs a function on another thread", async () => {
    await using executor = new ThreadPoolExecutor({ maxWorkers: 1, module });
    assertEquals(await resultOf(executor.submit(add, 1, 2)), 3);
    const here = await whichThread(0);
    assert(await resultOf(executor.submit(whichThread, 0)) !== here);
  });

  it("gives a future back at once, which no error rejects by itself", async () => {
    await using executor = new ThreadPoolExecutor({ maxWorkers: 1, module });
    const future = executor.submit(fail, "TypeError");
    assertInstanceOf(future, Future);
    assertEquals(future.done, false);
    for await (const done of asCompleted([future])) assertEquals(done, future);
    assertEquals(future.done, true);
    assertThrows(() => future.result(), TypeError, "of the runtime");
  });

  for (const maxWorkers of [1, 2, 7]) {
    it(`runs at most ${maxWorkers} calls at a time, and that many`, async () => {
      await using executor = new ThreadPoolExecutor({ maxWorkers, module });
      const futures = Array.from(
        { length: 20 },
        () => executor.submit(countCalls, 20),
      );
      // Each thread counts its own; more than the cores would be one too many.
      const most = Math.max(...await results(futures));
      const threads = Math.min(maxWorkers, navigator.hardwareConcurrency, 4);
      assertEquals(most, Math.ceil(maxWorkers / threads));
    });
  }

  it("refuses a number of workers that is none", () => {
    for (const maxWorkers of [0, -1, 1.5, NaN, Infinity]) {
      assertThrows(
        () => new ThreadPoolExecutor({ maxWorkers, module }),
        RangeError,
        `maxWorkers must be a whole number >= 1, not ${maxWorkers}`,
      );
    }
  });

  it("has more than one thread at work", async () => {
    await using executor = new ThreadPoolExecutor({ maxWorkers: 30, module });
    const calls = Array.from(
      { length: 30 },
      () => executor.submit(whichThread, 50),
    );
    const threads = new Set(await results(calls));
    assertEquals(threads.size, Math.min(navigator.hardwareConcurrency, 4));
  });

  it("starts no more threads than maxWorkers, or than are needed", async () => {
    await using one = new ThreadPoolExecutor({ maxWorkers: 1, module });
    const calls = [1, 2, 3].map(() => one.submit(whichThread, 20));
    assertEquals(new Set(await results(calls)).size, 1);

    await using idle = new ThreadPoolExecutor({ maxWorkers: 30, module });
    const first = await resultOf(idle.submit(whichThread, 0));
    assertEquals(await resultOf(idle.submit(whichThread, 0)), first);
  });

  it("gives an error its class and its fields back", async () => {
    await using executor = new ThreadPoolExecutor({ maxWorkers: 1, module });
    const thrown = async (what: string) => {
      const future = executor.submit(fail, what);
      // deno-lint-ignore no-explicit-any
      return await resultOf<any>(future).catch((error) => error);
    };

    const flagError = await thrown("FlagError");
    assertInstanceOf(flagError, FlagError);
    assertInstanceOf(flagError, RangeError);
    const { name, message, status, cc, stack } = flagError;
    assertEquals([name, message, status, cc], [
      "FlagError",
      "BR: 418",
      418,
      "BR",
    ]);
    assert(stack!.includes("calls.ts"));

    assertInstanceOf(await thrown("NotFound"), Deno.errors.NotFound);
    assertInstanceOf(await thrown("TypeError"), TypeError);
    const late = await thrown("DOMException");
    assertInstanceOf(late, DOMException);
    assertEquals(late.name, "TimeoutError");
    assertEquals((await thrown("cause")).cause.message, "inner");
    assertStrictEquals(await thrown("a word"), "a word");
  });

  it("gives back what can be copied of an error", async () => {
    await using executor = new ThreadPoolExecutor({ maxWorkers: 1, module });
    const thrown = async (what: string) => {
      const future = executor.submit(fail, what);
      // deno-lint-ignore no-explicit-any
      return await resultOf<any>(future).catch((error) => error);
    };
    for (const what of ["uncopyable", "uncopyable cause"]) {
      const error = await thrown(what);
      assertInstanceOf(error, FlagError);
      assertEquals([error.message, error.status, error.cc], [
        "BR: 500",
        500,
        "BR",
      ]);
    }
    const both = await thrown("AggregateError");
    assertInstanceOf(both, AggregateError);
    const messages = both.errors.map(({ message }: Error) => message);
    assertEquals([both.message, ...messages], ["both", "one", "two"]);
    // The name of its class is that of an export that is none.
    assertEquals((await thrown("no class")).message, "7 is no class");
    assertEquals((await thrown("own ideas")).message, "with a getter");
    assertMatch(await thrown("function"), /=> ?1/);
    assertEquals(await thrown("symbol"), "Symbol(odd)");
    assertInstanceOf(await thrown("unreadable"), Error);
    assertEquals(await resultOf(executor.submit(add, 1, 2)), 3);
  });

  it("fails a call whose arguments or result cannot be copied", async () => {
    await using executor = new ThreadPoolExecutor({ maxWorkers: 1, module });
    await assertRejects(
      () => resultOf(executor.submit(uncopyable)),
      DOMException,
    );
    const argument = () => {};
    await assertRejects(
      () => resultOf(executor.submit(add, argument as unknown as number, 1)),
      DOMException,
    );
    assertEquals(await resultOf(executor.submit(add, 1, 2)), 3);
  });

  it("names the function that a thread cannot find, and the module", async () => {
    await using executor = new ThreadPoolExecutor({ maxWorkers: 1, module });
    assertThrows(() => executor.submit(() => 1), TypeError, module);
    function notExported() {}
    await assertRejects(
      () => resultOf(executor.submit(notExported)),
      TypeError,
      `${module} exports no function notExported`,
    );
  });

  it("calls the initializer first on each thread, with its arguments", async () => {
    const run = new AbortController();
    await using executor = new ThreadPoolExecutor({
      maxWorkers: 4,
      module,
      initializer: initializeOddly,
      initargs: [7, run.signal],
    });
    const calls = () =>
      Array.from({ length: 4 }, () => executor.submit(initialArguments));
    assertEquals(await results(calls()), Array(4).fill([7, false]));
    run.abort();
    assertEquals(await results(calls()), Array(4).fill([7, true]));
  });

  it("fails the calls when the initializer fails", async () => {
    await using executor = new ThreadPoolExecutor({
      maxWorkers: 1,
      module,
      initializer: initializeBadly,
    });
    const calls = Array.from({ length: 20 }, () => executor.submit(add, 1, 2));
    for await (const call of asCompleted(calls)) {
      assertThrows(() => call.result(), BrokenThreadPool, "no way to begin");
    }
    assertThrows(
      () => executor.submit(add, 1, 2),
      BrokenThreadPool,
      "the initializer has failed",
    );
  });

  it("fails the calls when the initializer's arguments cannot be copied", async () => {
    await using executor = new ThreadPoolExecutor({
      maxWorkers: 1,
      module,
      initializer: initialize,
      initargs: [() => {}],
    });
    const calls = [1, 2].map(() => executor.submit(add, 1, 2));
    for await (const call of asCompleted(calls)) {
      assertThrows(() => call.result(), BrokenThreadPool);
    }
  });

  it("carries an abort to the thread, also one that came before", async () => {
    await using executor = new ThreadPoolExecutor({ maxWorkers: 1, module });
    const run = new AbortController();
    const call = executor.submit(wait, run.signal);
    const other = executor.submit(wait, AbortSignal.timeout(1));
    run.abort();
    assertEquals(await results([call, other]), ["given up", "given up"]);
    assertEquals(
      await resultOf(executor.submit(wait, run.signal)),
      "given up",
    );
  });

  it("takes its listeners away: a call's with it, a thread's at the end", async () => {
    const { signal } = new AbortController();
    let listeners = 0;
    const add_ = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    const counted =
      (change: number, fn: typeof remove): typeof remove =>
      (type: string, listener: EventListenerOrEventListenerObject) => {
        listeners += change;
        fn(type, listener);
      };
    signal.addEventListener = counted(1, add_);
    signal.removeEventListener = counted(-1, remove);
    {
      await using executor = new ThreadPoolExecutor({
        maxWorkers: 1,
        module,
        initializer: initialize,
        initargs: [signal],
      });
      const calls = [1, 2, 3].map((n) => executor.submit(take, n, signal));
      assertEquals((await results(calls)).length, 3);
      assertEquals(listeners, 1);
    }
    assertEquals(listeners, 0);
  });

  for (const how of ["close", "exit", "throw", "reject"]) {
    it(`fails the calls on a thread that dies by ${how}, and those alone`, async () => {
      await using executor = new ThreadPoolExecutor({ maxWorkers: 2, module });
      const dying = executor.submit(die, how);
      await assertRejects(
        () => resultOf(dying),
        BrokenThreadPool,
        "a thread has died: ",
      );
      assertEquals(await resultOf(executor.submit(add, 1, 2)), 3);
    });
  }

  it("goes on after a call that leaves a rejection behind", async () => {
    await using executor = new ThreadPoolExecutor({ maxWorkers: 1, module });
    assertEquals(await resultOf(executor.submit(leaveRejection)), "done");
    await delay(50);
    assertEquals(await resultOf(executor.submit(add, 1, 2)), 3);
  });

  it("fails the calls when the module cannot be loaded", async () => {
    const module = import.meta.resolve("./no_such_module.ts");
    await using executor = new ThreadPoolExecutor({ maxWorkers: 1, module });
    await assertRejects(
      () => resultOf(executor.submit(add, 1, 2)),
      Error,
      "no_such",
    );
  });

  it("waits for its calls, ends its threads and then refuses calls", async () => {
    const { call, executor } = await (async () => {
      await using executor = new ThreadPoolExecutor({ maxWorkers: 1, module });
      const call = executor.submit(whichThread, 50);
      return { call, executor };
    })();
    assert(call.done);
    assertThrows(
      () => executor.submit(add, 1, 2),
      Error,
      "shut down",
    );
    await executor[Symbol.asyncDispose]();
  });

  it("makes the calls that are queued when its block is left", async () => {
    let futures: Future<number>[];
    {
      await using executor = new ThreadPoolExecutor({ maxWorkers: 2, module });
      futures = Array.from({ length: 9 }, () => executor.submit(add, 1, 2));
      for await (const _ of asCompleted(futures)) break;
    }
    assert(futures.every((future) => future.result() === 3));
  });
});
