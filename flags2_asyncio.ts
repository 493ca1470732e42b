#!/usr/bin/env -S deno run -P
/**
 * Download flags of countries asynchronously on one thread, with error handling
 * and a progress bar. A request that waits is a promise, not a thread.
 *
 * ```
 * $ deno run -P flags2_asyncio.ts -s ERROR -al 100 -m 100
 * ERROR site: http://localhost:8003/flags
 * Searching for 100 flags: from AD to LK
 * 100 concurrent connections will be used.
 * 100%|██████████| 100/100 [00:00<00:00, 167.77it/s]
 * --------------------
 * 83 flags downloaded.
 * 17 errors.
 * Elapsed time: 0.60s
 * ```
 *
 * @module
 */

import { pooledMap } from "@std/async/pool";
import {
  ConnectionError,
  Counter,
  downloadOne,
  HTTPError,
  HTTPStatus,
  main,
  type Result,
  run,
  showError,
} from "./flags2_common.ts";
import { asCompleted, Future, nextDone } from "./lib/futures.ts";
import { tqdm } from "./lib/tqdm.ts";

const DEFAULT_CONCUR_REQ = 5;
const MAX_CONCUR_REQ = 1000;

/** Download many flags at a time, on one thread. */
export async function downloadMany( // (1)
  ccList: string[],
  baseUrl: string,
  verbose: boolean,
  concurReq: number,
): Promise<Counter> {
  const counter = new Counter();
  const toDoMap = new Map<Future<Result>, string>();
  for (const cc of ccList.toSorted()) { // (3)
    const future = new Future(() => downloadOne(cc, baseUrl, verbose));
    toDoMap.set(future, cc);
  }
  const next = nextDone<Future<Result>>();
  const calls = pooledMap(concurReq, toDoMap.keys(), (future) => { // (2)
    future.start();
    return next(future);
  });
  let doneIter = asCompleted(calls); // (4)
  if (!verbose) doneIter = tqdm(doneIter, { total: ccList.length }); // (5)
  for await (const future of doneIter) { // (6)
    let res;
    let errorMsg = "";
    try {
      res = future.result(); // (7)
    } catch (error) { // (8)
      if (error instanceof HTTPError) {
        errorMsg = `HTTP error ${error.status} - ${error.reason}`; // (10)
      } else if (error instanceof ConnectionError) {
        errorMsg = error.message; // (11)
      } else { // Not a failed request: stop the run.
        run.abort(error);
        continue;
      }
    }
    const status = res?.status ?? HTTPStatus.error;
    counter[status] += 1; // (12)
    if (verbose && errorMsg) {
      const cc = toDoMap.get(future)!; // (9)
      showError(cc, errorMsg);
    }
  }
  return counter; // (13)
}

if (import.meta.main) {
  await main(downloadMany, DEFAULT_CONCUR_REQ, MAX_CONCUR_REQ); // (14) (15)
}
