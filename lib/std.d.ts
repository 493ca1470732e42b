/**
 * Types of the @std functions in use: the npm mirror of @std holds JavaScript
 * alone. The checker reads these in its place (`compilerOptions.types` in
 * deno.json).
 */

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
