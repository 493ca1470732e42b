/**
 * Which hosts are reached without the proxy that the environment may name.
 *
 * @module
 */

import { isGranted } from "./permissions.ts";

/** This machine, as the runtime reads it in NO_PROXY. */
const LOCALHOST = "localhost,127.0.0.0/8,::1";

/**
 * Reach localhost directly from now on, on threads that are started later, too: no
 * proxy knows the servers of this machine. What NO_PROXY exempts stays exempt.
 *
 * The runtime reads the variable at a thread's first `fetch`. Without the
 * permission to set it the environment stays as it is.
 */
export function exemptLocalhost(): void {
  if (!mayUse("NO_PROXY")) return;
  const exempt = Deno.env.get("NO_PROXY") ??
    (mayUse("no_proxy") ? Deno.env.get("no_proxy") : undefined);
  if (exempt?.endsWith(LOCALHOST)) return;
  Deno.env.set("NO_PROXY", exempt ? `${exempt},${LOCALHOST}` : LOCALHOST);
}

function mayUse(variable: string): boolean {
  return isGranted({ name: "env", variable });
}
