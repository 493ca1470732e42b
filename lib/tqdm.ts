/**
 * A progress bar around any iterable, after Python's `tqdm`. Pure functions format the
 * numbers, `startBar` redraws the line, and the generators in `tqdm` do neither.
 *
 * @module
 */

import { isAscii, isTerminal, show, type Stream } from "./terminal.ts";

/** Options of {@linkcode tqdm}. */
export interface TqdmOptions {
  /** The number of items; by default the iterable's `length` or `size`. */
  total?: number | undefined;
  /** The stream to draw on; by default standard output. */
  output?: Stream | undefined;
}

/** The progress of a loop. */
export interface Meter {
  /** Items done. */
  n: number;
  /** Items expected, if known. */
  total?: number | undefined;
  /** Seconds since the loop began. */
  elapsed: number;
  /** The most characters of the text; by default the bar is ten wide. */
  columns?: number | undefined;
  /** True to draw with `#` instead of blocks. */
  ascii?: boolean | undefined;
}

/** Format seconds as a clock does: `01:23`, or `1:00:00` from an hour on. */
export function formatInterval(seconds: number): string {
  const hours = Math.floor(seconds / 3600);
  const clock = [seconds / 60, seconds]
    .map((part) => `${Math.floor(part % 60)}`.padStart(2, "0")).join(":");
  return hours > 0 ? `${hours}:${clock}` : clock;
}

/**
 * Format percentage, bar, count, time elapsed < time left, and rate. Without a total
 * there are only count, time elapsed and rate.
 *
 * @example
 * ```ts
 * import { formatMeter } from "./tqdm.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(
 *   formatMeter({ n: 5, total: 20, elapsed: 2 }),
 *   " 25%|██▌       | 5/20 [00:02<00:06, 2.50it/s]",
 * );
 * assertEquals(formatMeter({ n: 5, elapsed: 2 }), "5it [00:02, 2.50it/s]");
 * ```
 *
 * @returns One line without control characters, at most `columns` long.
 */
export function formatMeter(
  { n, total, elapsed, columns, ascii = false }: Meter,
): string {
  const perSecond = n > 0 && elapsed > 0 ? n / elapsed : undefined;
  const rate = perSecond === undefined
    ? "?it/s"
    : perSecond < 1
    ? `${(1 / perSecond).toFixed(2)}s/it`
    : `${perSecond.toFixed(2)}it/s`;
  const clock = formatInterval(elapsed);
  if (!total || !Number.isFinite(total) || n > total) {
    return `${n}it [${clock}, ${rate}]`.slice(0, columns);
  }

  const left = n === total ? 0 : perSecond && (total - n) / perSecond;
  const leftClock = left === undefined ? "?" : formatInterval(left);
  const percentage = `${Math.floor(100 * n / total)}%`.padStart(4);
  const counts = `${n}/${total} [${clock}<${leftClock}, ${rate}]`;
  const { length } = `${percentage}|| ${counts}`;
  const room = columns === undefined ? 10 : columns - length;
  if (room < 1) return `${percentage} ${counts}`.slice(0, columns);
  return `${percentage}|${formatBar(n / total, room, ascii)}| ${counts}`;
}

/** Draw a bar `width` wide in eighths of a block, or in whole `#`. */
function formatBar(share: number, width: number, ascii: boolean): string {
  const marks = ascii ? " #" : " ▏▎▍▌▋▊▉█";
  const steps = marks.length - 1;
  const drawn = Math.floor(share * width * steps);
  const bar = marks[steps]!.repeat(drawn / steps) + marks[drawn % steps];
  return bar.padEnd(width).slice(0, width);
}

/** Return the width of the window, which may be closed during a loop. */
function consoleColumns(): number {
  try {
    return Deno.consoleSize().columns || 80;
  } catch {
    return 80;
  }
}

/**
 * Draw the line of a loop: in place, again and again, on a terminal; otherwise once,
 * when it is finished.
 */
function startBar(
  iterable: unknown,
  options: TqdmOptions,
): Disposable & { update(): void } {
  const { length, size } = iterable as { length?: number; size?: number };
  const { total = length ?? size, output = Deno.stdout } = options;
  const onTerminal = isTerminal(output);
  const start = Date.now();
  let drawnAt = start;
  let n = 0;
  const draw = () => {
    drawnAt = Date.now();
    const elapsed = Math.max(0, drawnAt - start) / 1000;
    const meter: Meter = { n, total, elapsed, ascii: isAscii(output) };
    if (!onTerminal) return show(formatMeter(meter), output);
    // Two columns are left for the ^C that a terminal echoes, so that it fits.
    meter.columns = Math.max(0, consoleColumns() - 2);
    show(`\r${formatMeter(meter)}\x1b[K`, output);
  };
  const end = () => {
    draw();
    show("\n", output);
  };
  if (onTerminal) {
    draw();
    addEventListener("unload", end); // The process may end within the loop.
  }
  return {
    update() {
      n++;
      // Every 100 ms. `Date.now` is cheaper, but can be set back: hence `abs`.
      if (onTerminal && Math.abs(Date.now() - drawnAt) >= 100) draw();
    },
    [Symbol.dispose]() {
      removeEventListener("unload", end);
      end();
    },
  };
}

/**
 * Show a progress bar for a `for` loop over an iterable, or for a `for await` loop over
 * an asynchronous one: callouts (3), (12), and (5) of 18.4. As in Python, the bar is
 * drawn when an item is done, not while the loop waits for one.
 *
 * @example The first code of 17.5
 * ```ts
 * import { tqdm } from "./tqdm.ts";
 * import { delay } from "@std/async/delay";
 *
 * for (const _ of tqdm(Array(1000).keys(), 1000)) await delay(1);
 * ```
 *
 * @param total The number of items, if the iterable has no `length` or `size`; or
 *   options.
 * @returns The same items.
 */
export function tqdm<T>(
  iterable: Iterable<T>,
  total?: number | TqdmOptions,
): Generator<T, void>;
/** The same, for a `for await` loop. */
export function tqdm<T>(
  iterable: AsyncIterable<T>,
  total?: number | TqdmOptions,
): AsyncGenerator<T, void>;
export function tqdm<T>(
  iterable: Iterable<T> | AsyncIterable<T>,
  total: number | TqdmOptions = {},
): Generator<T, void> | AsyncGenerator<T, void> {
  const options = typeof total === "object" ? total : { total };
  if (Symbol.asyncIterator in Object(iterable)) {
    return async function* () {
      using bar = startBar(iterable, options);
      for await (const item of iterable) {
        yield item;
        bar.update();
      }
    }();
  }
  return function* () {
    using bar = startBar(iterable, options);
    for (const item of iterable as Iterable<T>) {
      yield item;
      bar.update();
    }
  }();
}
