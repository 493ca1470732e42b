/**
 * A progress bar around any iterable, after Python's `tqdm`.
 *
 * Two pure functions turn numbers into text, {@linkcode Bar} knows how to
 * redraw a line, and the generators in {@linkcode tqdm} know neither.
 *
 * @module
 */

/** Milliseconds between two drawings of a bar. */
const INTERVAL = 100;

/** Where a bar is written. */
export interface Output {
  /** True when lines can be redrawn in place. */
  isTerminal(): boolean;
  /** Characters in a line of the terminal, asked anew for each drawing. */
  columns(): number;
  /** Write text as it is. */
  write(text: string): void;
}

/** What {@linkcode tqdm} can be told. */
export interface TqdmOptions {
  /**
   * How many items to expect; by default the iterable's `length` or `size`, if
   * it has one.
   */
  total?: number | undefined;
  /** Where to draw; by default standard output. */
  output?: Output | undefined;
  /** The clock, in milliseconds. */
  now?: (() => number) | undefined;
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
}

/**
 * Seconds as a clock shows them.
 *
 * @example
 * ```ts
 * import { formatInterval } from "./tqdm.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(formatInterval(83.4), "01:23");
 * assertEquals(formatInterval(3600), "1:00:00");
 * ```
 *
 * @param seconds A length of time.
 * @returns `mm:ss`, or `h:mm:ss` from an hour on.
 */
