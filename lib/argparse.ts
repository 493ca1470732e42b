/**
 * Python's `argparse` as far as these programs need it, over std `parseArgs`.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { quote } from "./terminal.ts";

/** A command line that cannot be run; the message names option and value. */
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

/** The options by their long names, and in `_` the words beside them. */
export type Parsed<T extends Record<string, Option>> =
  & {
    [Name in keyof T]: T[Name]["flag"] extends `${string} ${string}` ?
        | (T[Name] extends { bounds: Bounds } ? number : string)
        | (T[Name] extends { default: string | number } ? never : undefined)
      : boolean;
  }
  & { help: boolean; _: string[] };

/** What a program is, beside its options. */
export interface Program {
  /** What it does. */
  description: string;
  /** The words that are not options. */
  positional?: {
    /** What one is called. */
    metavar: string;
    /** What they all must match; by default anything. */
    pattern?: RegExp;
    /** The pattern in words, for the message: `A to Z`. */
    rule?: string;
    /** What they mean. */
    help: string;
  };
}

const HELP: Option = { flag: "-h", help: "show this help message and exit" };

/**
 * Reads command lines as `getopt_long(3)` does: `-al 100`, `-l100`, `--lim=100`,
 * `--`. The last value given to an option counts. As Python's class does, it adds
 * `-h` itself, which counts whatever else is wrong on the line.
 *
 * @example
 * ```ts
 * import { ArgumentParser } from "./argparse.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const parser = new ArgumentParser({ description: "Download flags." }, {
 *   all: { flag: "-a", help: "get all flags" },
 *   limit: { flag: "-l N", bounds: { min: 1 }, help: "N flags" },
 * });
 * assertEquals(parser.parse(["-al", "100"]).limit, 100);
 * ```
 */
export class ArgumentParser<const T extends Record<string, Option>> {
  readonly #program: Program;
  readonly #options: Record<string, Option>;
  readonly #names = new Map<string, string>(); // By -l and by --limit.
  readonly #valued: string[] = [];
  readonly #switches: string[] = [];

