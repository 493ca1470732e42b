/**
 * The permissions of the program, checked before anything is done.
 *
 * @module
 */

/** Report whether a permission is granted. An invalid host counts as not granted. */
export function isGranted(descriptor: Deno.PermissionDescriptor): boolean {
  try {
    return Deno.permissions.querySync(descriptor).state === "granted";
  } catch {
    return false;
  }
}

/** Return a variable of the environment, if that is granted. */
export const readVariable = (variable: string): string | undefined =>
  isGranted({ name: "env", variable }) ? Deno.env.get(variable) : undefined;

/**
 * Check that hosts or paths are granted. Otherwise the runtime would prompt for one in
 * the middle of a run.
 *
 * @throws {Deno.errors.NotCapable} If one is not granted.
 */
export function requirePermissions(
  name: "net" | "read" | "write",
  ...needed: string[]
): void {
  for (const value of needed) {
    const descriptor = { name, [name === "net" ? "host" : "path"]: value };
    if (isGranted(descriptor as Deno.PermissionDescriptor)) continue;
    throw new Deno.errors.NotCapable(
      `--allow-${name}=${value} is needed: add it, or use -A ` +
        "(-P covers only what deno.json lists)",
    );
  }
}