export function formatInterval(seconds: number): string {
  const whole = Math.trunc(seconds);
  const [h, m, s] = [whole / 3600, (whole / 60) % 60, whole % 60].map(
    Math.trunc,
  ) as [number, number, number];
  const clock = [m, s].map((part) => String(part).padStart(2, "0")).join(":");
  return h > 0 ? `${h}:${clock}` : clock;
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
export function formatMeter({ n, total, elapsed, columns }: Meter): string {
  const perSecond = n > 0 && elapsed > 0 ? n / elapsed : undefined;
  const rate = perSecond === undefined
    ? "?it/s"
    : perSecond < 1
    ? `${(1 / perSecond).toFixed(2)}s/it`
    : `${perSecond.toFixed(2)}it/s`;
  const clock = formatInterval(elapsed);
  if (!total || n > total) {
    return `${n}it [${clock}, ${rate}]`.slice(0, columns);
  }

  const left = perSecond === undefined
    ? "?"
    : formatInterval((total - n) / perSecond);
  const percentage = `${Math.floor(100 * n / total)}%`.padStart(4);
  const counts = `${n}/${total} [${clock}<${left}, ${rate}]`;
  const room = columns === undefined
    ? 10
    : columns - `${percentage}|| ${counts}`.length;
  if (room < 1) return `${percentage} ${counts}`.slice(0, columns);
  return `${percentage}|${formatBar(n / total, room)}| ${counts}`;
}

/** A bar `width` wide, drawn in eighths of a character. */
function formatBar(share: number, width: number): string {
  const eighths = Math.floor(share * width * 8);
  const part = [..." ▏▎▍▌▋▊▉"][eighths % 8]!;
  return ("█".repeat(eighths / 8) + part).padEnd(width).slice(0, width);
}

/** Standard output; whoever reads a pipe may leave it early. */
const STDOUT: Output = {
  isTerminal: () => Deno.stdout.isTerminal(),
  columns: () => Deno.consoleSize().columns || 80,
  write(text) {
    const bytes = new TextEncoder().encode(text);
    try {
      for (let written = 0; written < bytes.length;) {
        written += Deno.stdout.writeSync(bytes.subarray(written));
      }
    } catch (error) {
      if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
    }
  },
};

/**
 * The line that shows where a loop stands: redrawn in place on a terminal,
 * written once, finished, anywhere else.
 */
class Bar implements Disposable {
  /** Items done. */
  n = 0;
  /**
   * The `n` at which {@linkcode Bar.tick} is due: the clock is not read for
   * every item.
   */
  due = 1;
  #step = 1;
  #timer: AbortSignal | undefined;
  #read: number;
  #drawn: number;
  readonly #start: number;
  readonly #total: number | undefined;
  readonly #output: Output;
  readonly #now: () => number;

  constructor(
    { total, output = STDOUT, now = () => performance.now() }: TqdmOptions,
  ) {
    this.#total = total;
    this.#output = output;
    this.#now = now;
    this.#start = this.#read = this.#drawn = now();
    if (!output.isTerminal()) {
      this.due = Infinity;
      return;
    }
    this.#redraw();
    addEventListener("unload", this.#endLine);
  }

  /**
   * Draw when it is time; read the clock more seldom, the faster the items
   * come.
   */
  tick(): void {
    const now = this.#now();
    this.#step = now - this.#read < 1 ? Math.min(2 * this.#step, 64) : 1;
    this.#read = now;
    this.due = this.n + this.#step;
    if (now - this.#drawn >= INTERVAL) this.#draw();
  }

  /** The last drawing, and the end of the line. */
  [Symbol.dispose](): void {
    this.#timer?.removeEventListener("abort", this.#redraw);
    removeEventListener("unload", this.#endLine);
    if (this.#output.isTerminal()) this.#draw();
    else this.#output.write(this.#text());
    this.#endLine();
  }

  /** Also when the process is ended in the middle of the loop. */
  #endLine = () => this.#output.write("\n");

  /**
   * Now and at intervals, also while nothing is done, when the loop awaits. The
   * first `setInterval` of a process loads Node's timers, for some 10 ms; this
   * timer does without. It keeps a process alive as long as it is listened to.
   */
  #redraw = () => {
    this.#draw();
    this.#timer = AbortSignal.timeout(INTERVAL);
    this.#timer.addEventListener("abort", this.#redraw);
  };

  #draw(): void {
    this.#drawn = this.#now();
    // Two columns stay free for the ^C that a terminal echoes: it must not wrap.
    const columns = Math.max(0, this.#output.columns() - 2);
    this.#output.write(`\r${this.#text(columns)}\x1b[K`);
  }

  #text(columns?: number): string {
    const elapsed = (this.#now() - this.#start) / 1000;
    return formatMeter({ n: this.n, total: this.#total, elapsed, columns });
  }
}

/**
 * Walk through any iterable and show a progress bar: callouts (3) of the
 * sequential script and (12) of the thread pool's.
 *
 * @example
 * ```ts
 * import { tqdm } from "./tqdm.ts";
 *
 * for (const cc of tqdm(["BR", "CN", "IN"])) console.assert(cc.length === 2);
 * ```
 *
 * @param iterable What to walk through, in a `for` or a `for await` loop.
 * @param options How many items to expect, when the iterable does not say.
 * @returns The same items.
 */
export function tqdm<T>(
  iterable: Iterable<T>,
  options?: TqdmOptions,
): Generator<T, void>;
/** The same for an asynchronous iterable. */
export function tqdm<T>(
  iterable: AsyncIterable<T>,
  options?: TqdmOptions,
): AsyncGenerator<T, void>;
export function tqdm<T>(
  iterable: Iterable<T> | AsyncIterable<T>,
  { total = lengthOf(iterable), output, now }: TqdmOptions = {},
): Generator<T, void> | AsyncGenerator<T, void> {
  const options = { total, output, now };
  return isAsync(iterable)
    ? tickingAsync(iterable, options)
    : ticking(iterable, options);
}

function* ticking<T>(
  iterable: Iterable<T>,
  options: TqdmOptions,
): Generator<T, void> {
  using bar = new Bar(options);
  for (const item of iterable) {
    yield item;
    if (++bar.n === bar.due) bar.tick();
  }
}

async function* tickingAsync<T>(
  iterable: AsyncIterable<T>,
  options: TqdmOptions,
): AsyncGenerator<T, void> {
  using bar = new Bar(options);
  for await (const item of iterable) {
    yield item;
    if (++bar.n === bar.due) bar.tick();
  }
}

function isAsync<T>(
  iterable: Iterable<T> | AsyncIterable<T>,
): iterable is AsyncIterable<T> {
  return Symbol.asyncIterator in Object(iterable);
}

/** Python's `len()`, where there is one. */
function lengthOf(iterable: unknown): number | undefined {
  const { length, size } = iterable as { length?: unknown; size?: unknown };
  return [length, size].find((n) => typeof n === "number") as
    | number
    | undefined;
}
