/**
 * The thread's side of a `ThreadPoolExecutor`: it makes the calls that the pool
 * asks for, many at a time.
 *
 * @module
 */

/** The pool to a thread: make this call, or, without a name, abort its signal. */
export interface Call {
  /** The call's number. */
  id: number;
  /** The function's name in the module. */
  name?: string;
  /** Its arguments. */
  args?: unknown[];
  /** Which of them is an `AbortSignal`; -1 for none. */
  signalAt?: number;
  /** No other call is made before this one has ended. */
  initial?: boolean;
}

/** A thread to the pool: how a call ended, or, without an id, why it dies. */
export interface Answer {
  /** The call's number. */
  id?: number;
  /** What it returned. */
  value?: unknown;
  /** What it threw. */
  error?: unknown;
  /** An `Error` loses its class and its fields on the way; they go beside it. */
  className?: string;
  /** The fields that can be copied. */
  fields?: object;
}

const thread = self as unknown as Worker & { name: string; close(): void };
const controllers = new Map<number, AbortController>();
let initialized: Promise<void> | undefined;

const post = (answer: Answer) => thread.postMessage(answer);

thread.onmessage = ({ data }: MessageEvent<Call>) => {
  if (data.name === undefined) return controllers.get(data.id)?.abort();
  const made = makeCall(data);
  if (data.initial) initialized = made;
};

async function makeCall(
  { id, name = "", args = [], signalAt = -1, initial }: Call,
): Promise<void> {
  if (signalAt >= 0) {
    const controller = new AbortController();
    controllers.set(id, controller);
    args[signalAt] = controller.signal;
  }
  try {
    await initialized;
    const module = await import(thread.name);
    if (typeof module[name] !== "function") {
      throw new TypeError(`${thread.name} exports no function ${name}`);
    }
    const value = await module[name](...args);
    post(initial ? { id } : { id, value }); // Nobody asks what it returned.
  } catch (error) {
    if (initial) { // The thread dies, and none of the others is made.
      post({ error: copyOf(error).error });
      await new Promise(() => {});
    }
    try {
      post({ id, ...copyOf(error) });
    } catch { // It cannot even be looked at.
      post({ id, error: new Error("what was thrown cannot be copied") });
    }
  } finally {
    if (!initial) controllers.delete(id);
  }
}

/** What was thrown, as it can be copied. */
function copyOf(error: unknown): Answer {
  if (!(error instanceof Error)) {
    return { error: isCopyable(error) ? error : String(error) };
  }
  const { message, stack = message, constructor } = error;
  return {
    error: isCopyable(error) ? error : Object.assign(Error(message), { stack }),
    className: constructor.name,
    fields: fieldsOf(error),
  };
}

/** An error's own fields, and the `errors` of an `AggregateError`. */
function fieldsOf(error: Error): object {
  const { errors } = error as { errors?: unknown };
  const fields = Object.entries({ ...error, ...errors ? { errors } : {} });
  return Object.fromEntries(fields.filter(([_, field]) => isCopyable(field)));
}

function isCopyable(value: unknown): boolean {
  try {
    structuredClone(value);
    return true;
  } catch {
    return false;
  }
}

// However a thread dies, it says so: the pool would wait for it for ever.
const { close } = thread;
thread.close = () => {
  post({ error: "it closed itself" });
  close();
};
addEventListener("unload", () => post({ error: "it exited" }));
addEventListener("error", (event) => {
  event.preventDefault();
  post({ error: event.message });
});
addEventListener("unhandledrejection", (event) => {
  event.preventDefault();
  post({ error: String(event.reason) });
});
