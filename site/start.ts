/**
 * The sites for scripts that find no server: each on a thread of its own, for
 * one run.
 *
 * @module
 */

import { SystemExit } from "../lib/exit.ts";
import { asCompleted, ThreadPoolExecutor } from "../lib/futures.ts";
import { realPath, requirePermissions } from "../lib/permissions.ts";
import { warn } from "../lib/terminal.ts";
import { HOSTS, ROOT, SITES } from "./sites.ts";

/** Seconds to wait for a server to accept a connection; one that listens does at once. */
const PATIENCE = 0.3;

let started = new AsyncDisposableStack();
let starting: Promise<boolean> | undefined;

/** Leaving its `await using` block ends the sites that were started before. */
export function endingSites(): AsyncDisposable {
  return {
    async [Symbol.asyncDispose]() {
      const sites = started;
      started = new AsyncDisposableStack();
      await sites.disposeAsync();
    },
  };
}

/**
 * See that a server is at the site of a URL: start the built-in one, unless
 * somebody listens there. Where there is no such site, nothing is done.
 *
 * A site that another run has started goes with that run; then this is called
 * again.
 *
 * @param signal Gives up the start.
 * @returns Whether there is one.
 * @throws {SystemExit} When something is there that takes no connection.
 */
export function ensureSite(url: string, signal: AbortSignal): Promise<boolean> {
  return starting ??= startUnlessThere(url, signal)
    .finally(() => starting = undefined);
}

async function startUnlessThere(
  url: string,
  signal: AbortSignal,
): Promise<boolean> {
  const label = siteAt(url);
  if (!label) return false;
  const { host, hostname, port } = new URL(url);
  const timer = AbortSignal.timeout(1000 * PATIENCE);
  try {
    const limits = { signal: AbortSignal.any([signal, timer]) };
    const address = { hostname, port: Number(port) };
    (await Deno.connect({ ...address, ...limits })).close();
    return true;
  } catch (error) {
    signal.throwIfAborted();
    const isRefused = error instanceof Deno.errors.ConnectionRefused;
    if (!isRefused && !timer.aborted) throw error;
    // Windows takes 2 s to refuse: whether there is a server, the start tells.
    const site = await startSite(label, Number(port), signal);
    if (!site && isRefused) return true; // Somebody came first.
    if (!site) {
      throw new SystemExit(`The server at ${host} takes no connection`);
    }
    started.use(site);
    warn(`Started the ${label} site for this run.`);
    return true;
  }
}

/** The label of the built-in site that a URL belongs to. */
function siteAt(url: string): string | undefined {
  return Object.keys(SITES).find((label) =>
    url.startsWith(`http://localhost:${SITES[label]!.port}/flags`)
  );
}

/**
 * Start a site on a thread of its own.
 *
 * @param name One of {@linkcode SITES}.
 * @param signal Gives up the start.
 * @returns Leaving its `await using` block ends the site; nothing when there is
 *   a server already.
 */
export async function startSite(
  name: string,
  port: number,
  signal: AbortSignal,
): Promise<AsyncDisposable | undefined> {
  const permissions = {
    net: HOSTS.map((host) => `${host}:${port}`),
    read: [ROOT, realPath(ROOT)],
  };
  requirePermissions(permissions);
  // Not before it is needed: most of its code is for the thread.
  const { serveSite, untilAborted } = await import("./serve.ts");
  await using stack = new AsyncDisposableStack();
  const thread = stack.use(
    new ThreadPoolExecutor({
      maxWorkers: 1,
      module: import.meta.resolve("./serve.ts"),
      permissions,
    }),
  );
  // Without the signal: requests are given up before the site is.
  const serving = [thread.submit(serveSite, { ...SITES[name]!, port })];
  try {
    for await (const future of asCompleted(serving)) future.result();
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) return; // Somebody came first.
    throw error;
  }
  signal.throwIfAborted();
  const end = new AbortController();
  thread.submit(untilAborted, end.signal).addDoneCallback((future) => {
    try {
      future.result();
    } catch (error) {
      warn(
        `*** The ${name} site is gone: ${(error as Error).message}`,
      );
    }
  });
  stack.defer(() => end.abort());
  return stack.move();
}
