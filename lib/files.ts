/**
 * Files that are whole or not there.
 *
 * @module
 */

/** What a file's name ends with until it is whole; each process has its own. */
const TEMPORARY = `.${Deno.pid}.tmp`;

/**
 * Write a file under a temporary name beside it, and give it its own when it is
 * whole; what was there of that name is replaced.
 *
 * @throws {Error} When the disk does not take it; then nothing is left behind.
 */
export async function writeWhole(
  path: string,
  bytes: Uint8Array,
): Promise<void> {
  const temporary = path + TEMPORARY;
  try {
    await Deno.writeFile(temporary, bytes);
    await Deno.rename(temporary, path);
  } catch (error) {
    await Deno.remove(temporary).catch(() => {});
    throw error;
  }
}

/** Remove what is being written in a folder by a process that is to end now. */
export function removeTemporary(folder: string): void {
  for (const { name } of Deno.readDirSync(folder)) {
    if (name.endsWith(TEMPORARY)) Deno.removeSync(`${folder}/${name}`);
  }
}
