/**
 * The part of Python's `argparse` that these programs need, over std `parseArgs`.
 *
 * @module
 */

import { parseArgs } from "@std/cli/parse-args";
import { quote } from "./terminal.ts";

/** An invalid command line; the message names the option and the value. */
export class UsageError extends Error {}
UsageError.prototype.name = "UsageError";

/** A rule for a word and its conversion, as in Python's `type` argument. */
export interface Type<Value> {
  /** The rule, for the message: `a number > 0`. */
  rule: string;
  /** Convert a word, to `undefined` if it breaks the rule. */
  read(word: string): Value | undefined;
}

/** An option of a program. */
export interface Option {
  /** The short name, followed by the name of the value if it takes one: `-l N`. */
  flag: `-${string}`;
  /** The type of the value, if the option takes one. */
  type?: Type<unknown>;
  /** The value of an option that is not given. */
  default?: string | number;
  /** The text for the help; `%(default)s` stands for the default, as in Python. */
  help: string;
}

/** The values of the options by their long names, and the other words in `_`. */
export type Parsed<T extends Record<string, Option>> =
  & {
    [Name in keyof T]: T[Name] extends { type: Type<infer Value> }
      ? Value | (T[Name] extends { default: unknown } ? never : undefined)
      : boolean;
  }
  & { help: boolean; _: string[] };

/** The description of a program and its positional arguments. */
export interface Program {
  /** The text below the usage line. */
  description: string;
  /** The words that are not options: their name, type and text of the help. */
  positional: { metavar: string; type: Type<string>; help: string };
}

/**
 * A parser of command lines: std `parseArgs` reads them, and the parser checks what it
 * read. Like Python's class, it adds `-h` itself.
 *
 * @example
 * ```ts
 * import { ArgumentParser, number, oneOf } from "./argparse.ts";
 * import { assertEquals } from "@std/assert";
 *
 * const positional = { metavar: "SITE", type: oneOf(["LOCAL"]), help: "" };
 * const parser = new ArgumentParser({ description: "Serve.", positional }, {
 *   all: { flag: "-a", help: "serve all files" },
 *   limit: { flag: "-l N", type: number("> 0", (n) => n > 0), help: "" },
 * });
 * assertEquals(parser.parse(["-al", "100"]).limit, 100);
 * ```
 */
export class ArgumentParser<const T extends Record<string, Option>> {
  readonly #program: Program;
  readonly #options: [name: string, option: Option][];

  /** The help lists `options` in their order. */
  constructor(program: Program, options: T) {
    this.#program = program;
    const text = "show this help message and exit";
    const help: Option = { flag: "-h", help: text };
    this.#options = Object.entries<Option>({ help, ...options });
  }

  /** The usage line, with the name of the main module. */
  get usage(): string {
    const main = decodeURIComponent(Deno.mainModule.replace(/^.*\//, ""));
    const flags = this.#options.map(([, { flag }]) => ` [${flag}]`).join("");
    return `usage: ${main}${flags} [${this.#program.positional.metavar} ...]`;
  }

  /** Usage, description, and a paragraph for each option. */
  get help(): string {
    const { description, positional } = this.#program;
    const options = this.#options.map(([name, option]) => {
      const { flag, help } = option;
      const text = help.replace("%(default)s", `${option.default}`);
      return paragraph(`${flag}, --${name}${flag.slice(2)}`, text);
    });
    return `${this.usage}\n\n${description}\n\npositional arguments:\n` +
      `${paragraph(positional.metavar, positional.help)}\n\n` +
      `options:\n${options.join("\n")}`;
  }

