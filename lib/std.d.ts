/**
 * Types of the @std functions in use, each as JSR has it: the npm mirror of
 * @std holds JavaScript alone. `compilerOptions.types` in deno.json names this
 * file. The `*` makes a module's declaration a fallback: with @std from JSR the
 * checker reads the types of @std itself.
 */

declare module "@std/assert*" {
  // deno-lint-ignore no-explicit-any
  type Class<T = any> = abstract new (...args: any[]) => T;
  export function assert(expr: unknown, msg?: string): asserts expr;
  export function assertEquals<T>(actual: T, expected: T, msg?: string): void;
  export function assertInstanceOf<C extends Class>(
    actual: unknown,
    expectedType: C,
    msg?: string,
  ): asserts actual is InstanceType<C>;
  export function assertMatch(
    actual: string,
    expected: RegExp,
    msg?: string,
  ): void;
  export function assertRejects(
    fn: () => PromiseLike<unknown>,
    msg?: string,
  ): Promise<unknown>;
  export function assertRejects<E extends Error = Error>(
    fn: () => PromiseLike<unknown>,
    ErrorClass: Class<E>,
    msgIncludes?: string,
    msg?: string,
  ): Promise<E>;
  export function assertStrictEquals<T>(
    actual: unknown,
    expected: T,
    msg?: string,
  ): asserts actual is T;
  export function assertStringIncludes(
    actual: string,
    expected: string,
    msg?: string,
  ): void;
  export function assertThrows(fn: () => unknown, msg?: string): unknown;
  export function assertThrows<E extends Error = Error>(
    fn: () => unknown,
    ErrorClass: Class<E>,
    msgIncludes?: string,
    msg?: string,
  ): E;
}

declare module "@std/async/delay*" {
  export interface DelayOptions {
    signal?: AbortSignal;
    persistent?: boolean;
  }
  export function delay(ms: number, options?: DelayOptions): Promise<void>;
}

declare module "@std/async/pool*" {
  export function pooledMap<T, R>(
    poolLimit: number,
    array: Iterable<T> | AsyncIterable<T>,
    iteratorFn: (data: T) => Promise<R>,
  ): AsyncIterableIterator<R>;
}

declare module "@std/cli/parse-args*" {
  export function parseArgs(
    args: string[],
    options: {
      "--": true;
      boolean: string[];
      collect: string[];
      string: string[];
      unknown: (arg: string, key?: string) => unknown;
    },
  ): Record<string, unknown> & { _: (string | number)[]; "--": string[] };
}

declare module "@std/fmt/colors*" {
  export function green(str: string): string;
  export function red(str: string): string;
  export function yellow(str: string): string;
}
