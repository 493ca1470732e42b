/**
 * The thread's side of a `ThreadPoolExecutor`: it makes the calls that the pool
 * asks for, many at a time.
 *
 * @module
 */

/**
 * The pool to a thread: make this call, or, without a name, abort its signal. The
 * function may be another one of that name: its text tells, if the pool does not.
 * `signalAt` is the place of an `AbortSignal`, or -1; an `initial` call comes first.
 */
export type Call = {
  id: number;
  name?: string;
  text?: string;
  isOther?: boolean;
  args?: unknown[];
  signalAt?: number;
  initial?: boolean;
};

/** A thread to the pool: how a call ended, or, without an id, why it dies. */
export type Answer = { id?: number; value?: unknown; thrown?: Copy };

/**
 * What was thrown: a value, or several, or an `Error` in its parts, as it would
 * lose its fields and its class, one that the module exports or the runtime's.
 */
export type Copy = {
  value?: unknown;
  items?: Copy[];
  fields?: Record<string, Copy>;
  className?: string;
  isExported?: boolean;
};

const thread = self as unknown as Worker & { name: string; close(): void };
const controllers = new Map<number, AbortController>();
let exports: Record<string, unknown> = {};
let initialized: Promise<void> | undefined;

const post = (answer: Answer) => thread.postMessage(answer);

thread.onmessage = ({ data }: MessageEvent<Call>) => {
  if (data.name === undefined) return controllers.get(data.id)?.abort();
  const made = makeCall(data);
  if (data.initial) initialized = made;
};

async function makeCall(
  { id, name = "", text, isOther, args = [], signalAt = -1, initial }: Call,
): Promise<void> {
  if (signalAt >= 0) {
    const controller = new AbortController();
    controllers.set(id, controller);
    args[signalAt] = controller.signal;
  }
  try {
    await initialized;
    exports = await import(thread.name);
    const fn = exports[name];
    if (isOther || typeof fn !== "function" || String(fn) !== text) {
      throw new TypeError(
        `this ${name || text} is not exported by ${thread.name}: ` +
          'export it there, or give the pool the URL of its "module"',
      );
    }
    const value = await fn(...args);
    post(initial ? { id } : { id, value }); // Nobody asks what it returned.
  } catch (error) {
    post({ id, thrown: copyOf(error) });
    // The pool ends this thread; none of the other calls is to be made before.
    if (initial) await new Promise(() => {});
  } finally {
    if (!initial) controllers.delete(id);
  }
}

function copyOf(thrown: unknown, depth = 0): Copy {
  try {
    // An error may be its own cause: it is not followed for ever.
    if (depth > 8) return { value: Deno.inspect(thrown) };
    const copy = (part: unknown) => copyOf(part, depth + 1);
    if (Array.isArray(thrown)) return { items: thrown.map(copy) };
    if (!(thrown instanceof Error)) return { value: structuredClone(thrown) };
    const hidden = ["name", "message", "stack", "cause", "errors"];
    const fields = [...hidden, ...Object.keys(thrown)]
      .filter((key) => key in thrown)
      .map((key) => [key, copy(thrown[key as keyof Error])]);
    const { name } = thrown.constructor;
    const isIn = (place: object) =>
      (place as typeof exports)[name] === thrown.constructor;
    return {
      fields: Object.fromEntries(fields),
      isExported: isIn(exports),
      ...[exports, Deno.errors, globalThis].some(isIn) && { className: name },
    };
  } catch { // It cannot be copied, or not even be read.
    return { value: Deno.inspect(thrown) };
  }
}

// However a thread dies, it says so: the pool would wait for it for ever.
const die = (why: unknown) => post({ value: String(why) });
const { close } = thread;
thread.close = () => {
  die("it closed itself");
  close();
};
addEventListener("unload", () => die("it exited"));
const fall = (event: ErrorEvent | PromiseRejectionEvent) => {
  event.preventDefault();
  die("reason" in event ? event.reason : event.message);
};
addEventListener("error", fall);
addEventListener("unhandledrejection", fall);
