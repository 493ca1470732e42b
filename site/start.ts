/**
 * The sites for scripts that find no server: each on a thread of its own, for
 * one run.
 *
 * @module
 */

import { SystemExit } from "../lib/exit.ts";
import { asCompleted, ThreadPoolExecutor } from "../lib/futures.ts";
import { realPath, requirePermissions } from "../lib/permissions.ts";
import { showLine } from "../lib/terminal.ts";
import { HOSTS, ROOT, SITES, urlOf } from "./sites.ts";

/** Seconds to wait for a connection: a server that listens takes it at once. */
const PATIENCE = 0.3;

let started = new AsyncDisposableStack();
let starting: Promise<boolean> | undefined;

/** End the sites that {@linkcode ensureSite} has started on this thread. */
export async function endSites(): Promise<void> {
  const sites = started;
  started = new AsyncDisposableStack();
  await sites.disposeAsync();
}

/**
 * See that somebody serves at the URL of a built-in site: start it, unless a
 * server is there. A site that another run has started goes with that run; then
 * this is called again.
 *
 * @param signal Gives up the start.
 * @returns Whether there is a server now; at other URLs nothing is done.
 * @throws {SystemExit} When none can be had there.
 */
export async function ensureSite(
  url: string,
  signal: AbortSignal,
): Promise<boolean> {
  const label = Object.keys(SITES)
    .find((label) => `${url}/`.startsWith(`${urlOf(label)}/`));
  if (!label) return false;
  starting ??= startUnlessThere(label, signal)
    .finally(() => starting = undefined);
  return await starting.catch((error) => {
    if (signal.aborted) return false;
    throw error;
  });
}

async function startUnlessThere(
  label: string,
  signal: AbortSignal,
): Promise<boolean> {
  const { port } = SITES[label]!;
  if (await findServer(port, signal) === "there") return true;
  // Windows takes 2 s to refuse: whether a server is there, the start tells.
  const site = await startSite(label, port, signal);
  if (!site) { // The port is taken. Windows may try [::1] for 2 s first.
    if (await findServer(port, signal, 10 * PATIENCE) !== "silent") return true;
    throw new SystemExit(`The server at localhost:${port} takes no connection`);
  }
  started.use(site);
  if (await findServer(port, signal) === "none") {
    throw new SystemExit(
      `localhost is not at ${HOSTS.join(" or ")}, where the ${label} site is`,
    );
  }
  showLine(`Started the ${label} site for this run.`, Deno.stderr);
  return true;
}

/** Whether a port of localhost takes a connection. */
async function findServer(
  port: number,
  signal: AbortSignal,
  patience = PATIENCE,
): Promise<"there" | "none" | "silent"> {
  const timer = AbortSignal.timeout(1000 * patience);
  try {
    const either = AbortSignal.any([signal, timer]);
    const address = { hostname: "localhost", port, signal: either };
    (await Deno.connect(address)).close();
    return "there";
  } catch (error) {
    signal.throwIfAborted();
    if (timer.aborted) return "silent";
    const { name, message } = error as Error;
    // Nobody takes it, or a site that is just ending.
    if (/^Connection(Refused|Reset|Aborted)$/.test(name)) return "none";
    throw new SystemExit(`localhost cannot be reached: ${message}`);
  }
}

/**
 * Start one of {@linkcode SITES} on a thread of its own.
 *
 * @param signal Gives up the start.
 * @returns Leaving its `await using` block ends the site; nothing when there is
 *   a server already.
 */
export async function startSite(
  label: string,
  port: number,
  signal: AbortSignal,
): Promise<AsyncDisposable | undefined> {
  const permissions = {
    net: HOSTS.map((host) => `${host}:${port}`),
    read: [ROOT, realPath(ROOT)],
  };
  requirePermissions(permissions);
  // By its URL, else it would be loaded before it is needed.
  const module = import.meta.resolve("./serve.ts");
  const serve: typeof import("./serve.ts") = await import(module);
  await using stack = new AsyncDisposableStack();
  const thread = new ThreadPoolExecutor({ maxWorkers: 1, module, permissions });
  stack.use(thread);
  // Without the signal: requests are given up before the site is.
  const serving = [thread.submit(serve.serveSite, { ...SITES[label]!, port })];
  try {
    for await (const future of asCompleted(serving)) future.result();
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) return; // Somebody came first.
    throw error;
  }
  signal.throwIfAborted();
  const end = new AbortController();
  thread.submit(serve.untilAborted, end.signal).addDoneCallback((future) => {
    try {
      future.result();
    } catch (error) {
      const { message } = error as Error;
      showLine(`*** The ${label} site is gone: ${message}`, Deno.stderr);
    }
  });
  stack.defer(() => end.abort());
  return stack.move();
}
