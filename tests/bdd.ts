/**
 * A stand-in for @std/testing/bdd, which npm lacks. Each `it` is a `Deno.test`
 * whose name begins with the names of its `describe` blocks. A test fails if it
 * leaves a file, a child process or a timer open. The runtime reports the location
 * of every test as this file; the stack trace contains the test's own line.
 *
 * @module
 */

type Test = () => void | Promise<void>;

let names: string[] = [];

/** Group tests under a name with which the names of the tests begin. */
export function describe(name: string, body: () => void): void {
  const outer = names;
  names = [...outer, name];
  body();
  names = outer;
}

export function it(name: string, test: Test): void {
  register(name, test, false);
}

it.skip = (name: string, test: Test): void => register(name, test, true);

function register(name: string, fn: Test, ignore: boolean): void {
  const sanitized = { sanitizeOps: true, sanitizeResources: true };
  Deno.test({ name: [...names, name].join(" "), fn, ignore, ...sanitized });
}
