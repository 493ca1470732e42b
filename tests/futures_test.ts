import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
} from "@std/assert";
import { delay } from "@std/async/delay";
import { describe, it } from "@std/testing/bdd";
import {
  asCompleted,
  BrokenThreadPool,
  ThreadPoolExecutor,
} from "../lib/futures.ts";
import {
  add,
  die,
  fail,
  FlagError,
  uncopyable,
  wait,
  whichThread,
} from "./calls.ts";

const module = import.meta.resolve("./calls.ts");

describe("asCompleted", () => {
  it("yields the calls as they are done, not in the order of the items", async () => {
    const items = [80, 1, 40];
    const futures = asCompleted(3, items, (ms) => delay(ms).then(() => ms));
    const done = await Array.fromAsync(futures, (future) => future.result());
    assertEquals(done, [1, 40, 80]);
  });

  it("has at most poolLimit calls in flight, and that many", async () => {
    let inFlight = 0;
    let most = 0;
    const call = async () => {
      most = Math.max(most, ++inFlight);
      await delay(1);
      inFlight--;
    };
    await Array.fromAsync(asCompleted(7, Array(50).keys(), call));
    assertEquals(most, 7);
  });

  it("yields each item once, with its own result or error", async () => {
    const items = [...Array(100).keys()];
    const futures = asCompleted(9, items, async (n) => {
      await delay(n % 3);
      if (n % 7 === 0) throw new RangeError(`${n}`);
      return 2 * n;
    });
    const seen: number[] = [];
    for await (const { item, result } of futures) {
      seen.push(item);
      try {
        assertEquals(result(), 2 * item);
        assert(item % 7 !== 0);
      } catch (error) {
        assertInstanceOf(error, RangeError);
        assertEquals(error.message, `${item}`);
      }
    }
    assertEquals(seen.sort((a, b) => a - b), items);
  });

  it("ends at once when there are no items", async () => {
    assertEquals(await Array.fromAsync(asCompleted(3, [], delay)), []);
  });

  it("starts no call after the loop is left", async () => {
    let calls = 0;
    const futures = asCompleted(2, Array(50).keys(), async () => {
      calls++;
      await delay(1);
    });
    for await (const _ of futures) break;
    const started = calls;
    await delay(30);
    assertEquals(calls, started);
    assert(calls < 10, `${calls} calls`);
  });

  it("starts no call after the loop has thrown", async () => {
    let calls = 0;
    const futures = asCompleted(2, Array(50).keys(), async () => {
      calls++;
      await delay(1);
    });
    await assertRejects(async () => {
      for await (const _ of futures) throw new RangeError("in the loop");
    }, RangeError);
    await delay(30);
    assert(calls < 10, `${calls} calls`);
  });

  it("ends after an abort, without the calls that are given up", async () => {
    const run = new AbortController();
    const { signal } = run;
    const call = (ms: number) => delay(ms, { signal }).then(() => ms);
    const seen: number[] = [];
    for await (const future of asCompleted(2, [5, 9999, 9999], call, signal)) {
      seen.push(future.result());
      run.abort();
    }
    assertEquals(seen, [5]);
  });

  it("still yields what was done in spite of an abort", async () => {
    const run = new AbortController();
    const call = (ms: number) => delay(ms).then(() => ms);
    const seen: number[] = [];
    const futures = asCompleted(2, [1, 30, 1, 1], call, run.signal);
    for await (const future of futures) {
      seen.push(future.result());
      run.abort();
    }
    // The third may have been started before the loop has seen the first.
    assert(seen.includes(1) && seen.includes(30), `${seen}`);
  });
});

