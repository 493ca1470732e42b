/**
 * How many connections a process can have.
 *
 * @module
 */

import { SystemExit } from "./exit.ts";
import { isGranted } from "./permissions.ts";
import { warn } from "./terminal.ts";

/** What the runtime opens for itself, a few threads included: 53 were seen. */
const RUNTIME_FILES = 64;

/** A connection, its other end when the site is ours, and a file to save. */
const FILES_PER_CONNECTION = 3;

/**
 * Connections that the limit of open files leaves room for: the least of the
 * numbers, or fewer, which is said on standard error. Only Linux tells the limit,
 * and Deno lets only a program with all permissions ask; else none is known.
 *
 * @throws {SystemExit} When there is no room for a single one.
 */
export function affordableConnections(...numbers: number[]): number {
  const wanted = Math.min(...numbers);
  const limit = openFiles();
  const room = Math.floor((limit - RUNTIME_FILES) / FILES_PER_CONNECTION);
  const files = `only ${limit} files may be open (ulimit -n)`;
  if (room < 1) throw new SystemExit(`No room for a connection: ${files}`);
  if (room < wanted) {
    warn(`*** ${room} connections in place of ${wanted}: ${files}`);
  }
  return Math.min(room, wanted);
}

function openFiles(): number {
  // Asked for without it, the runtime would ask the user.
  if (!isGranted({ name: "read" })) return Infinity;
  try {
    const limits = Deno.readTextFileSync("/proc/self/limits");
    return Number(limits.match(/^Max open files +(\d+)/m)?.[1] ?? Infinity);
  } catch {
    return Infinity;
  }
}
