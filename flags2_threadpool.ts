#!/usr/bin/env -S deno run -P
/**
 * Download flags of countries on a pool of threads, with error handling and a
 * progress bar. A few threads keep many requests in flight.
 *
 * ```
 * $ deno run -P flags2_threadpool.ts -s DELAY a b c
 * DELAY site: http://localhost:8002/flags
 * Searching for 78 flags: from AA to CZ
 * 30 concurrent connections will be used.
 * 100%|██████████| 78/78 [00:01<00:00, 46.94it/s]
 * --------------------
 * 43 flags downloaded.
 * 35 not found.
 * Elapsed time: 1.67s
 * ```
 *
 * @module
 */

import { tqdm } from "./lib/tqdm.ts"; // (1)
import { // (2)
  ConnectionError,
  Counter,
  downloadOne, // (3)
  HTTPError,
  HTTPStatus,
  main,
  type Result,
  run,
  showError,
  threadOptions,
} from "./flags2_common.ts";
import { asCompleted, type Future, ThreadPoolExecutor } from "./lib/futures.ts";

const DEFAULT_CONCUR_REQ = 30; // (4)
const MAX_CONCUR_REQ = 1000; // (5)

/** Download many flags at a time, on a few threads. */
export async function downloadMany(
  ccList: string[],
  baseUrl: string,
  verbose: boolean,
  concurReq: number,
): Promise<Counter> {
  const counter = new Counter();
  await using executor = new ThreadPoolExecutor({ // (6)
    maxWorkers: concurReq,
    ...threadOptions(),
  });
  const toDoMap = new Map<Future<Result>, string>(); // (7)
  for (const cc of ccList.toSorted()) { // (8)
    const future = executor.submit(downloadOne, cc, baseUrl, verbose); // (9)
    toDoMap.set(future, cc); // (10)
  }
  let doneIter = asCompleted(toDoMap.keys()); // (11)
  if (!verbose) doneIter = tqdm(doneIter, { total: ccList.length }); // (12)
  for await (const future of doneIter) { // (13)
    let res;
    let errorMsg = "";
    try {
      res = future.result(); // (14)
    } catch (error) { // (15)
      if (error instanceof HTTPError) {
        errorMsg = `HTTP error ${error.status} - ${error.reason}`;
      } else if (error instanceof ConnectionError) {
        errorMsg = error.message;
      } else { // Not a failed request: stop the run.
        run.abort(error);
        continue;
      }
    }
    const status = res?.status ?? HTTPStatus.error;
    counter[status] += 1;
    if (verbose && errorMsg) {
      const cc = toDoMap.get(future)!; // (16)
      showError(cc, errorMsg);
    }
  }
  return counter;
}

if (import.meta.main) {
  await main(downloadMany, DEFAULT_CONCUR_REQ, MAX_CONCUR_REQ);
}
