/**
 * Python's `argparse` as far as these programs need it: std `parseArgs`, made
 * strict, and the usage and help texts that go with it.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { quote } from "./quote.ts";

/**
 * A command line that cannot be run; the message names the option and the
 * value.
 */
export class UsageError extends Error {
  static {
    this.prototype.name = "UsageError";
  }
}

/** What numbers an option takes. */
export interface Bounds {
  /** No fraction. */
  whole?: boolean;
  /** The smallest. */
  min?: number;
  /** The largest. */
  max?: number;
  /** A bound that is itself too small. */
  exclusiveMin?: number;
}

/** An option. */
export interface Option {
  /** Its short name and, if it takes a value, what that is called: `-l N`. */
  flag: `-${string}`;
  /** Its value is a number, within these. */
  bounds?: Bounds;
  /** Its value is one of these words, in any case. */
  choices?: readonly string[];
  /** Its value may be the URL of a web site's folder, too. */
  url?: boolean;
  /** Its value when none is given. */
  default?: string | number;
  /** What it does; `%(default)s` and `%(choices)s` are as in Python. */
  help: string;
}

/** What an option comes to. */
export type Value<O extends Option> = O["flag"] extends `${string} ${string}` ?
    | (O extends { bounds: Bounds } ? number : string)
    | (O extends { default: string | number } ? never : undefined)
  : boolean;

/** The options by their long names, and in `_` the words that are none. */
export type Parsed<T extends Record<string, Option>> =
  & { [Name in keyof T]: Value<T[Name]> }
  & { help: boolean; _: string[] };

/** What a program is, beside its options. */
export interface Program {
  /** Its name; by default that of the main module. */
  prog?: string;
  /** What it does. */
  description: string;
  /** The words that are no options. */
  positional?: Positional;
}

/** The words that are no options. */
export interface Positional {
  /** What one is called. */
  metavar: string;
  /** What they all must match; by default anything. */
  pattern?: RegExp;
  /** The pattern in words, for the message: `A to Z`. */
  rule?: string;
  /** What they mean. */
  help: string;
}

const HELP: Option = { flag: "-h", help: "show this help message and exit" };

/**
 * Reads command lines as `getopt_long(3)` does: clustered letters (`-al 100`),
 * `-l100`, `--limit=100`, `--lim 100`, `--`. The last value given to an option
 * counts. Like Python's class of that name it adds `-h` itself, which counts
 * whatever else is wrong on the line.
 *
 * @example
 * ```ts
 * import { ArgumentParser } from "./argparse.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const positional = { metavar: "CC", help: "country code" };
 * const parser = new ArgumentParser(
 *   { prog: "flags", description: "Download flags.", positional },
 *   {
 *     all: { flag: "-a", help: "get all flags" },
 *     limit: { flag: "-l N", bounds: { min: 1 }, help: "N flags" },
 *   },
 * );
 * assertEquals(parser.usage, "usage: flags [-h] [-a] [-l N] [CC ...]");
 * assertEquals(
 *   parser.parse(["-al", "100", "br"]),
 *   { help: false, all: true, limit: 100, _: ["br"] },
 * );
 * ```
 */
export class ArgumentParser<const T extends Record<string, Option>> {
  readonly #program: Program;
  readonly #options: Map<string, Option>;
  readonly #names: Map<string, string>;

