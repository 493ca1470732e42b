/**
 * Python's `argparse` as far as these programs need it: std `parseArgs`, made
 * strict.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";

/**
 * A command line that cannot be run; the message names the option and the
 * value.
 */
export class UsageError extends Error {
  /** Its name in a stack trace. */
  override name = "UsageError";
}

/**
 * The switches, the values as they were given, and in `_` the words that are no
 * option.
 */
export type Parsed<S extends string, V extends string> =
  & Record<S, boolean>
  & Partial<Record<V, string>>
  & { _: string[] };

/**
 * Parse a command line as `getopt_long(3)` does: clustered letters (`-al 100`),
 * `-l100`, `--limit=100`, `--`. Of an option given twice, the last value
 * counts.
 *
 * @example
 * ```ts
 * import { parseOptions } from "./argparse.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(
 *   parseOptions(["-al", "100", "br"], { all: "a" }, { limit: ["l", "N"] }),
 *   { all: true, limit: "100", _: ["br"] },
 * );
 * ```
 *
 * @param args The words of the command line.
 * @param switches The options without a value: long name to letter.
 * @param values The options with a value: long name to letter and metavar, as
 *   `["l", "N"]`.
 * @returns What was given.
 * @throws {UsageError} On an unknown option, a missing value, or a value that
 *   has no place.
 */
export function parseOptions<S extends string, V extends string>(
  args: string[],
  switches: Record<S, string>,
  values: Record<V, [letter: string, metavar: string]>,
): Parsed<S, V> {
  const metavars = new Map<string, string>();
  const longNames = new Map<string, string>();
  for (const [name, letter] of Object.entries<string>(switches)) {
    longNames.set(letter, name);
  }
  for (const [name, pair] of Object.entries<[string, string]>(values)) {
    longNames.set(pair[0], name);
    metavars.set(name, pair[1]);
  }

  // parseArgs reads -al5 as -a=l5 and lets a switch take "true", so it is
  // handed long options alone, each with its value attached.
  const options: string[] = [];
  const positionals: string[] = [];
  const end = args.includes("--") ? args.indexOf("--") : args.length;
  for (let i = 0; i < end; i++) {
    const arg = args[i]!;
    if (!/^-./s.test(arg)) {
      positionals.push(arg);
      continue;
    }
    for (const [name, attached] of unclustered(arg, longNames, metavars)) {
      if (metavars.has(name)) {
        // A negative number is a value, if a bad one.
        const next = i + 1 < end && !/^-[^.\d]/.test(args[i + 1]!);
        const value = attached ?? (next ? args[++i] : undefined);
        if (!value) {
          throw new UsageError(`--${name} ${metavars.get(name)} needs a value`);
        }
        options.push(`--${name}=${value}`);
      } else if (!Object.hasOwn(switches, name)) {
        throw new UsageError(`unknown option ${quote(arg)}`);
      } else if (attached !== undefined) {
        throw new UsageError(
          `--${name} takes no value, not ${quote(attached)}`,
        );
      } else {
        options.push(`--${name}`);
      }
    }
  }
  const words = [...options, "--", ...positionals, ...args.slice(end + 1)];
  const given: Record<string, unknown> = parseArgs(words, {
    boolean: Object.keys(switches),
    string: Object.keys(values),
  });
  return given as Parsed<S, V>;
}

/**
 * The options in one word by their long names, with the value where one is
 * attached.
 */
function* unclustered(
  arg: string,
  longNames: Map<string, string>,
  metavars: Map<string, string>,
): Generator<[name: string, attached?: string]> {
  const long = arg.match(/^--([^=]*)(?:=(.*))?$/s);
  if (long) {
    yield [long[1]!.replaceAll("-", "_"), long[2]!];
    return;
  }
  for (const [i, letter] of [...arg].entries()) {
    if (i === 0) continue;
    const name = longNames.get(letter) ?? letter;
    const rest = [...arg].slice(i + 1).join("");
    if (rest.startsWith("=") || (rest && metavars.has(name))) {
      yield [name, rest.replace(/^=/, "")];
      return;
    }
    yield [name];
  }
}

/**
 * The number that an option was given.
 *
 * @example
 * ```ts
 * import { parseNumber, UsageError } from "./argparse.ts";
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * const atLeastOne = { whole: true, min: 1 };
 * assertEquals(parseNumber("--limit N", "5", atLeastOne), 5);
 * assertThrows(
 *   () => parseNumber("--limit N", "0", atLeastOne),
 *   UsageError,
 *   "--limit N must be >= 1, not 0",
 * );
 * ```
 *
 * @param option The option and its metavar, for the message: `--limit N`.
 * @param text What was given.
 * @param bounds Smallest and largest value; `above` for a limit that is itself
 *   too small; `whole` for no fraction.
 * @returns The number.
 * @throws {UsageError} When it is no number, or out of bounds.
 */
export function parseNumber(
  option: string,
  text: string,
  bounds: { whole?: boolean; above?: number; min?: number; max?: number },
): number {
  const { whole = false, above = -Infinity } = bounds;
  // Beyond it whole numbers are not exact, and at last infinite.
  const most = whole ? Number.MAX_SAFE_INTEGER : Infinity;
  const { min = -most, max = most } = bounds;
  const wrong = (rule: string) =>
    new UsageError(`${option} must be ${rule}, not ${quote(text)}`);
  if (!(whole ? /^-?\d+$/ : /^-?(\d+\.?\d*|\.\d+)$/).test(text)) {
    throw wrong(whole ? "a whole number" : "a number");
  }
  const number = Number(text);
  if (number <= above) throw wrong(`> ${above}`);
  if (number < min) throw wrong(`>= ${min}`);
  if (number > max) throw wrong(`<= ${max}`);
  return number;
}

/**
 * A word as it can stand in a one-line message: odd characters escaped, cut
 * when it is long.
 *
 * @example
 * ```ts
 * import { quote } from "./argparse.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(quote("b\u00f6"), "b\u00f6");
 * assertEquals(quote("a b"), '"a b"');
 * ```
 *
 * @param word As it was given.
 * @returns The word, or a JSON string when it has other than letters, digits,
 *   punctuation and symbols.
 */
export function quote(word: string): string {
  const letters = [...word];
  const short = letters.length > 40
    ? letters.slice(0, 40).join("") + "…"
    : word;
  return /^[\p{L}\p{N}\p{P}\p{S}]+$/u.test(short)
    ? short
    : JSON.stringify(short).replace(
      /[^\x20-\x7e]/g,
      (unit) => "\\u" + unit.charCodeAt(0).toString(16).padStart(4, "0"),
    );
}
