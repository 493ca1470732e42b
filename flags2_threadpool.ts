#!/usr/bin/env -S deno run -P
/**
 * Download flags of countries on a pool of threads, with error handling and a
 * progress bar.
 *
 * @module
 */

import { // (2)
  Counter,
  downloadOne, // (3)
  errorLine,
  HTTPStatus,
  main,
  RequestError,
} from "./flags2_common.ts";
import { asCompleted, ThreadPoolExecutor } from "./lib/futures.ts";
import { tqdm } from "./lib/tqdm.ts"; // (1)

const DEFAULT_CONCUR_REQ = 30; // (4)
const MAX_CONCUR_REQ = 1000; // (5)

/** Many requests at a time, on a few threads. */
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
  await using executor = new ThreadPoolExecutor({ // (6)
    maxWorkers: concurReq,
    module: import.meta.resolve("./flags2_common.ts"),
  });
  const download = (cc: string) =>
    executor.submit(downloadOne, cc, baseUrl, verbose, timeout, signal); // (9)
  const futures = asCompleted(concurReq, ccList, download, signal); // (8) (11)
  const total = ccList.length;
  const doneIter = verbose ? futures : tqdm(futures, { total }); // (12)
  for await (const future of doneIter) { // (13)
    let status: HTTPStatus;
    try {
      const result = future.result(); // (14)
      status = result.status;
    } catch (error) { // (15)
      if (!(error instanceof RequestError)) {
        run.abort(error);
        continue;
      }
      status = HTTPStatus.error;
      const cc = future.item; // (7) (10) (16)
      if (verbose) console.log(errorLine(cc, error));
    }
    counter[status] += 1;
  }
  return counter;
}

if (import.meta.main) {
  await main(downloadMany, DEFAULT_CONCUR_REQ, MAX_CONCUR_REQ);
}
