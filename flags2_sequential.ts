#!/usr/bin/env -S deno run -P
/**
 * Download flags of countries, one after another, with error handling and a progress bar.
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

/** One request at a time, in a plain loop. */
export async function downloadMany(
  ccList: string[],
  baseUrl: string,
  verbose: boolean,
  _concurReq: number,
  timeout: number,
  run: AbortController,
): Promise<Counter> {
  const counter = new Counter();
  for (const cc of verbose ? ccList : tqdm(ccList)) {
    let status = HTTPStatus.error;
    try {
      ({ status } = await downloadOne(
        cc,
        baseUrl,
        verbose,
        timeout,
        run.signal,
      ));
    } catch (error) {
      if (!(error instanceof RequestError)) {
        run.abort(error);
        break;
      }
      if (verbose) console.log(errorLine(cc, error));
    }
    counter[status] += 1;
  }
  return counter;
}

if (import.meta.main) {
  await main(downloadMany, DEFAULT_CONCUR_REQ, MAX_CONCUR_REQ);
}
