/**
 * Permissions that a program or a thread needs, asked for before anything is
 * done.
 *
 * @module
 */

/**
 * See that all hosts and paths that are listed were granted; else the runtime
 * would ask for one in the middle of a run, on a pipe, too.
 *
 * @throws {Deno.errors.NotCapable} When one of them was not given.
 */
export function requirePermissions(
  { net, read, write }: Deno.PermissionOptionsObject,
): void {
  const listed = <T>(values: T[] | unknown) =>
    Array.isArray(values) ? values as T[] : [];
  const descriptors: Deno.PermissionDescriptor[] = [
    ...listed<string>(net).map((host) => ({ name: "net", host }) as const),
    ...listed<string>(read).map((path) => ({ name: "read", path }) as const),
    ...listed<string>(write).map((path) => ({ name: "write", path }) as const),
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
