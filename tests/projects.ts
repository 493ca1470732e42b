/**
 * Copies of the project, and servers of a test.
 *
 * @module
 */

import { cp } from "node:fs/promises";
import {
  freePort,
  ROOT,
  TemporaryFolder,
  withPorts,
} from "../bench/scripts.ts";
import { startSite } from "../site/start.ts";

/** The folder of the flags that the sites serve. */
export const FLAGS = `${ROOT}/flags`;

/** Copy the project with its flags. */
export async function project(): Promise<TemporaryFolder> {
  const folder = new TemporaryFolder();
  const scripts = Deno.readDirSync(ROOT).map(({ name }) => name)
    .filter((name) => name.endsWith(".ts"));
  const files =
    "deno.json deno.lock country_codes.txt tests/std.d.ts lib site flags";
  for (const name of [...files.split(" "), ...scripts]) {
    await cp(`${ROOT}/${name}`, `${folder.path}/${name}`, { recursive: true });
  }
  return folder;
}

/** A copy of the project, and the ports of its LOCAL, DELAY and ERROR. */
type ProjectAtFreePorts = TemporaryFolder & {
  readonly ports: readonly [number, number, number];
};

/**
 * Copy the project, and move its sites to free ports, because another program may
 * use their own. The permission set of the copy names the new ports.
 */
export async function projectAtFreePorts(): Promise<ProjectAtFreePorts> {
  const copy = await project();
  const ports = [freePort(), freePort(), freePort()] as const;
  for (const name of ["deno.json", "site/sites.ts"]) {
    const text = await Deno.readTextFile(`${copy.path}/${name}`);
    await Deno.writeTextFile(`${copy.path}/${name}`, withPorts(text, ports));
  }
  return Object.assign(copy, { ports });
}

let shared: Promise<ProjectAtFreePorts> | undefined;

/** Return the copy for all tests of a file; they may change only `downloads`. */
export function sharedProject(): Promise<ProjectAtFreePorts> {
  return shared ??= projectAtFreePorts().then((copy) => {
    const remove = () => Deno.removeSync(copy.path, { recursive: true });
    addEventListener("unload", remove);
    return copy;
  });
}

/** Start a site at a free port, on a thread of this process. */
export async function siteAtFreePort(
  label: string,
): Promise<AsyncDisposable & { url: string }> {
  const port = freePort();
  const site = await startSite(label, port, new AbortController().signal);
  return Object.assign(site!, { url: `http://localhost:${port}/flags` });
}

/** Start a server that remembers its requests; by default at 127.0.0.1. */
export function serve(
  handler: (url: URL) => Response | Promise<Response>,
  options: Partial<Deno.ServeTcpOptions & Deno.TlsCertifiedKeyPem> = {},
): Deno.HttpServer<Deno.NetAddr> & { url: string; requests: URL[] } {
  const requests: URL[] = [];
  const address = { hostname: "127.0.0.1", port: 0, onListen() {} };
  const server = Deno.serve({ ...address, ...options }, (request) => {
    const url = new URL(request.url);
    requests.push(url);
    return handler(url);
  });
  const scheme = options.cert ? "https" : "http";
  const url = `${scheme}://127.0.0.1:${server.addr.port}`;
  return Object.assign(server, { url, requests });
}
