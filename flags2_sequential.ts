#!/usr/bin/env -S deno run -P
/**
 * Download flags of countries one after the other, with error handling and a
 * progress bar. The other two scripts have their own `downloadMany`.
 *
 * ```
 * $ deno run -P flags2_sequential.ts
 * LOCAL site: http://localhost:8001/flags
 * Searching for 20 flags: from BD to VN
 * 1 concurrent connection will be used.
 * 100%|██████████| 20/20 [00:00<00:00, 307.63it/s]
 * --------------------
 * 20 flags downloaded.
 * Elapsed time: 0.07s
 * ```
 *
 * @module
 */

import {
  ConnectionError,
  Counter,
  downloadOne,
  HTTPError,
  HTTPStatus,
  main,
  run,
  showError,
} from "./flags2_common.ts";
import { tqdm } from "./lib/tqdm.ts";

const DEFAULT_CONCUR_REQ = 1;
const MAX_CONCUR_REQ = 1;

/** Download the flags one after the other. */
export async function downloadMany(
  ccList: string[],
  baseUrl: string,
  verbose: boolean,
  _concurReq: number,
): Promise<Counter> {
  const counter = new Counter(); // (1)
  let ccIter: Iterable<string> = ccList.toSorted(); // (2)
  if (!verbose) ccIter = tqdm(ccIter); // (3)
  for (const cc of ccIter) { // (4)
    let res;
    let errorMsg = "";
    try {
      res = await downloadOne(cc, baseUrl, verbose); // (5)
    } catch (error) {
      if (error instanceof HTTPError) { // (6)
        errorMsg = `HTTP error ${error.status} - ${error.reason}`;
      } else if (error instanceof ConnectionError) { // (7)
        errorMsg = error.message;
      } else { // Not a failed request: stop the run.
        run.abort(error);
        break;
      }
    }
    const status = res?.status ?? HTTPStatus.error; // (8) (9)
    counter[status] += 1; // (10)
    if (verbose && errorMsg) showError(cc, errorMsg); // (11)
  }
  return counter; // (12)
}

if (import.meta.main) {
  await main(downloadMany, DEFAULT_CONCUR_REQ, MAX_CONCUR_REQ);
}