  /**
   * Parse a command line. With `-h` on it, all other options have their defaults.
   *
   * @throws {UsageError} If something is unknown, missing, misplaced or invalid.
   */
  parse(args: string[]): Parsed<T> {
    const alias: Record<string, string[]> = {};
    const [boolean, string]: [string[], string[]] = [[], []];
    for (const [name, { flag, type }] of this.#options) {
      alias[name] = [flag[1]!, name.replaceAll("_", "-")];
      (type ? string : boolean).push(name);
    }
    const options = args.slice(0, [...args, "--"].indexOf("--"));
    // parseArgs would read --no-limit=5 as --limit=5.
    const unknown = options.filter((arg) => arg.startsWith("--no-"));
    const { _, "--": rest, ...read } = parseArgs(args, {
      alias,
      boolean,
      string,
      collect: Object.keys(alias),
      "--": true,
      unknown: (arg, option) => !option || !unknown.push(arg),
    });
    const letters = this.#options.map(([, { flag }]) => flag[1]).join("");
    const asksHelp = new RegExp(`^(--help|-[${letters}]*h[${letters}]*)$`);
    if (options.some((arg) => asksHelp.test(arg))) {
      return { ...this.parse([]), help: true };
    }
    if (unknown[0]) throw new UsageError(`unknown option ${quote(unknown[0])}`);
    const parsed: Record<string, unknown> = {};
    for (const [name, { flag, type, default: absent }] of this.#options) {
      const what = `--${name}${flag.slice(2)}`; // --limit N
      const values: unknown[] = read[name]!;
      if (!type) {
        // parseArgs would read --all=5 as --all.
        const long = options.find((arg) => arg.startsWith(`${what}=`));
        const text = long?.slice(what.length + 1) ??
          values.find((value) => value !== true);
        parsed[name] = values.length > 0;
        if (text === undefined) continue;
        const given = quote(`${text}`);
        throw new UsageError(`${what} takes no value, but has ${given}`);
      }
      if (values.includes("")) throw new UsageError(`${what} needs a value`);
      const last = values.at(-1) as string | undefined; // The last value counts.
      parsed[name] = last === undefined ? absent : parseValue(last, what, type);
    }
    // parseArgs reads -a true as -a, and turns some words into numbers.
    const texts = [_, ...Object.values(read)].flat();
    if (options.includes("true") && !texts.includes("true")) {
      const why = "unexpected true: the option before it takes no value";
      throw new UsageError(why);
    }
    const words = _.map((word) => options.find((arg) => word == arg)!);
    for (const word of words) this.#rejectDash(word);
    const { metavar, type } = this.#program.positional;
    const all = [...words, ...rest];
    parsed["_"] = all.map((word) => parseValue(word, metavar, type));
    return parsed as Parsed<T>;
  }

  /** Reject an option that was typed with a dash instead of a hyphen. */
  #rejectDash(word: string): void {
    const [, text] = word.match(/^[[\p{Pd}\u2212]--[\-]]+(.+)/sv) ?? [];
    if (!text) return;
    const name = text.replace(/=.*/s, "").replaceAll("-", "_");
    const isLong = this.#options.some(([option]) => option === name);
    throw new UsageError(
      `${quote(word)} begins with a dash, not a hyphen. ` +
        `Did you mean ${quote((isLong ? "--" : "-") + text)}?`,
    );
  }
}

/** Format a hanging paragraph, indented as in Python. */
function paragraph(head: string, text: string): string {
  const indent = `\n${" ".repeat(24)}`;
  const start = `  ${head}`;
  return (start.length > 22 ? start + indent : start.padEnd(24)) +
    text.replaceAll("\n", indent);
}

/** Convert a word to its value, by the rule of its type. */
function parseValue(word: string, what: string, type: Type<unknown>): unknown {
  const value = type.read(word);
  if (value !== undefined) return value;
  throw new UsageError(`${what} must be ${type.rule}, not ${quote(word)}`);
}

/** Return the type of a number in decimal notation that passes a test. */
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

/** Return the type of a word from a list, which may be typed in any case. */
export function oneOf(choices: readonly string[]): Type<string> {
  const read = (word: string) =>
    choices.find((choice) => choice.toUpperCase() === word.toUpperCase());
  return { rule: `one of ${choices.join(", ")}`, read };
}

/** Return a type that also accepts a folder's URL, and strips slashes at its end. */
export function urlOr({ rule, read }: Type<string>): Type<string> {
  const readUrl = (word: string) => {
    const { origin, pathname, href = "" } = URL.parse(word) ?? {};
    // Nothing else may be left: no query, fragment or credentials.
    const isFolder = /^https?:/.test(href) && href === `${origin}${pathname}`;
    return isFolder ? href.replace(/\/+$/, "") : undefined;
  };
  const or = "or an http(s) URL without a query or credentials";
  return {
    rule: `${rule}, ${or}`,
    read: (word) => read(word) ?? readUrl(word),
  };
}
