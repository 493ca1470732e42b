/**
 * `describe` and `it` over `Deno.test`, as @std/testing/bdd has them, with all
 * sanitizers on: a test that leaves a file, a child process or a timer behind
 * fails.
 *
 * Each `it` is one `Deno.test`, named after what describes it, so `deno test
 * --filter` finds it by its full name.
 *
 * @module
 */

/** Something to do before, in or after a test. */
type Step = () => void | Promise<void>;

/** What a `describe` block has set; the first one is the file itself. */
interface Suite {
  name: string;
  before: Step[];
  after: Step[];
}

let suites: Suite[] = [{ name: "", before: [], after: [] }];

/**
 * Describe a thing by its tests.
 *
 * @param name What it is: the beginning of each test's name.
 * @param body Calls `it`, and `describe` for its parts.
 */
export function describe(name: string, body: () => void): void {
  const outer = suites;
  suites = [...outer, { name, before: [], after: [] }];
  try {
    body();
  } finally {
    suites = outer;
  }
}

/** Before each test of this block and of those within. */
export function beforeEach(step: Step): void {
  suites.at(-1)!.before.push(step);
}

/**
 * After each test of this block and of those within, also when it has failed.
 */
export function afterEach(step: Step): void {
  suites.at(-1)!.after.push(step);
}

/**
 * A test.
 *
 * @param name What it promises: the rest of a sentence.
 * @param test Throws when the promise does not hold.
 */
export function it(name: string, test: Step): void {
  register(name, test, false);
}

/** A test that is left out here; its name says why. */
it.skip = (name: string, test: Step): void => register(name, test, true);

function register(name: string, test: Step, ignore: boolean): void {
  const around = suites;
  Deno.test({
    name: [...around.map(({ name }) => name), name].filter(Boolean).join(" "),
    ignore,
    sanitizeOps: true,
    sanitizeResources: true,
    sanitizeExit: true,
    fn: () => runWithin(around, test),
  });
}

/** The outermost block's steps come first and last. */
async function runWithin(around: Suite[], test: Step): Promise<void> {
  const [suite, ...inner] = around;
  if (!suite) return await test();
  for (const step of suite.before) await step();
  // What is to be done after a test is done, whatever fails before it.
  const errors: unknown[] = [];
  for (const step of [() => runWithin(inner, test), ...suite.after]) {
    try {
      await step();
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length > 1) {
    throw new AggregateError(errors, "the test and an afterEach failed");
  }
  if (errors.length > 0) throw errors[0];
}
