/**
 * The cost of `tqdm` for 1000 iterations: `deno bench bench/tqdm_bench.ts`.
 *
 * @module
 */

import { tqdm } from "../lib/tqdm.ts";

const items = Array.from({ length: 1000 }, (_, i) => i);
const output = { isTerminal: () => true, writeSync: () => Infinity };

Deno.bench("1000 iterations", { group: "tqdm", baseline: true }, () => {
  for (const _ of items);
});

Deno.bench("1000 iterations, tqdm", { group: "tqdm" }, () => {
  for (const _ of tqdm(items, { output }));
});
