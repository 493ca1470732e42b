#!/usr/bin/env -S deno run -P
/**
 * Download flags of countries, many requests in flight on one thread, with error handling and a
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
import { asCompleted } from "./lib/futures.ts";
import { tqdm } from "./lib/tqdm.ts";

const DEFAULT_CONCUR_REQ = 5;
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
  const counter = new Counter();
  const download = (cc: string) =>
    downloadOne(cc, baseUrl, verbose, timeout, run.signal);
  const doneIter = asCompleted(concurReq, ccList, download, run.signal);
  const total = ccList.length;
  for await (const future of verbose ? doneIter : tqdm(doneIter, { total })) {
    let status = HTTPStatus.error;
    try {
      ({ status } = future.result());
    } catch (error) {
      if (!(error instanceof RequestError)) {
        run.abort(error);
        continue;
      }
      if (verbose) console.log(errorLine(future.item, error));
    }
    counter[status] += 1;
  }
  return counter;
}

if (import.meta.main) {
  await main(downloadMany, DEFAULT_CONCUR_REQ, MAX_CONCUR_REQ);
}
