/**
 * Types of the @std functions in use, because the npm mirror contains only JavaScript.
 * deno.json names this file. The `*` makes a declaration a fallback: with @std from
 * JSR, JSR's types are used.
 */

declare module "@std/async/delay*" {
  export function delay(
    ms: number,
    options?: { signal?: AbortSignal },
  ): Promise<void>;
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
      alias: Record<string, string[]>;
      boolean: string[];
      collect: string[];
      string: string[];
      unknown: (arg: string, key?: string) => unknown;
    },
  ): Record<string, unknown[]> & { _: (string | number)[]; "--": string[] };
}

declare module "@std/fmt/colors*" {
  export function green(str: string): string;
  export function red(str: string): string;
  export function yellow(str: string): string;
}