describe("ThreadPoolExecutor", () => {
  it("runs a function on another thread", async () => {
    await using executor = new ThreadPoolExecutor({ maxWorkers: 1, module });
    assertEquals(await executor.submit(add, 1, 2), 3);
    const here = await whichThread(0);
    assert(await executor.submit(whichThread, 0) !== here);
  });

  it("has more than one thread at work", async () => {
    await using executor = new ThreadPoolExecutor({ maxWorkers: 30, module });
    const calls = Array.from(
      { length: 30 },
      () => executor.submit(whichThread, 50),
    );
    const threads = new Set(await Promise.all(calls));
    const cores = navigator.hardwareConcurrency;
    assertEquals(threads.size, Math.min(cores, 4));
  });

  it("starts no more threads than maxWorkers, or than are needed", async () => {
    await using one = new ThreadPoolExecutor({ maxWorkers: 1, module });
    const calls = [1, 2, 3].map(() => one.submit(whichThread, 20));
    assertEquals(new Set(await Promise.all(calls)).size, 1);

    await using idle = new ThreadPoolExecutor({ maxWorkers: 30, module });
    const first = await idle.submit(whichThread, 0);
    assertEquals(await idle.submit(whichThread, 0), first);
  });

  it("keeps many calls in flight on one thread", async () => {
    await using executor = new ThreadPoolExecutor({ maxWorkers: 1, module });
    await executor.submit(add, 1, 1);
    const start = performance.now();
    const calls = Array.from(
      { length: 50 },
      () => executor.submit(whichThread, 100),
    );
    await Promise.all(calls);
    assert(performance.now() - start < 50 * 100 / 2);
  });

  it("gives an error its class and its fields back", async () => {
    await using executor = new ThreadPoolExecutor({ maxWorkers: 1, module });
    const thrown = (what: string) =>
      executor.submit(fail, what).then(() => undefined, (error) => error);

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
    assertEquals(
      (await thrown("uncopyable")).message,
      "Error: with a function",
    );
    assertStrictEquals(await thrown("a word"), "a word");
  });

  it("fails a call whose arguments or result cannot be copied", async () => {
    await using executor = new ThreadPoolExecutor({ maxWorkers: 1, module });
    await assertRejects(() => executor.submit(uncopyable), DOMException);
    const argument = () => {};
    await assertRejects(
      () => executor.submit(add, argument as unknown as number, 1),
      DOMException,
    );
    assertEquals(await executor.submit(add, 1, 2), 3);
  });

  it("carries an abort to the thread", async () => {
    await using executor = new ThreadPoolExecutor({ maxWorkers: 1, module });
    const run = new AbortController();
    const call = executor.submit(wait, run.signal);
    await executor.submit(add, 1, 2);
    run.abort();
    assertEquals(await call, "given up");
    await assertRejects(() => executor.submit(wait, run.signal), DOMException);
  });

  for (const how of ["close", "exit", "throw", "reject"]) {
    it(`fails the calls that wait on a thread which dies by ${how}`, async () => {
      await using executor = new ThreadPoolExecutor({ maxWorkers: 1, module });
      const waiting = executor.submit(wait);
      const dying = executor.submit(die, how).catch((error) => error);
      await assertRejects(() => waiting, BrokenThreadPool, "a thread has died");
      await dying;
      await assertRejects(() => executor.submit(add, 1, 2), BrokenThreadPool);
    });
  }

  it("fails the calls when the module cannot be loaded", async () => {
    const module = import.meta.resolve("./no_such_module.ts");
    await using executor = new ThreadPoolExecutor({ maxWorkers: 1, module });
    await assertRejects(() => executor.submit(add, 1, 2), Error, "no_such");
  });

  it("waits for its calls, ends its threads and then refuses calls", async () => {
    let call: Promise<number>;
    let executor: ThreadPoolExecutor;
    {
      await using pool = new ThreadPoolExecutor({ maxWorkers: 1, module });
      executor = pool;
      call = pool.submit(whichThread, 50);
    }
    assert(await Promise.race([call, "pending"]) !== "pending");
    await assertRejects(
      () => executor.submit(add, 1, 2),
      BrokenThreadPool,
      "shut down",
    );
  });
});
