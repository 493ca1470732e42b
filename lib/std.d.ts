/**
 * Types of the @std functions in use: the npm mirror of @std holds JavaScript
 * alone. The checker reads these in its place (`compilerOptions.types` in
 * deno.json).
 */

declare module "@std/assert" {
  // deno-lint-ignore no-explicit-any
  type Class<E> = abstract new (...args: any[]) => E;
  export function assert(expr: unknown, msg?: string): asserts expr;
  export function assertEquals<T>(actual: T, expected: T, msg?: string): void;
  export function assertInstanceOf<E>(
    actual: unknown,
    expectedType: Class<E>,
    msg?: string,
  ): asserts actual is E;
  export function assertMatch(
    actual: string,
    expected: RegExp,
    msg?: string,
  ): void;
  export function assertRejects<E extends Error>(
    fn: () => PromiseLike<unknown>,
    ErrorClass: Class<E>,
    msgIncludes?: string,
  ): Promise<E>;
  export function assertStrictEquals<T>(
    actual: unknown,
    expected: T,
    msg?: string,
  ): asserts actual is T;
  export function assertStringIncludes(actual: string, expected: string): void;
  export function assertThrows<E extends Error>(
    fn: () => unknown,
    ErrorClass: Class<E>,
    msgIncludes?: string,
  ): E;
}

declare module "@std/async/delay" {
  export function delay(
    ms: number,
    options?: { signal?: AbortSignal },
  ): Promise<void>;
}

declare module "@std/async/pool" {
  export function pooledMap<T, R>(
    poolLimit: number,
    array: Iterable<T> | AsyncIterable<T>,
    iteratorFn: (data: T) => Promise<R>,
  ): AsyncIterableIterator<R>;
}

declare module "@std/cli/parse-args" {
  export function parseArgs(
    args: string[],
    options?: { boolean?: string[]; string?: string[] },
  ): Record<string, unknown> & { _: string[] };
}

declare module "@std/fmt/colors" {
  export function green(str: string): string;
  export function red(str: string): string;
  export function yellow(str: string): string;
}
