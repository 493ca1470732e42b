/**
 * A site for a script that finds no server: on a thread of its own, for one run.
 *
 * @module
 */

import { SystemExit } from "../lib/exit.ts";
import { asCompleted, ThreadPoolExecutor } from "../lib/futures.ts";
import { requirePermissions } from "../lib/permissions.ts";
import { HOSTS, ROOT, serveSite, SITES, untilAborted } from "./serve.ts";

/** Seconds after which a server that takes no connection is none. */
const PATIENCE = 2;

/**
 * The site that a run needs, unless it is none of the built-in ones or a server
 * answers there.
 *
 * @param label One of {@linkcode SITES}, or else nothing is done.
 * @param baseUrl Where it is to be.
 * @param signal Gives up the start.
 * @returns Leaving its `await using` block ends the site.
 * @throws {SystemExit} When something is there that takes no connection.
 */
export async function siteFor(
  label: string,
  baseUrl: string,
  signal: AbortSignal,
): Promise<AsyncDisposable | undefined> {
  if (!Object.hasOwn(SITES, label)) return;
  const { host, hostname, port } = new URL(baseUrl);
  const address = { hostname, port: Number(port) };
  const timer = AbortSignal.timeout(1000 * PATIENCE);
  try {
    const limits = { signal: AbortSignal.any([signal, timer]) };
    (await Deno.connect({ ...address, ...limits })).close();
  } catch (error) {
    signal.throwIfAborted();
    if (timer.aborted) {
      throw new SystemExit(
        `The server at ${host} takes no connection within ${PATIENCE} s`,
      );
    }
    if (!(error instanceof Deno.errors.ConnectionRefused)) throw error;
    const site = await startSite(label, address.port, signal);
    if (site) console.error(`Started the ${label} site for this run.`);
    return site;
  }
}

/**
 * Start a site on a thread of its own.
 *
 * @param name One of {@linkcode SITES}.
 * @param port Where it listens.
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
    read: [ROOT],
  };
  requirePermissions(permissions);
  await using stack = new AsyncDisposableStack();
  const thread = stack.use(
    new ThreadPoolExecutor({
      maxWorkers: 2,
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
      console.error(
        `*** The ${name} site is gone: ${(error as Error).message}`,
      );
    }
  });
  stack.defer(() => end.abort());
  return stack.move();
}
