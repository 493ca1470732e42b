/**
 * Files that are whole or not there.
 *
 * @module
 */

/**
 * What the name of a file that is not whole yet ends with. The process is named
 * for {@linkcode removeTemporary}, as each thread has a copy of this module; the
 * rest is random: in two containers with one folder both may have this number.
 */
const TEMPORARY = /\.(\d+)\.[\da-f]{8}-[\da-f-]{27}\.tmp$/;

/**
 * Milliseconds after which a temporary file is nobody's. It lives for some
 * milliseconds; a day leaves room for a process that is stopped and for the
 * clock of a disk elsewhere.
 */
const ABANDONED = 24 * 3600 * 1000;

/** Make a folder, and rid it of what ended processes have left half-written. */
export async function makeFolder(folder: string): Promise<void> {
  await Deno.mkdir(folder, { recursive: true });
  try {
    // At once: waiting for each of the names would cost more than all of them.
    for (const { name } of Deno.readDirSync(folder)) {
      if (!TEMPORARY.test(name)) continue;
      const { mtime } = Deno.statSync(`${folder}/${name}`);
      const age = Date.now() - (mtime?.getTime() ?? Infinity);
      if (age > ABANDONED) Deno.removeSync(`${folder}/${name}`);
    }
  } catch { /* It may be another's, or gone already: that costs no run. */ }
}

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
  const temporary = `${path}.${Deno.pid}.${crypto.randomUUID()}.tmp`;
  try {
    await Deno.writeFile(temporary, bytes, { createNew: true });
    await Deno.rename(temporary, path);
  } catch (error) {
    await Deno.remove(temporary).catch(() => {});
    throw error;
  }
}

/** Remove what is being written in a folder by a process that is to end now. */
export function removeTemporary(folder: string): void {
  for (const { name } of Deno.readDirSync(folder)) {
    const [, pid] = name.match(TEMPORARY) ?? [];
    if (pid === String(Deno.pid)) Deno.removeSync(`${folder}/${name}`);
  }
}
