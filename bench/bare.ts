/**
 * A bare loop of `fetch` that requests every code and saves the flags. With the
 * folder `whole`, each request has a timeout and each file is written atomically,
 * as in the scripts.
 *
 * @module
 */

const [base, connections, folder] = Deno.args as [string, string, string];
const letters = [..."abcdefghijklmnopqrstuvwxyz"];
const codes = letters.flatMap((a) => letters.map((b) => a + b));
Deno.mkdirSync(folder, { recursive: true });

await Promise.all(Array.from({ length: Number(connections) }, async () => {
  for (let cc; (cc = codes.shift());) {
    const signal = folder === "whole" ? AbortSignal.timeout(10_000) : null;
    const response = await fetch(`${base}/${cc}/${cc}.gif`, { signal });
    const image = await response.bytes();
    if (!response.ok) continue;
    const path = `${folder}/${cc}.gif`;
    const temporary = folder === "whole" ? `${path}.tmp` : path;
    await Deno.writeFile(temporary, image);
    if (temporary !== path) await Deno.rename(temporary, path);
  }
}));
