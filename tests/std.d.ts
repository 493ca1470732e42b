/** Types of the parts of @std that only the tests use; see lib/std.d.ts. */

declare module "@std/assert*" {
  // deno-lint-ignore no-explicit-any
  type Class<T = any> = abstract new (...args: any[]) => T;
  export function assert(expr: unknown, msg?: string): asserts expr;
  export function assertEquals<T>(actual: T, expected: T, msg?: string): void;
  export function assertMatch(
    actual: string,
    expected: RegExp,
    msg?: string,
  ): void;
  export function assertRejects<E extends Error = Error>(
    fn: () => PromiseLike<unknown>,
    ErrorClass?: Class<E>,
    msgIncludes?: string,
    msg?: string,
  ): Promise<E>;
  export function assertStringIncludes(actual: string, expected: string): void;
  export function assertThrows<E extends Error = Error>(
    fn: () => unknown,
    ErrorClass?: Class<E>,
    msgIncludes?: string,
    msg?: string,
  ): E;
}
