import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { delay } from "@std/async/delay";
import { describe, it } from "@std/testing/bdd";
import {
  asCompleted,
  BrokenThreadPool,
  type Future,
  LazyFuture,
  ThreadPoolExecutor,
  type ThreadPoolOptions,
} from "../lib/futures.ts";
import {
  add,
  countCalls,
  die,
  fail,
  FlagError,
  initialArguments,
  initialize,
  leaveRejection,
  OwnIdeas,
  TimedOut,
  wait,
  whichThread,
} from "./calls.ts";
import { resultOf } from "./testing.ts";

const module = import.meta.resolve("./calls.ts");

/** A pool for the functions of calls.ts. */
function pool(maxWorkers: number, options: Partial<ThreadPoolOptions> = {}) {
  return new ThreadPoolExecutor({ maxWorkers, module, ...options });
}

/** Its results, in the order in which `asCompleted` yields them. */
async function results<R>(futures: Iterable<Future<R>>): Promise<R[]> {
  return await Array.fromAsync(asCompleted(futures), (it) => it.result());
}

/** A future that has been started. */
function running<R>(call: () => R | Promise<R>): Future<R> {
  const future = new LazyFuture(call);
  future.start();
  return future;
}

const nap = (ms: number) => running(() => delay(ms).then(() => ms));
const raising = (error: unknown) =>
  running(() => Promise.reject<number>(error));

/** One that is given up. */
const given = () => raising(new DOMException("", "AbortError"));

describe("a Future", () => {
  it("makes its call once, when it is started", async () => {
    let calls = 0;
    const future = new LazyFuture(() => ++calls);
    await delay(1);
    assertEquals([calls, future.done, future.cancelled], [0, false, false]);
    await Promise.all([future.start(), future.start()]);
    await future.start();
    assertEquals([calls, future.done, future.cancelled], [1, true, false]);
    assertEquals([future.result(), future.result()], [1, 1]);
  });

  it("that is not done names the loop that waits for it, and the loop does", async () => {
    const future = nap(20);
    const { message } = assertThrows(() => future.result(), Error);
    const [, head, body] = message.match(/it: (for await.*\)) (.*)$/)!;
    const loop = `return (async () => { ${head} return ${body} })()`;
    const waiting = new Function("asCompleted", "future", loop);
    assertEquals(await waiting(asCompleted, future), 20);
  });

  it("keeps what the call threw, at once or later, for result", async () => {
    const later = () => Promise.reject(new TypeError());
    for (const call of [() => fail("TypeError"), later]) {
      const future = new LazyFuture(call);
      await future.start();
      assertEquals([future.done, future.cancelled], [true, false]);
      assertThrows(() => future.result(), TypeError);
    }
  });

  it("is cancelled when the call was given up, and by nothing that looks so", async () => {
    const odd = Object.defineProperty(new Error(), "name", {
      get: () => fail("TypeError"),
    });
    for (const error of [odd, { name: "AbortError" }, null]) {
      const future = raising(error);
      await delay(0);
      assertEquals([future.done, future.cancelled], [true, false]);
    }
    const future = given();
    assertEquals(await results([future]), []);
    assert(future.done && future.cancelled);
    assertThrows(() => future.result(), DOMException);
  });

  it("calls back when it is done, or is already", async () => {
    const seen: unknown[] = [];
    const future = new LazyFuture(() => 1);
    future.addDoneCallback((it) => seen.push(it, it.done));
    await future.start();
    future.addDoneCallback((it) => seen.push(it));
    await delay(0);
    assertEquals(seen, [future, true, future]);
  });

  it("is printed with its state, as in Python", async () => {
    const result = { status: "ok", cc: "BR" };
    const wait = Promise.withResolvers<void>();
    const futures: [Future<unknown>, shown: string][] = [
      [new LazyFuture(() => 1), "pending"],
      [running(() => wait.promise), "running"],
      [running(() => result), 'finished returned { status: "ok", cc: "BR" }'],
      [running(() => "x\ny"), 'finished returned "x\\ny"'],
      [running(() => fail("FlagError")), "finished raised FlagError"],
      [raising(7), "finished raised 7"],
      [given(), "cancelled"],
    ];
    await delay(0);
    for (const [future, shown] of futures) {
      assertEquals(`${future}`, `<LazyFuture state=${shown}>`);
      assertEquals(Deno.inspect([future]), `[ ${future} ]`);
    }
    await using executor = pool(1);
    assertEquals(`${executor.submit(add, 1, 2)}`, "<Future state=pending>");
  });
});

