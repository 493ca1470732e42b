/**
 * What a user or a server sent, as it can stand in a message.
 *
 * @module
 */

/**
 * A word as it can stand in a one-line message: odd characters escaped, cut
 * when it is long.
 *
 * @example
 * ```ts
 * import { quote } from "./quote.ts";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(quote("b\u00f6"), "b\u00f6");
 * assertEquals(quote("a b"), '"a b"');
 * ```
 *
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
