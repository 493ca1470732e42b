/**
 * A stand-in for @std/testing/bdd, which npm lacks. Each `it` is a `Deno.test`,
 * named after its `describe` blocks. A test that leaves a file, a child process or
 * a timer behind fails. The runtime locates every failing test in this file; the
 * name and the stack trace lead to the test itself.
 *
 * @module
 */

/** Something to do before, in or after a test. */
type Step = () => void | Promise<void>;

/** What a `describe` block has set. */
type Suite = { name: string; before: Step[]; after: Step[] };

let suites: Suite[] = [];

/** Describe a thing by its tests; its name is the beginning of theirs. */
export function describe(name: string, body: () => void): void {
  const outer = suites;
  suites = [...outer, { name, before: [], after: [] }];
  body();
  suites = outer;
}

/** Before each test of this block and of those within. */
export function beforeEach(step: Step): void {
  suites.at(-1)!.before.push(step);
}

/** After each test of this block and of those within, also when it failed. */
export function afterEach(step: Step): void {
  suites.at(-1)!.after.push(step);
}

/** A test: it throws when what its name promises does not hold. */
export function it(name: string, test: Step): void {
  register(name, test, false);
}

/** A test that is left out here; its name says why. */
it.skip = (name: string, test: Step): void => register(name, test, true);

function register(name: string, test: Step, ignore: boolean): void {
  const around = suites;
  const names = [...around.map((suite) => suite.name), name];
  Deno.test({
    name: names.join(" "),
    ignore,
    sanitizeOps: true,
    sanitizeResources: true,
    fn: () => runWithin(around, test),
  });
}

/** The outermost block's steps come first and last. */
async function runWithin(
  [suite, ...inner]: Suite[],
  test: Step,
): Promise<void> {
  if (!suite) return await test();
  await using after = new AsyncDisposableStack();
  for (const step of suite.after.toReversed()) {
    after.defer(async () => await step());
  }
  for (const step of suite.before) await step();
  await runWithin(inner, test);
}
