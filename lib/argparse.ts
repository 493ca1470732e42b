/**
 * Python's `argparse` as far as these programs need it, over std `parseArgs`.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { quote } from "./terminal.ts";

/** A command line that cannot be run; the message names option and value. */
export class UsageError extends Error {}
UsageError.prototype.name = "UsageError";

/** How a word is read, as Python's `type` argument does. */
export interface Type<Value> {
  /** What the word must be, for the message: `a number > 0`. */
  rule: string;
  /** The value of a word; nothing when it breaks the rule. */
  read(word: string): Value | undefined;
}

/** An option. */
export interface Option {
  /** Its short name and, if it takes a value, what that is called: `-l N`. */
  flag: `-${string}`;
  /** What its value is; by default any text. */
  type?: Type<unknown>;
  /** Its value when none is given. */
  default?: string | number;
  /** What it does; `%(default)s` is as in Python. */
  help: string;
}

/** The options by their long names, and in `_` the words beside them. */
export type Parsed<T extends Record<string, Option>> =
  & {
    [Name in keyof T]: T[Name]["flag"] extends `${string} ${string}` ?
        | (T[Name] extends { type: Type<infer Value> } ? Value : string)
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
    /** What each is. */
    type: Type<string>;
    /** What they mean. */
    help: string;
  };
}

/**
 * Reads command lines as `getopt_long(3)` does: `-al 100`, `-l100`, `--lim=100`,
 * `--`. The last value given to an option counts. As Python's class does, it adds
 * `-h` itself, which counts whatever else is wrong on the line.
 *
 * @example
 * ```ts
 * import { ArgumentParser, number } from "./argparse.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const parser = new ArgumentParser({ description: "Download flags." }, {
 *   all: { flag: "-a", help: "get all flags" },
 *   limit: { flag: "-l N", type: number("> 0", (n) => n > 0), help: "" },
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
    const help: Option = {
      flag: "-h",
      help: "show this help message and exit",
    };
    this.#options = { help, ...options };
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
      const { flag, help } = option;
      const text = help.replace("%(default)s", `${option.default}`);
      return paragraph(`${flag}, --${name}${flag.slice(2)}`, text);
    });
    return `${this.usage}\n\n${description}\n\n` +
      (words ? `positional arguments:\n${words}\n\n` : "") +
      `options:\n${options.join("\n")}`;
  }

  /**
   * Read a command line. With `-h` on it, all else has its default.
   *
   * @throws {UsageError} On what is unknown, missing, out of place or not to rule.
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
    const parsed: Record<string, unknown> = { ...read };
    for (const name of this.#valued) {
      const { flag, type, default: absent } = this.#options[name]!;
      const what = `--${name}${flag.slice(2)}`; // --limit N
      const values = (read[name] as string[]).map((value) => value.slice(1));
      if (values.includes("")) throw new UsageError(`${what} needs a value`);
      const last = values.at(-1);
      parsed[name] = last === undefined ? absent : valueOf(last, what, type);
    }
    const { metavar = "", type } = this.#program.positional ?? {};
    const words = [..._.map((word) => `${word}`.slice(1)), ...rest];
    parsed["_"] = words.map((word) => {
      if (type) return valueOf(word, metavar, type);
      throw new UsageError(`${quote(word)} is not an option`);
    });
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

/** The value of a word that an option, or the program, takes. */
function valueOf(word: string, what: string, type?: Type<unknown>): unknown {
  if (!type) return word;
  const value = type.read(word);
  if (value !== undefined) return value;
  throw new UsageError(`${what} must be ${type.rule}, not ${quote(word)}`);
}

/** A number in decimal notation that passes a test. */
export function number(
  rule: string,
  test: (number: number) => boolean,
): Type<number> {
  const read = (word: string) => {
    const isNumber = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(word);
    return isNumber && test(Number(word)) ? Number(word) : undefined;
  };
  return { rule, read };
}

/** One of some words, as it is written here; it may be typed in any case. */
export function oneOf(choices: readonly string[]): Type<string> {
  const read = (word: string) =>
    choices.find((choice) => choice.toUpperCase() === word.toUpperCase());
  return { rule: `one of ${choices.join(", ")}`, read };
}

/** The same, or the URL of a web site's folder, without a slash at its end. */
export function urlOr({ rule, read }: Type<string>): Type<string> {
  const readUrl = (word: string) => {
    const { origin, pathname, href = "" } = URL.parse(word) ?? {};
    // Without query, fragment and credentials nothing is left over.
    const isFolder = /^https?:/.test(href) && href === `${origin}${pathname}`;
    return isFolder ? href.replace(/\/+$/, "") : undefined;
  };
  const or = "or an http(s) URL without query and credentials";
  return {
    rule: `${rule}, ${or}`,
    read: (word) => read(word) ?? readUrl(word),
  };
}
