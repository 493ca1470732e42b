/**
 * The thread's side of a `ThreadPoolExecutor`, which makes the calls.
 *
 * @module
 */

/** A message to a thread: a call to make, or, if it is empty, an abort. */
export type Call = {
  id?: number;
  name?: string;
  text?: string;
  args?: unknown[];
  isInitial?: boolean;
};

/** A message to the pool: how a call ended, or why the thread dies. */
export type Answer = {
  id?: number | undefined;
  value?: unknown;
  thrown?: Copy;
  why?: string;
  isBroken?: boolean;
};

/** A value, or the parts of an `Error` or a list, whose classes a clone would lose. */
export type Copy = {
  value?: unknown;
  fields?: Record<string, Copy>;
  className?: string;
  place?: number;
};

type Exports = Record<string, unknown>;

const thread = self as unknown as Worker & { name: string; close(): void };
const post = (answer: Answer) => thread.postMessage(answer);
const controller = new AbortController();
let exports: Exports = {};
let ready = import(thread.name).then((module) => exports = module);
ready.catch(() => {}); // Each call reports this error.

thread.onmessage = async ({ data }: MessageEvent<Call>) => {
  const { id, name = "", text, args = [], isInitial } = data;
  if (id === undefined) return controller.abort();
  const result = ready.then(() => {
    const fn = exports[name];
    if (typeof fn === "function" && `${fn}` === text) {
      return fn(...args, ...isInitial ? [controller.signal] : []);
    }
    throw new TypeError(
      `the function ${name || text} is not exported by ${thread.name}: ` +
        'export it there, or set the option "module" to the URL of its module',
    );
  });
  if (isInitial) ready = result;
  try {
    const value = await result;
    post(isInitial ? { id } : { id, value }); // An initializer's result is not used.
  } catch (error) {
    try {
      if (isInitial) {
        post({ why: `the initializer failed: ${error}`, isBroken: true });
      } else post({ id, thrown: copyOf(error) });
    } catch { // The error cannot be copied, or even read.
      const thrown = { value: new Error("a thread threw an odd value") };
      post({ id, thrown });
    }
  }
};

function copyOf(thrown: unknown, outer: unknown[] = []): Copy {
  const hasParts = thrown instanceof Error || Array.isArray(thrown);
  if (!hasParts) return { value: structuredClone(thrown) };
  if (outer.includes(thrown)) throw new Error("an error is its own cause");
  const fields: Record<string, Copy> = {};
  const hidden = ["name", "message", "stack", "cause", "errors"];
  for (const key of [...hidden, ...Object.keys(thrown)]) {
    try {
      const value = (thrown as unknown as Exports)[key];
      if (key in thrown) fields[key] = copyOf(value, [...outer, thrown]);
    } catch { /* A field that cannot be copied is left out. */ }
  }
  const { name: className = "" } = thrown.constructor ?? {};
  const places: object[] = [exports, Deno.errors, globalThis];
  const place = places
    .findIndex((it) => (it as Exports)[className] === thrown.constructor);
  return { fields, className, place };
}

// Otherwise the pool would wait for ever. (An uncaught error reaches its `onerror`.)
addEventListener("unload", () => post({ why: "it exited" }));
const { close } = thread;
thread.close = () => {
  post({ why: "it closed itself" });
  close();
};