describe("asCompleted", () => {
  it("yields each future once, as they are done, the done ones first", async () => {
    const [late, soon, done] = [nap(40), nap(10), nap(0)];
    while (!done.done) await delay(1);
    assertEquals(await results([late, soon, done, soon]), [0, 10, 40]);
  });

  it("yields those that failed, and passes over those that were cancelled", async () => {
    const [failed, ended] = [raising(new RangeError()), nap(1)];
    const seen = await Array.fromAsync(asCompleted([given(), failed, ended]));
    assertEquals(seen, [failed, ended]);
    assertEquals(await results([]), []);
  });

  it("loses none that is done while the loop is busy", async () => {
    const numbers = [...Array(50).keys()];
    const futures = numbers.map((n) => new LazyFuture(() => n));
    const loop = Array.fromAsync(asCompleted(futures), async (future) => {
      await delay(future.result() % 3);
      return future.result();
    });
    for (const future of futures) await future.start();
    assertEquals(await loop, numbers);
  });

  it("throws what its iterable throws", async () => {
    function* broken() {
      yield new LazyFuture(() => 1);
      throw new RangeError("of the iterable");
    }
    await assertRejects(() => results(broken()), RangeError, "of the iterable");
  });
});

describe("ThreadPoolExecutor", () => {
  it("runs a function on another thread, and gives a future back that only it can start", async () => {
    await using executor = pool(1);
    const future = executor.submit(whichThread, 1);
    assertEquals([future.done, "start" in future], [false, false]);
    for await (const done of asCompleted([future])) {
      assertStrictEquals(done, future);
    }
    assert(future.result() !== await whichThread(1));
  });

  for (const maxWorkers of [1, 2, 7]) {
    it(`runs at most ${maxWorkers} calls at a time, and that many`, async () => {
      await using executor = pool(maxWorkers);
      const calls = executor.map(countCalls, Array(20).fill(20));
      // Each thread counts its own; more than the cores would be one too many.
      const most = Math.max(...await Array.fromAsync(calls));
      const threads = Math.min(maxWorkers, navigator.hardwareConcurrency, 4);
      assertEquals(most, Math.ceil(maxWorkers / threads));
    });
  }

  it("refuses a number of workers or a module that cannot be", () => {
    for (const maxWorkers of [0, -1, 1.5, NaN, Infinity]) {
      const message =
        `maxWorkers must be a whole number >= 1, not ${maxWorkers}`;
      assertThrows(() => pool(maxWorkers), RangeError, message);
    }
    assertThrows(() => pool(1, { module: "./calls.ts" }), TypeError, "./calls");
  });

  it("starts as many threads as may be, maxWorkers, or those needed", async () => {
    const cores = Math.min(navigator.hardwareConcurrency, 4);
    for (const [maxWorkers, threads] of [[30, cores], [1, 1]] as const) {
      await using executor = pool(maxWorkers);
      const calls = executor.map(whichThread, Array(30).fill(5));
      assertEquals(new Set(await Array.fromAsync(calls)).size, threads);
    }
    await using idle = pool(30);
    const first = await resultOf(idle.submit(whichThread, 0));
    assertEquals(await resultOf(idle.submit(whichThread, 0)), first);
  });

  it("maps a function over iterables: in their order, to the end of the shortest", async () => {
    await using executor = pool(2);
    function* ones() {
      for (;;) yield 1;
    }
    const sums = executor.map(add, new Set([3, 2, 1]), ones());
    assertEquals(await Array.fromAsync(sums), [4, 3, 2]);
    assertEquals(await Array.fromAsync(executor.map(initialArguments)), []);
  });

  it("has mapped before anybody asks, and throws an error when its turn comes", async () => {
    const executor = pool(2);
    const naps = executor.map(countCalls, [20, 1, 1]);
    const errors = executor.map(fail, ["TypeError", "FlagError"]);
    await executor[Symbol.asyncDispose]();
    assertEquals((await Array.fromAsync(naps)).length, 3);
    await assertRejects(() => errors.next(), TypeError);
  });

  it("calls the very function that it is given, or says what to do", async () => {
    await using executor = pool(1);
    const others = [
      () => 1,
      function notExported() {},
      function add(a: number) {
        return -a;
      },
      // Of the same text, but not of the same module.
      new Function(`return ${leaveRejection}`)(),
      class FlagErrors {} as unknown as () => void,
    ];
    for (const other of others) {
      const { message } = await assertRejects(
        () => resultOf(executor.submit<[number], unknown>(other, 1)),
        TypeError,
        `is not exported by ${module}: export it there, or give the pool`,
      );
      assertStringIncludes(message, `this ${other.name || other} is not`);
    }
  });

  // deno-lint-ignore no-explicit-any
  const thrown: Record<string, (error: any) => void> = {
    FlagError: (error) => {
      assertInstanceOf(error, FlagError);
      const { name, message, status, cc } = error;
      assertEquals([name, message], ["FlagError", "BR: 418"]);
      assertEquals([status, cc], [418, "BR"]);
      assertStringIncludes(error.stack!, "calls.ts");
      assertEquals(Object.keys(error), ["status", "cc"]);
    },
    NotFound: (error) => assertInstanceOf(error, Deno.errors.NotFound),
    TimedOut: (error) => assertInstanceOf(error, TimedOut),
    TypeError: (error) => assertInstanceOf(error, TypeError),
    DOMException: (error) => {
      assertInstanceOf(error, DOMException);
      assertEquals([error.name, error.message], ["TimeoutError", "too late"]);
    },
    cause: ({ cause }) => {
      assertInstanceOf(cause, FlagError);
      assertEquals(cause.cc, "IN");
    },
    AggregateError: (error) => {
      assertInstanceOf(error, AggregateError);
      const [flagError, typeError, three] = error.errors;
      assertInstanceOf(flagError, FlagError);
      assertInstanceOf(typeError, TypeError);
      assertEquals([error.message, flagError.cc, three], ["three", "CN", 3]);
    },
    uncopyable: (error) => {
      assertEquals(`${error}`, "FlagError: BR: 500");
      assertEquals([error.cc, error.f], ["BR", "[Function: f]"]);
    },
    "own ideas": ({ status, cause }) => {
      assertEquals(status, 2);
      assertInstanceOf(cause, OwnIdeas);
    },
    "no class": (error) => assertEquals(`${error}`, "Nameless: 7 is no class"),
    "a word": (error) => assertStrictEquals(error, "a word"),
    function: (error) => assertEquals(error, "[Function (anonymous)]"),
    symbol: (error) => assertEquals(error, "Symbol(odd)"),
    unreadable: (error) => assertStringIncludes(error, "calls.ts"),
  };
  it("brings over what was thrown, with its class and its fields", async () => {
    await using executor = pool(1);
    for (const [what, look] of Object.entries(thrown)) {
      look(await resultOf(executor.submit(fail, what)).catch((it) => it));
      assertEquals(await resultOf(executor.submit(add, 1, 2)), 3, what);
    }
  });

  it("fails a call whose arguments or result cannot be copied", async () => {
    await using executor = pool(1);
    const argument = (() => {}) as unknown as number;
    const result = executor.submit(initialize);
    for (const call of [result, executor.submit(add, argument, 1)]) {
      await assertRejects(() => resultOf<unknown>(call), DOMException);
    }
    assertEquals(await resultOf(executor.submit(add, 1, 2)), 3);
  });

  it("calls the initializer first on each thread, with its arguments", async () => {
    const run = new AbortController();
    const initargs = [7, run.signal];
    await using executor = pool(4, { initializer: initialize, initargs });
    for (const isAborted of [false, true]) {
      const calls = [1, 2, 3, 4].map(() => executor.submit(initialArguments));
      assertEquals(await results(calls), Array(4).fill([7, isAborted]));
      run.abort();
    }
  });

  const bad: [string, Partial<ThreadPoolOptions>, string][] = [
    ["fails", { initializer: fail, initargs: ["TypeError"] }, "of the runtime"],
    [
      "has arguments that cannot be copied",
      { initializer: initialize, initargs: [() => {}] },
      "DataCloneError",
    ],
    ["kills its thread", { initializer: die, initargs: ["exit"] }, "exited"],
  ];
  for (const [what, options, why] of bad) {
    it(`is broken when the initializer ${what}`, async () => {
      await using executor = pool(1, options);
      const submit = () => executor.submit(add, 1, 2);
      for await (const call of asCompleted(Array.from(Array(20), submit))) {
        assertThrows(() => call.result(), BrokenThreadPool, why);
      }
      assertThrows(submit, BrokenThreadPool, "the initializer failed");
    });
  }

  it("carries an abort to the thread, also one that came before", async () => {
    await using executor = pool(1);
    const run = new AbortController();
    const call = executor.submit(wait, run.signal);
    const other = executor.submit(wait, AbortSignal.timeout(1));
    run.abort();
    const late = executor.submit(wait, run.signal);
    const seen = await results([call, other, late]);
    assertEquals(seen, Array(3).fill("given up"));
  });

  it("takes its listeners away: a call's with it, a thread's at the end", async () => {
    const { signal } = new AbortController();
    let listeners = 0;
    for (const [name, change] of Object.entries({ add: 1, remove: -1 })) {
      const method = `${name}EventListener` as "removeEventListener";
      const original = signal[method].bind(signal);
      signal[method] = (...args: Parameters<typeof original>) => {
        listeners += change;
        original(...args);
      };
    }
    {
      const initargs = [signal];
      await using executor = pool(1, { initializer: initialize, initargs });
      const calls = [1, 2, 3].map((n) => executor.submit(add, n, 0, signal));
      assertEquals((await results(calls)).length, 3);
      assertEquals(listeners, 1);
    }
    assertEquals(listeners, 0);
  });

  it("fails the calls on a thread that dies, and no others", async () => {
    await using executor = pool(2);
    for (const how of ["close", "exit", "throw", "reject"]) {
      const call = resultOf(executor.submit(die, how));
      const message = "a thread has died: ";
      await assertRejects(() => call, BrokenThreadPool, message, how);
      assertEquals(await resultOf(executor.submit(add, 1, 2)), 3);
    }
  });

  it("goes on after a call that leaves a rejection behind", async () => {
    await using executor = pool(1);
    assertEquals(await resultOf(executor.submit(leaveRejection)), "done");
    await delay(50);
    assertEquals(await resultOf(executor.submit(add, 1, 2)), 3);
  });

  it("fails the calls when the module cannot be loaded", async () => {
    const module = import.meta.resolve("./no_such_module.ts");
    await using executor = pool(1, { module });
    const call = executor.submit(add, 1, 2);
    await assertRejects(() => resultOf(call), Error, "no_such");
  });

  it("makes the calls that are queued when its block is left, and then refuses more", async () => {
    const executor = pool(2);
    const futures = Array.from({ length: 9 }, () => executor.submit(add, 1, 2));
    for await (const _ of asCompleted(futures)) break;
    await executor[Symbol.asyncDispose]();
    assert(futures.every((future) => future.result() === 3));
    assertThrows(() => executor.submit(add, 1, 2), Error, "shut down");
    await executor[Symbol.asyncDispose]();
  });
});
