/**
 * The start of a site on a thread of its own, for one run of a script.
 *
 * @module
 */

import { delay } from "@std/async/delay";
import { SystemExit } from "../lib/exit.ts";
import { ThreadPoolExecutor } from "../lib/futures.ts";
import { requirePermissions } from "../lib/permissions.ts";
import { showLine } from "../lib/terminal.ts";
import { ROOT, SITES, urlOf } from "./sites.ts";

/** Seconds to wait for a connection, which a server accepts at once. */
const PATIENCE = 0.3;

let started = new AsyncDisposableStack();
let starting: Promise<void> | undefined;

/** End the sites that {@linkcode ensureSite} has started on this thread. */
export async function endSites(): Promise<void> {
  await starting?.catch(() => {});
  const sites = started;
  started = new AsyncDisposableStack();
  await sites.disposeAsync();
}

/**
 * Start the built-in site of a URL, unless a server listens there. If that server ends,
 * for example with the run that has started it, the site is started again. A thread of
 * a pool only waits until the main thread has done so.
 *
 * @param signal Aborts the start; `request` aborts the wait of a thread.
 * @returns Whether a server listens there now; always `false` for other URLs.
 * @throws {SystemExit} If a site can neither be reached nor started.
 */
export async function ensureSite(
  url: string,
  signal: AbortSignal,
  request = signal,
): Promise<boolean> {
  const label = Object.keys(SITES)
    .find((label) => `${url}/`.startsWith(`${urlOf(label)}/`));
  if (!label) return false;
  const { port } = SITES[label]!;
  if (!Deno.mainModule) {
    while (await findServer(port, request) !== "there") await delay(50);
    return true;
  }
  starting ??= startUnlessThere(label, signal)
    .then(() => void restartAtEnd(url, port, signal))
    .finally(() => starting = undefined);
  await starting.catch((error) => {
    if (!signal.aborted) throw error;
  });
  return !signal.aborted;
}

/** Hold a connection to a server, and start the site when the server closes it. */
async function restartAtEnd(url: string, port: number, signal: AbortSignal) {
  const sites = started;
  try {
    const connection = await Deno.connect({ hostname: "localhost", port });
    sites.defer(() => connection.close());
    await connection.read(new Uint8Array(1));
  } catch { /* The server has reset the connection, or the run is over. */ }
  if (sites === started) await ensureSite(url, signal).catch(() => {});
}

async function startUnlessThere(label: string, signal: AbortSignal) {
  const { port } = SITES[label]!;
  if (await findServer(port, signal) === "there") return;
  // Windows takes 2 s to refuse a connection. Do not wait: starting the site fails if
  // a server is there.
  const site = await startSite(label, port, signal);
  if (!site) { // The port is taken. Windows may try [::1] for 2 s first.
    if (await findServer(port, signal, 10 * PATIENCE) !== "silent") return;
    const why = `The server at localhost:${port} does not accept connections`;
    throw new SystemExit(`${why}: end it`);
  }
  started.use(site);
  if (await findServer(port, signal) === "none") {
    const why = "localhost does not resolve to 127.0.0.1 or [::1]";
    throw new SystemExit(`${why}: check the hosts file`);
  }
  showLine(`Started the ${label} site for this run.`, Deno.stderr);
}

/** Find out whether a server accepts connections at a port on localhost. */
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
    // Nothing listens there, or a site is ending.
    if (/^Connection(Refused|Reset|Aborted)$/.test(name)) return "none";
    throw new SystemExit(`localhost cannot be reached: ${message}`);
  }
}

/**
 * Start one of {@linkcode SITES} on a thread of its own.
 *
 * @param signal Aborts the start.
 * @returns A resource that ends the site, or `undefined` if the port is taken.
 */
export async function startSite(
  label: string,
  port: number,
  signal: AbortSignal,
): Promise<AsyncDisposable | undefined> {
  requirePermissions("net", `127.0.0.1:${port}`, `[::1]:${port}`);
  requirePermissions("read", ROOT);
  // A computed URL: Deno would load a literal one before it is needed.
  const module = import.meta.resolve("./serve.ts");
  const serve: typeof import("./serve.ts") = await import(module);
  const end = new AbortController();
  await using stack = new AsyncDisposableStack();
  const options = { maxWorkers: 1, module, signal: end.signal };
  const initializer = serve.endWith;
  const thread = new ThreadPoolExecutor({ ...options, initializer });
  stack.use(thread);
  stack.defer(() => end.abort());
  try {
    await thread.map(serve.serveSite, [{ ...SITES[label]!, port }]).next();
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) return; // Another run came first.
    throw error;
  }
  signal.throwIfAborted();
  thread.submit(serve.untilEnded).addDoneCallback((future) => {
    try {
      future.result();
    } catch (error) {
      const { message } = error as Error;
      showLine(`*** The ${label} site has died: ${message}`, Deno.stderr);
    }
  });
  return stack.move();
}
