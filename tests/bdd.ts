/**
 * A stand-in for what the tests use of @std/testing/bdd, which npm lacks. Each `it`
 * is a `Deno.test`, named after its `describe` blocks. A test that leaves a file, a
 * child process or a timer behind fails. The runtime locates every failing test in
 * this file; the name and the stack trace lead to the test itself.
 *
 * @module
 */

/** What a test does. */
type Test = () => void | Promise<void>;

let names: string[] = [];

/** Describe a thing by its tests; its name is the beginning of theirs. */
export function describe(name: string, body: () => void): void {
  const outer = names;
  names = [...outer, name];
  body();
  names = outer;
}

/** A test: it throws when what its name promises does not hold. */
export function it(name: string, test: Test): void {
  register(name, test, false);
}

/** A test that is left out here; its name says why. */
it.skip = (name: string, test: Test): void => register(name, test, true);

function register(
  name: string,
  fn: Test,
  ignore: boolean,
): void {
  const sanitized = { sanitizeOps: true, sanitizeResources: true };
  Deno.test({ name: [...names, name].join(" "), fn, ignore, ...sanitized });
}
