/**
 * Files that are whole or not there, and what a whole GIF is.
 *
 * @module
 */

/** How the name of a file ends that is not whole yet; first, its run. */
const TEMPORARY = /\.(\w*)\.[\da-f]{8}-[\da-f-]{27}\.tmp$/;

/**
 * Make a folder, and rid it of what ended processes have left half-written.
 *
 * @throws {Error} What the disk says, of the folder.
 */
export async function makeFolder(folder: string): Promise<void> {
  await Deno.mkdir(folder, { recursive: true }).catch((error) => {
    // Then a file has that name, or a link that leads nowhere.
    throw error instanceof Deno.errors.AlreadyExists
      ? new Deno.errors.NotADirectory(`${folder}: Not a directory`)
      : diskError(folder, error);
  });
  removeTemporary(folder);
}

/**
 * Write a file under a temporary name beside it, and give it its own when it is
 * whole; what was there of that name is replaced.
 *
 * @param run Letters and digits that all threads of a run share, and no other run.
 * @throws {Error} What the disk says, of the file; then nothing is left behind.
 */
export async function writeWhole(
  path: string,
  bytes: Uint8Array,
  run: string,
): Promise<void> {
  const temporary = `${path}.${run}.${crypto.randomUUID()}.tmp`;
  try {
    await Deno.writeFile(temporary, bytes, { createNew: true });
    await rename(temporary, path);
  } catch (error) {
    await Deno.remove(temporary).catch(() => {});
    throw diskError(path, error);
  }
}

/** Remove what `run`, which ends now, is writing; else what is abandoned. */
export function removeTemporary(folder: string, run?: string): void {
  for (const { name } of Deno.readDirSync(folder)) {
    const [, writer] = name.match(TEMPORARY) ?? [];
    if (writer === undefined || run && writer !== run) continue;
    try {
      // A day is for a process that is stopped, and for a disk's own clock.
      const { mtime } = Deno.statSync(`${folder}/${name}`);
      const isOver = run || Date.now() - mtime!.getTime() > 24 * 3600 * 1000;
      if (isOver) Deno.removeSync(`${folder}/${name}`);
    } catch { /* It may be another's, or gone already. */ }
  }
}

/** Windows lets a viewer hold what is to be replaced: for half a second. */
async function rename(temporary: string, path: string, tries = 10) {
  try {
    await Deno.rename(temporary, path);
  } catch (error) { // Access denied, or a sharing violation, in any language.
    if (tries === 0 || !/\(os error (5|32)\)/.test(`${error}`)) throw error;
    await new Promise((next) => setTimeout(next, 50));
    await rename(temporary, path, tries - 1);
  }
}

/** What the disk says, of the path that the user knows. */
function diskError(path: string, error: unknown): unknown {
  const [, said] = `${error}`.match(/: (.*\(os error \d+\))/s) ?? [];
  if (said) (error as Error).message = `${path}: ${said}`;
  return error;
}

/** What a block of a GIF begins with. */
const EXTENSION = 0x21, IMAGE = 0x2c, TRAILER = 0x3b;

/**
 * Whether that is a GIF with an image, up to its trailer (GIF89a, appendix B). Its
 * blocks are walked through, as the trailer's byte stands within most images, too;
 * what follows it is harmless, and some encoders leave something there.
 */
export function isWholeGif(image: Uint8Array): boolean {
  const signature = String.fromCharCode(...image.subarray(0, 6));
  if (!/^GIF8[79]a$/.test(signature)) return false;
  const tableAt = (flags: number) =>
    image[flags]! & 0x80 ? 3 << ((image[flags]! & 7) + 1) : 0;
  let at = 13 + tableAt(10);
  for (let hasImage = false;;) {
    const block = image[at];
    if (block === EXTENSION) at += 2;
    else if (block === IMAGE) at += 11 + tableAt(at + 9);
    else return hasImage && block === TRAILER;
    hasImage ||= block === IMAGE;
    // Sub-blocks: each begins with its length, and one of length 0 ends them.
    for (let length; (length = image[at]); at += length + 1);
    at += 1;
  }
}
