/**
 * What `tqdm` adds to a loop: `deno bench bench/tqdm_bench.ts`.
 *
 * @module
 */

import { type Output, tqdm } from "../lib/tqdm.ts";

/** A terminal that shows nothing. */
export const TERMINAL: Output = {
  isTerminal: () => true,
  columns: () => 80,
  write() {},
};

/** What the loops walk through. */
export const ITEMS: number[] = Array.from({ length: 100_000 }, (_, i) => i);

async function* later(): AsyncGenerator<number> {
  yield* ITEMS;
}

const options = { output: TERMINAL };

Deno.bench("for", { group: "for", baseline: true }, () => {
  for (const _ of ITEMS);
});

Deno.bench("for, tqdm", { group: "for" }, () => {
  for (const _ of tqdm(ITEMS, options));
});

Deno.bench("for await", { group: "for await", baseline: true }, async () => {
  for await (const _ of later());
});

Deno.bench("for await, tqdm", { group: "for await" }, async () => {
  for await (const _ of tqdm(later(), options));
});
