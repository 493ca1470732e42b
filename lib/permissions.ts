/**
 * Permissions that a program or a thread needs, asked for before anything is
 * done.
 *
 * @module
 */

/** Hosts, paths to read and paths to write. */
export type Permissions = Record<"net" | "read" | "write", string[]>;

/**
 * See that all permissions were given; else the runtime would ask for one in
 * the middle of a run, on a pipe, too.
 *
 * @param permissions What is needed.
 * @throws {Deno.errors.NotCapable} When one of them was not given.
 */
export function requirePermissions({ net, read, write }: Permissions): void {
  const descriptors: Deno.PermissionDescriptor[] = [
    ...net.map((host) => ({ name: "net", host }) as const),
    ...read.map((path) => ({ name: "read", path }) as const),
    ...write.map((path) => ({ name: "write", path }) as const),
  ];
  for (const descriptor of descriptors) {
    if (Deno.permissions.querySync(descriptor).state === "granted") continue;
    const { name, ...what } = descriptor;
    throw new Deno.errors.NotCapable(
      `--allow-${name}=${
        Object.values(what)
      } is needed: use -P in the folder of the scripts, or -A`,
    );
  }
}
