/**
 * Files that are written whole or not at all.
 *
 * @module
 */

/** Matches the name of an unfinished file; the first group is the id of its run. */
const TEMPORARY = /\.(\w*)\.[\da-f]{8}-[\da-f-]{27}\.tmp$/;

const temporaryName = (path: string, runId: string) =>
  `${path}.${runId}.${crypto.randomUUID()}.tmp`;

/**
 * Make a folder, check that files can be written and listed there, and remove temporary
 * files that are more than a day old.
 *
 * @throws {Error} What the disk reports, with the name of the folder.
 */
export async function prepareFolder(folder: string): Promise<void> {
  try {
    await Deno.mkdir(folder, { recursive: true });
    const probe = temporaryName(`${folder}/`, "");
    await Deno.writeFile(probe, new Uint8Array());
    await Deno.remove(probe);
    removeTemporary(folder);
  } catch (error) {
    // AlreadyExists: a file or a dangling link has that name.
    throw error instanceof Deno.errors.AlreadyExists
      ? new Deno.errors.NotADirectory(`${folder}: Not a directory`)
      : diskError(folder, error);
  }
}

/**
 * Write a file under a temporary name in its folder, then rename the whole file. An
 * existing file at `path` is replaced.
 *
 * @param runId Letters and digits, the same on all threads of a run, unique to it.
 * @throws {Error} What the disk reports, with the path; nothing is left behind.
 */
export async function writeAtomically(
  path: string,
  bytes: Uint8Array,
  runId: string,
): Promise<void> {
  const temporary = temporaryName(path, runId);
  try {
    await Deno.writeFile(temporary, bytes);
    await rename(temporary, path);
  } catch (error) {
    await Deno.remove(temporary).catch(() => {});
    throw diskError(path, error);
  }
}

/** Remove the temporary files of a run or, without one, those more than a day old. */
export function removeTemporary(folder: string, runId?: string): void {
  for (const { name } of Deno.readDirSync(folder)) {
    const [, writer] = name.match(TEMPORARY) ?? [];
    if (writer === undefined || runId && writer !== runId) continue;
    try {
      // A day allows for a stopped process and for a disk whose clock differs.
      const { mtime } = Deno.statSync(`${folder}/${name}`);
      const isOld = Date.now() - mtime!.getTime() > 24 * 3600 * 1000;
      if (runId || isOld) Deno.removeSync(`${folder}/${name}`);
    } catch { /* Another process may own or have removed the file. */ }
  }
}

/** Rename a file; on Windows, retry for half a second while the target is open. */
async function rename(temporary: string, path: string, tries = 10) {
  try {
    await Deno.rename(temporary, path);
  } catch (error) { // Access denied, or a sharing violation, in any language.
    if (tries === 0 || !/\(os error (5|32)\)/.test(`${error}`)) throw error;
    await new Promise((next) => setTimeout(next, 50));
    await rename(temporary, path, tries - 1);
  }
}

/** Put the path that the user knows into an error of the disk. */
function diskError(path: string, error: unknown): unknown {
  const [, said] = `${error}`.match(/: (.*\(os error \d+\))/s) ?? [];
  if (said) (error as Error).message = `${path}: ${said}`;
  return error;
}
