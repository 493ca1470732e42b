/**
 * What a program was granted, asked before anything is done.
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
 * where not all reading was granted.
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
  for (const [name, listed] of Object.entries({ net, read, write })) {
    for (const what of Array.isArray(listed) ? listed : []) {
      const descriptor = { name, [name === "net" ? "host" : "path"]: what };
      if (isGranted(descriptor as Deno.PermissionDescriptor)) continue;
      const lacking = `--allow-${name}=${what} is needed`;
      const hint =
        "-A grants all, -P in the folder of the scripts what they need";
      throw new Deno.errors.NotCapable(`${lacking}: ${hint}`);
    }
  }
}
