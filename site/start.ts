/**
 * The sites for scripts that find no server: each on a thread of its own, for
 * one run.
 *
 * @module
 */

import { SystemExit } from "../lib/exit.ts";
import { asCompleted, ThreadPoolExecutor } from "../lib/futures.ts";
import { realPath, requirePermissions } from "../lib/permissions.ts";
import {
  ConnectionError,
  get,
  type Limits,
  type Reply,
} from "../lib/requests.ts";
import { warn } from "../lib/terminal.ts";
import { HOSTS, ROOT, SITES } from "./sites.ts";

/** Seconds to wait for a server to accept a connection. */
const PATIENCE = 2;

/** The most requests for one path, when one site after the other goes. */
const TRIES = 5;

const started = new AsyncDisposableStack();
let starting: Promise<boolean> | undefined;

/**
 * Leaving its `await using` block ends the sites that were started on this
 * thread; those of the pool's threads end with them.
 */
export const builtInSites: AsyncDisposable = started;

/**
 * See that a server is at a base URL: start the built-in site for that URL, unless
 * one answers there. Where there is no such site, nothing is done.
 *
 * @param signal Gives up the start.
 * @returns Whether a site was started.
 * @throws {SystemExit} When something is there that takes no connection.
 */
export async function ensureSite(
  baseUrl: string,
  signal: AbortSignal,
): Promise<boolean> {
  const { host, hostname, port } = new URL(baseUrl);
  const label = siteAt(baseUrl);
  if (!label) return false;
  const timer = AbortSignal.timeout(1000 * PATIENCE);
  try {
    const limits = { signal: AbortSignal.any([signal, timer]) };
    const address = { hostname, port: Number(port) };
    (await Deno.connect({ ...address, ...limits })).close();
    return false;
  } catch (error) {
    signal.throwIfAborted();
    if (timer.aborted) {
      throw new SystemExit(
        `The server at ${host} takes no connection within ${PATIENCE} s`,
      );
    }
    if (!(error instanceof Deno.errors.ConnectionRefused)) throw error;
    const site = await startSite(label, Number(port), signal);
    if (!site) return false;
    started.use(site);
    warn(`Started the ${label} site for this run.`);
    return true;
  }
}

/**
 * GET a path of a server. A built-in site that another run has started may go with
 * it: while there is time, it is started again, and asked again.
 *
 * @throws {ConnectionError | DOMException} As `get` does.
 */
export async function getFrom(
  baseUrl: string,
  path: string,
  limits: Limits & { ownsSite: boolean },
): Promise<Reply> {
  const end = performance.now() + 1000 * limits.timeout;
  for (let tries = 1;; tries++) {
    try {
      return await get(`${baseUrl}/${path}`, limits);
    } catch (error) {
      const isGone = error instanceof ConnectionError && error.isGone;
      const isOver = tries === TRIES || performance.now() > end;
      if (!isGone || isOver || limits.ownsSite || !siteAt(baseUrl)) throw error;
      starting ??= ensureSite(baseUrl, limits.signal)
        .finally(() => starting = undefined);
      if (await starting.catch(() => false)) limits.ownsSite = true;
    }
  }
}

/** The label of the built-in site at a base URL. */
function siteAt(baseUrl: string): string | undefined {
  return Object.keys(SITES).find((label) =>
    baseUrl === `http://localhost:${SITES[label]!.port}/flags`
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
