/**
 * Permissions that a program or a thread needs, asked for before anything is
 * done.
 *
 * @module
 */

/** Whether something was granted. What cannot be a host is not. */
export function isGranted(descriptor: Deno.PermissionDescriptor): boolean {
  try {
    return Deno.permissions.querySync(descriptor).state === "granted";
  } catch {
    return false;
  }
}

/**
 * What Linux says of this process, in a file of `/proc/self`; nothing elsewhere, or
 * where not all reading was granted. Without a permission it does not ask.
 */
export function readOfProcess(file: string): string {
  const path = `/proc/self/${file}`;
  try {
    return isGranted({ name: "read", path }) ? Deno.readTextFileSync(path) : "";
  } catch {
    return "";
  }
}

/**
 * A path without links, as the runtime asks for the files of a program; as it was
 * where that may not be seen.
 */
export function realPath(path: string): string {
  return isGranted({ name: "read", path }) ? Deno.realPathSync(path) : path;
}

/**
 * See that all hosts and paths that are listed were granted; else the runtime
 * would ask for one in the middle of a run, on a pipe, too.
 *
 * @throws {Deno.errors.NotCapable} When one of them was not given.
 */
export function requirePermissions(
  { net, read, write }: Deno.PermissionOptionsObject,
): void {
  const listed = (values: unknown): string[] =>
    Array.isArray(values) ? values : [];
  const descriptors: Deno.PermissionDescriptor[] = [
    ...listed(net).map((host) => ({ name: "net", host }) as const),
    ...listed(read).map((path) => ({ name: "read", path }) as const),
    ...listed(write).map((path) => ({ name: "write", path }) as const),
  ];
  for (const descriptor of descriptors) {
    if (isGranted(descriptor)) continue;
    const { name, ...what } = descriptor;
    throw new Deno.errors.NotCapable(
      `--allow-${name}=${
        Object.values(what)
      } is needed: -A grants all, -P in the folder of the scripts what they need`,
    );
  }
}
