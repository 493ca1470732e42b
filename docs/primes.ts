/**
 * Count primes on a pool of threads: the reading guide's fourth experiment. It
 * computes and waits for nothing, so only another core can make it faster.
 *
 * ```
 * $ deno run -P docs/primes.ts 2
 * 100%|██████████| 20/20 [00:01<00:00, 10.25it/s]
 * 664579 primes below 10000000 with maxWorkers = 2
 * Elapsed time: 1.96s
 * ```
 *
 * @module
 */

import { asCompleted, ThreadPoolExecutor } from "../lib/futures.ts";
import { tqdm } from "../lib/tqdm.ts";

const LIMIT = 10_000_000;
const PARTS = 20;

/** How many primes there are from `start` on and below `end`, by division. */
export function countPrimes(start: number, end: number): number {
  let primes = 0;
  for (let n = Math.max(start, 2); n < end; n++) {
    let divisor = 2;
    while (divisor * divisor <= n && n % divisor !== 0) divisor++;
    if (divisor * divisor > n) primes++;
  }
  return primes;
}

if (import.meta.main) {
  const maxWorkers = Number(Deno.args[0] ?? 1);
  const t0 = performance.now();
  await using executor = new ThreadPoolExecutor({ maxWorkers });
  const size = LIMIT / PARTS;
  const futures = Array.from({ length: PARTS }, (_, i) => {
    return executor.submit(countPrimes, i * size, (i + 1) * size);
  });
  let primes = 0;
  for await (const future of tqdm(asCompleted(futures), PARTS)) {
    primes += future.result();
  }
  console.log(
    `${primes} primes below ${LIMIT} with maxWorkers = ${maxWorkers}`,
  );
  const elapsed = (performance.now() - t0) / 1000;
  console.log(`Elapsed time: ${elapsed.toFixed(2)}s`);
}