  /** The options are shown in their order. */
  constructor(program: Program, options: T) {
    this.#program = program;
    this.#options = { help: HELP, ...options };
    for (const [name, { flag }] of Object.entries(this.#options)) {
      this.#names.set(flag.slice(0, 2), name).set(`--${name}`, name);
      (flag.includes(" ") ? this.#valued : this.#switches).push(name);
    }
  }

  /** One line, with the name of the main module. */
  get usage(): string {
    const { positional } = this.#program;
    const main = decodeURIComponent(Deno.mainModule.replace(/^.*\//, ""));
    const flags = Object.values(this.#options).map(({ flag }) => ` [${flag}]`);
    const words = positional ? ` [${positional.metavar} ...]` : "";
    return `usage: ${main}${flags.join("")}${words}`;
  }

  /** Usage, description, and a paragraph for each word and option. */
  get help(): string {
    const { description, positional } = this.#program;
    const words = positional && paragraph(positional.metavar, positional.help);
    const options = Object.entries(this.#options).map(([name, option]) => {
      const { flag, choices, help } = option;
      const text = help.replace("%(default)s", `${option.default}`)
        .replace("%(choices)s", `${choices?.join(", ")}`);
      return paragraph(`${flag}, --${name}${flag.slice(2)}`, text);
    });
    return `${this.usage}\n\n${description}\n\n` +
      (words ? `positional arguments:\n${words}\n\n` : "") +
      `options:\n${options.join("\n")}`;
  }

  /**
   * Read a command line. With `-h` on it, all else has its default.
   *
   * @throws {UsageError} On what is unknown, missing, out of place or bounds.
   */
  parse(args: string[]): Parsed<T> {
    const errors: string[] = [];
    const end = args.includes("--") ? args.indexOf("--") : args.length;
    const line = args.flatMap((arg, i) =>
      i < end ? this.#spell(arg, errors) : arg
    );
    const { _, "--": rest, ...read } = parseArgs(line, {
      boolean: this.#switches,
      string: this.#valued,
      collect: this.#valued, // The last value counts, but none may be missing.
      "--": true,
      unknown(arg, option) {
        if (option) errors.push(`unknown option ${quote(arg.slice(2))}`);
      },
    });
    if (read["help"]) return { ...this.parse([]), help: true };
    if (errors[0]) throw new UsageError(errors[0]);
    const words = [..._.map((word) => `${word}`.slice(1)), ...rest];
    const parsed: Record<string, unknown> = { ...read, _: words };
    for (const name of this.#valued) {
      const option = this.#options[name]!;
      const what = `--${name}${option.flag.slice(2)}`; // --limit N
      parsed[name] = lastOf(read[name] as string[], what, option);
    }
    const { metavar, pattern = /^/, rule } = this.#program.positional ?? {};
    for (const word of words) {
      if (!metavar) throw new UsageError(`${quote(word)} is not an option`);
      if (pattern.test(word)) continue;
      throw new UsageError(`${metavar} must be ${rule}, not ${quote(word)}`);
    }
    return parsed as Parsed<T>;
  }

  /**
   * What parseArgs has to see to read in an argument what `getopt` reads: -al5 in
   * long names, as it would read -a=l5, and words and values after a "=", else a
   * switch would take "true" for its value, and -1 be an option.
   */
  #spell(arg: string, errors: string[]): string[] {
    const dash = arg.match(/^[\u2010-\u2015\u2212\ufe58\ufe63\uff0d]+(?=.)/)
      ?.[0];
    if (dash) {
      const text = arg.slice(dash.length);
      const isLong = /[—―﹘]|../.test(dash) || this.#names.has(`--${text}`);
      const [said, typed] = [arg, (isLong ? "--" : "-") + text].map(quote);
      errors.push(`${said} begins with a dash, not with a hyphen: ${typed}`);
    }
    if (!/^-[^\d.]/.test(arg)) return [`=${arg}`];
    const flags = this.#valued.map((name) => this.#options[name]!.flag);
    const valued = flags.map((flag) => flag[1]).join("");
    const [, long, letters = "", attached = ""] = arg.match(
      new RegExp(`^(?:(--.[^=]*)|-([^=${valued}]*[${valued}]?))(.*)$`, "s"),
    )!;
    const options = long ? [long] : [...letters].map((letter) => `-${letter}`);
    const names = options.map((option) => this.#nameOf(option));
    const words = names.filter(Boolean).map((name) => `--${name}`);
    const name = names.at(-1);
    // So parseArgs does not know it either: --no-limit=5 would be --limit=5.
    if (!name || words.length < names.length) return [...words, `--${arg}`];
    const value = attached.replace(/^=?/, "=");
    if (attached && this.#switches.includes(name)) {
      errors.push(`--${name} takes no value, not ${quote(value.slice(1))}`);
    }
    return [...words, ...attached ? [value] : []];
  }

  /** The long name of `-l`, `--limit` or `--lim`; `--max-req` is `max_req`. */
  #nameOf(option: string): string | undefined {
    const typed = option.slice(0, 2) + option.slice(2).replaceAll("-", "_");
    const keys = [...this.#names.keys()].filter((key) => key.startsWith(typed));
    return this.#names.get(keys.length === 1 ? keys[0]! : typed);
  }
}

/** A hanging paragraph as Python indents it. */
function paragraph(head: string, text: string): string {
  const indent = `\n${" ".repeat(24)}`;
  const start = `  ${head}`;
  return (start.length > 22 ? start + indent : start.padEnd(24)) +
    text.replaceAll("\n", indent);
}

/** What the last value given to an option stands for. */
function lastOf(values: string[], what: string, option: Option): unknown {
  const words = values.map((value) => value.slice(1));
  if (words.includes("")) throw new UsageError(`${what} needs a value`);
  const word = words.at(-1);
  if (word === undefined) return option.default;
  if (option.bounds) return numberOf(what, word, option.bounds);
  return option.choices ? choiceOf(what, word, option) : word;
}

function numberOf(what: string, word: string, bounds: Bounds): number {
  const { whole = false, exclusiveMin = -Infinity } = bounds;
  // Beyond it whole numbers are not exact, and at last infinite.
  const most = whole ? Number.MAX_SAFE_INTEGER : Number.MAX_VALUE;
  const { min = -most, max = most } = bounds;
  const isNumber = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(word);
  const number = isNumber ? Number(word) : NaN;
  const rule = [
    number <= exclusiveMin && `> ${exclusiveMin}`,
    number < min && `>= ${min}`,
    number > max && `<= ${max}`,
    whole && !Number.isInteger(number) && "a whole number",
    !isNumber && "a number",
  ].find(Boolean);
  if (rule) throw new UsageError(`${what} must be ${rule}, not ${quote(word)}`);
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
  const upper = word.toUpperCase();
  const choice = choices.find((choice) => choice.toUpperCase() === upper);
  if (choice !== undefined) return choice;
  const { origin, pathname, href } = url && URL.parse(word) || {};
  // Without query, fragment and credentials nothing is left over.
  if (/^https?:/.test(`${href}`) && href === `${origin}${pathname}`) {
    return href.replace(/\/+$/, "");
  }
  const more = url ? ", or an http(s) URL without query and credentials" : "";
  const rule = `one of ${choices.join(", ")}${more}`;
  throw new UsageError(`${what} must be ${rule}, not ${quote(word)}`);
}
