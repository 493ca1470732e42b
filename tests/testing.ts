/**
 * Conditions, waits and replacements that several tests share.
 *
 * @module
 */

import { delay } from "@std/async/delay";
import { it } from "@std/testing/bdd";

/** Report whether a program is installed and succeeds with these arguments. */
export async function has(
  program: string,
  ...args: string[]
): Promise<boolean> {
  try {
    const piped = { stdin: "null", stdout: "null", stderr: "null" } as const;
    const command = new Deno.Command(program, { args, ...piped });
    return (await command.output()).success;
  } catch { // The program is not installed.
    return false;
  }
}

/** Return `it`, or a skipped `it` whose name says what this machine lacks. */
export function itIf(
  hasAll: boolean,
  needs: string,
): (name: string, test: () => Promise<void>) => void {
  if (hasAll) return it;
  return (name, test) => it.skip(`${name} (skipped: needs ${needs})`, test);
}

/** True if this machine has [::1]. */
export const hasIPv6: boolean = (() => {
  try {
    Deno.listen({ hostname: "::1", port: 0 }).close();
    return true;
  } catch {
    return false;
  }
})();

const { os } = Deno.build;

/** A test that needs a shell or signals. */
export const itOnPosix = itIf(os !== "windows", "a POSIX system");

/** A test that needs `/proc` or `/dev/full`. */
export const itOnLinux = itIf(os === "linux", "Linux");

/** A test that needs a pseudo-terminal. */
export const itInTerminal = itIf(
  os === "linux" && await has("script", "--version"),
  "script(1) of util-linux",
);

/**
 * Call a function every 20 ms until it returns a truthy value, and return that
 * value.
 *
 * @throws {Error} After 20 seconds.
 */
export async function eventually<Value>(
  look: () => Value | Promise<Value>,
): Promise<Value & NonNullable<unknown>> {
  for (const end = performance.now() + 20_000; performance.now() < end;) {
    const value = await look();
    if (value) return value;
    await delay(20);
  }
  throw new Error(`still false after 20 seconds: ${look}`);
}

/** Replace a member of an object until the block ends. */
export function replaced<Owner, Name extends keyof Owner>(
  owner: Owner,
  name: Name,
  other: unknown,
): Disposable {
  const before = owner[name];
  owner[name] = other as Owner[Name];
  return { [Symbol.dispose]: () => void (owner[name] = before) };
}

/** Matches a code block of a page: the words after the fence, and the code. */
export const FENCED = /^```(.*)\n([^]*?)^```$/gm;

/** Return the code blocks of a page that have these words after the fence. */
export function blocks(page: string, info: string): string[] {
  return [...page.matchAll(FENCED)]
    .filter(([, given]) => given === info).map(([, , block]) => block!);
}
