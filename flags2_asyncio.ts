#!/usr/bin/env -S deno run -P
/**
 * Download flags of countries asynchronously on one thread, with error handling
 * and a progress bar. What waits is a promise, not a thread.
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

import {
  Counter,
  downloadOne,
  errorLine,
  HTTPStatus,
  main,
  RequestError,
} from "./flags2_common.ts";
import { asCompleted } from "./lib/futures.ts";
import { tqdm } from "./lib/tqdm.ts";

const DEFAULT_CONCUR_REQ = 5; // (1)
const MAX_CONCUR_REQ = 1000;

/** Many requests at a time, on one thread. */
export async function downloadMany(
  ccList: string[],
  baseUrl: string,
  verbose: boolean,
  concurReq: number,
  timeout: number,
  run: AbortController,
): Promise<Counter> {
  const { signal } = run;
  const counter = new Counter();
  const download = (cc: string) =>
    downloadOne(cc, baseUrl, verbose, timeout, signal); // (2)
  const futures = asCompleted(concurReq, ccList, download, signal); // (3)
  const total = ccList.length;
  const doneIter = verbose ? futures : tqdm(futures, { total });
  for await (const future of doneIter) { // (4)
    let status: HTTPStatus;
    try {
      const result = future.result(); // (5)
      status = result.status;
    } catch (error) { // (6)
      if (!(error instanceof RequestError)) {
        run.abort(error);
        continue;
      }
      status = HTTPStatus.error;
      const cc = future.item; // (7)
      if (verbose) console.log(errorLine(cc, error));
    }
    counter[status] += 1;
  }
  return counter; // (8)
}

if (import.meta.main) {
  await main(downloadMany, DEFAULT_CONCUR_REQ, MAX_CONCUR_REQ);
}
