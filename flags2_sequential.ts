#!/usr/bin/env -S deno run -P
/**
 * Download flags of countries one after the other, with error handling and a
 * progress bar. The other two scripts differ from it in a few lines.
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
  Counter,
  downloadOne,
  errorLine,
  HTTPStatus,
  main,
  RequestError,
} from "./flags2_common.ts";
import { tqdm } from "./lib/tqdm.ts";

const DEFAULT_CONCUR_REQ = 1;
const MAX_CONCUR_REQ = 1;

/** One request at a time: the chapter's twelve steps. */
export async function downloadMany(
  ccList: string[],
  baseUrl: string,
  verbose: boolean,
  _concurReq: number,
  timeout: number,
  run: AbortController,
): Promise<Counter> {
  const { signal } = run;
  const counter = new Counter(); // (1)
  const download = (cc: string) =>
    downloadOne(cc, baseUrl, verbose, timeout, signal);
  const ccIter = verbose ? ccList : tqdm(ccList); // (2) (3)
  for (const cc of ccIter) { // (4)
    let status: HTTPStatus;
    try {
      const result = await download(cc); // (5)
      status = result.status; // (8)
    } catch (error) { // (6)
      if (!(error instanceof RequestError)) { // (7)
        run.abort(error);
        break;
      }
      status = HTTPStatus.error; // (9)
      if (verbose) console.log(errorLine(cc, error)); // (11)
    }
    counter[status] += 1; // (10)
  }
  return counter; // (12)
}

if (import.meta.main) {
  await main(downloadMany, DEFAULT_CONCUR_REQ, MAX_CONCUR_REQ);
}
