#!/usr/bin/env -S deno run -P
/**
 * Download flags of countries one after the other, with error handling and a
 * progress bar.
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

/** One request at a time. */
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
