/**
 * A progress bar around any iterable, after Python's `tqdm`.
 *
 * Two pure functions turn numbers into text, another one knows how to redraw a
 * line, and the generators in {@linkcode tqdm} know neither.
 *
 * @module
 */

import { isAscii, isTerminal, show, type Stream } from "./terminal.ts";

/** What {@linkcode tqdm} can be told. */
export interface TqdmOptions {
  /** How many items to expect; by default the iterable's `length` or `size`. */
  total?: number | undefined;
  /** Where to draw; by default standard output. */
  output?: Stream | undefined;
}

/** Where a loop stands. */
export interface Meter {
  /** Items done. */
  n: number;
  /** Items expected, when that is known. */
  total?: number | undefined;
  /** Seconds since the loop began. */
  elapsed: number;
  /** Most characters that the text may have; without it the bar is ten wide. */
  columns?: number | undefined;
  /** Draw with `#`, not with blocks. */
  ascii?: boolean | undefined;
}

/** Seconds as a clock shows them: `01:23`, or `1:00:00` from an hour on. */
export function formatInterval(seconds: number): string {
  const hours = Math.floor(seconds / 3600);
  const clock = [seconds / 60, seconds]
    .map((part) => `${Math.floor(part % 60)}`.padStart(2, "0")).join(":");
  return hours > 0 ? `${hours}:${clock}` : clock;
}

/**
 * Percentage, bar, count, elapsed < left, rate; without a total: count,
 * elapsed, rate.
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
 * @param meter Where the loop stands.
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

/** A bar `width` wide, drawn in eighths of a block or in whole `#`. */
function formatBar(share: number, width: number, ascii: boolean): string {
  const marks = ascii ? " #" : " ▏▎▍▌▋▊▉█";
  const steps = marks.length - 1;
  const drawn = Math.floor(share * width * steps);
  const bar = marks[steps]!.repeat(drawn / steps) + marks[drawn % steps];
  return bar.padEnd(width).slice(0, width);
}

/** The window's width; it may be closed in the middle of a loop. */
function consoleColumns(): number {
  try {
    return Deno.consoleSize().columns || 80;
  } catch {
    return 80;
  }
}

/**
 * The line that shows where a loop stands: redrawn in place on a terminal,
 * written once, finished, anywhere else.
 */
function startBar(
  iterable: unknown,
  options: TqdmOptions,
): Disposable & { update(): void } {
  const { length, size } = iterable as { length?: number; size?: number };
  const { total = length ?? size, output = Deno.stdout } = options;
  const isThere = isTerminal(output);
  const start = Date.now();
  let drawn = start;
  let n = 0;
  const draw = () => {
    drawn = Date.now();
    const elapsed = Math.max(0, drawn - start) / 1000;
    const meter: Meter = { n, total, elapsed, ascii: isAscii(output) };
    if (!isThere) return show(formatMeter(meter), output);
    // Two columns stay free for the ^C that a terminal echoes: it must not wrap.
    meter.columns = Math.max(0, consoleColumns() - 2);
    show(`\r${formatMeter(meter)}\x1b[K`, output);
  };
  const end = () => {
    draw();
    show("\n", output);
  };
  if (isThere) {
    draw();
    addEventListener("unload", end); // When the process ends within the loop.
  }
  return {
    update() {
      n++;
      // Each 100 ms. `performance.now` costs twice as much; this may be set back.
      if (isThere && Math.abs(Date.now() - drawn) >= 100) draw();
    },
    [Symbol.dispose]() {
      removeEventListener("unload", end);
      end();
    },
  };
}

/**
 * Walk through an iterable in a `for` loop, or, when it is asynchronous, in a
 * `for await` loop, and show a progress bar: callouts (3) and (12).
 *
 * As in Python, it is drawn when an item is done, not while one is waited for.
 *
 * @example The chapter's first
 * ```ts
 * import { tqdm } from "./tqdm.ts";
 * import { delay } from "@std/async/delay";
 *
 * for (const _ of tqdm(Array(1000).keys(), 1000)) await delay(1);
 * ```
 *
 * @param total How many items to expect, if the iterable does not say, or more.
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