  /** The options are shown in their order. */
  constructor(program: Program, options: T) {
    this.#program = program;
    this.#options = new Map(Object.entries({ help: HELP, ...options }));
    this.#names = new Map(
      this.#options.entries().map(([name, { flag }]) => [flag[1]!, name]),
    );
  }

  /** One line. */
  get usage(): string {
    const { prog = basename(Deno.mainModule), positional } = this.#program;
    const options = this.#options.values().map(({ flag }) => ` [${flag}]`);
    const words = positional ? ` [${positional.metavar} ...]` : "";
    return `usage: ${prog}${[...options].join("")}${words}`;
  }

  /** Usage, description, and a paragraph for each word and option. */
  get help(): string {
    const { description, positional } = this.#program;
    const options = this.#options.entries().map(([name, option]) => {
      const flags = `${option.flag}, ${full(name, option)}`;
      const text = option.help
        .replace("%(default)s", `${option.default}`)
        .replace("%(choices)s", `${option.choices?.join(", ")}`);
      return paragraph(flags, text);
    });
    return [
      this.usage,
      "",
      description,
      ...positional
        ? [
          "",
          "positional arguments:",
          paragraph(positional.metavar, positional.help),
        ]
        : [],
      "",
      "options:",
      ...options,
    ].join("\n");
  }

  /**
   * Read a command line. With `-h` on it, all else has its default.
   *
   * @throws {UsageError} On an unknown option, a missing value, a value that has
   *   no place or is out of bounds, a word that is no option.
   */
  parse(args: string[]): Parsed<T> {
    const names = [...this.#options.keys()];
    const string = names.filter((name) => takesValue(this.#options.get(name)!));
    const boolean = names.filter((name) => !string.includes(name));
    const errors: string[] = [];
    const words = this.#inFull(args, errors);
    const { _, ...rest } = parseArgs(words, { boolean, string });
    if (rest.help) return { ...this.parse([]), help: true };
    if (errors[0]) throw new UsageError(errors[0]);
    const given: Record<string, unknown> = { ...rest, _: this.#checked(_) };
    for (const name of string) {
      const option = this.#options.get(name)!;
      given[name] = given[name] === undefined
        ? option.default
        : valueOf(full(name, option), `${given[name]}`, option);
    }
    return given as Parsed<T>;
  }

  /** The words that are no options, if they may be there. */
  #checked(words: (string | number)[]): string[] {
    const { metavar, pattern = /^/, rule } = this.#program.positional ?? {};
    return words.map((given) => {
      const word = `${given}`;
      if (!metavar) throw new UsageError(`${quote(word)} is no option`);
      if (pattern.test(word)) return word;
      throw new UsageError(`${metavar} must be ${rule}, not ${quote(word)}`);
    });
  }

  /**
   * The same line in long options with their values attached, then the other
   * words: parseArgs would read -al5 as -a=l5, and let a switch take "true".
   */
  #inFull(args: string[], errors: string[]): string[] {
    const options: string[] = [];
    const words: string[] = [];
    const end = args.includes("--") ? args.indexOf("--") : args.length;
    for (let i = 0; i < end; i++) {
      const arg = args[i]!;
      if (!/^-./s.test(arg)) {
        words.push(arg);
        continue;
      }
      for (const [name, attached] of this.#split(arg)) {
        const option = this.#options.get(name);
        if (!option) {
          errors.push(`unknown option ${quote(arg)}`);
        } else if (takesValue(option)) {
          // A negative number is a value, if a bad one.
          const next = i + 1 < end && !/^-[^.\d]/.test(args[i + 1]!);
          const value = attached ?? (next ? args[++i] : undefined);
          options.push(`--${name}=${value}`);
          if (!value) errors.push(`${full(name, option)} needs a value`);
        } else {
          options.push(`--${name}`);
          if (attached === undefined) continue;
          errors.push(`--${name} takes no value, not ${quote(attached)}`);
        }
      }
    }
    return [...options, "--", ...words, ...args.slice(end + 1)];
  }

  /** The options in one word by their long names, each with what is attached. */
  *#split(arg: string): Generator<[name: string, attached?: string]> {
    const long = arg.match(/^--([^=]*)(?:=(.*))?$/s);
    if (long) {
      const name = long[1]!.replaceAll("-", "_");
      const begun = [...this.#options.keys()]
        .filter((other) => name && other.startsWith(name));
      const isClear = begun.length === 1 && !this.#options.has(name);
      yield [isClear ? begun[0]! : name, long[2]!];
      return;
    }
    const letters = [...arg];
    for (let i = 1; i < letters.length; i++) {
      const name = this.#names.get(letters[i]!) ?? letters[i]!;
      const option = this.#options.get(name);
      const isLast = i + 1 === letters.length;
      const takesRest = option && takesValue(option) && !isLast;
      if (takesRest || letters[i + 1] === "=") {
        yield [name, letters.slice(i + 1).join("").replace(/^=/, "")];
        return;
      }
      yield [name];
    }
  }
}

function takesValue({ flag }: Option): boolean {
  return flag.includes(" ");
}

/** The last part of a URL, without the escapes. */
function basename(url: string): string {
  return decodeURIComponent(new URL(url).pathname.replace(/^.*\//, ""));
}

/** `--limit N`, as messages have it. */
function full(name: string, { flag }: Option): string {
  return `--${name}${flag.slice(2)}`;
}

/** A hanging paragraph as Python indents it. */
function paragraph(head: string, text: string): string {
  const indent = `\n${" ".repeat(24)}`;
  const start = `  ${head}`;
  return (start.length > 22 ? start + indent : start.padEnd(24)) +
    text.replaceAll("\n", indent);
}

/** What a word stands for; `what` took it. */
function valueOf(what: string, word: string, option: Option): string | number {
  if (option.bounds) return numberOf(what, word, option.bounds);
  return option.choices ? choiceOf(what, word, option) : word;
}

function numberOf(
  what: string,
  word: string,
  { whole = false, exclusiveMin = -Infinity, ...bounds }: Bounds,
): number {
  // Beyond it whole numbers are not exact, and at last infinite.
  const most = whole ? Number.MAX_SAFE_INTEGER : Infinity;
  const { min = -most, max = most } = bounds;
  const wrong = (rule: string) =>
    new UsageError(`${what} must be ${rule}, not ${quote(word)}`);
  if (!(whole ? /^-?\d+$/ : /^-?(\d+\.?\d*|\.\d+)$/).test(word)) {
    throw wrong(whole ? "a whole number" : "a number");
  }
  const number = Number(word);
  if (number <= exclusiveMin) throw wrong(`> ${exclusiveMin}`);
  if (number < min) throw wrong(`>= ${min}`);
  if (number > max) throw wrong(`<= ${max}`);
  return number;
}

/**
 * One of some words, as it is written there, or, if that may be, a URL without a
 * slash at its end.
 *
 * @param what What took the word, for the message.
 * @throws {UsageError} When it is neither.
 */
export function choiceOf(
  what: string,
  word: string,
  { choices = [], url = false }: Pick<Option, "choices" | "url">,
): string {
  const choice = choices.find((choice) =>
    choice.toUpperCase() === word.toUpperCase()
  );
  if (choice !== undefined) return choice;
  const { origin, pathname, href } = url && URL.parse(word) || {};
  // Without query, fragment and credentials nothing is left over.
  if (/^https?:/.test(`${href}`) && href === `${origin}${pathname}`) {
    return href.replace(/\/+$/, "");
  }
  const more = url ? ", or an http(s) URL without query and credentials" : "";
  throw new UsageError(
    `${what} must be one of ${choices.join(", ")}${more}, not ${quote(word)}`,
  );
}
