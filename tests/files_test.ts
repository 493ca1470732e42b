import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { makeFolder, removeTemporary, writeWhole } from "../lib/files.ts";
import { TemporaryFolder } from "./testing.ts";

/** What a run leaves of a file when it is ended in the middle. */
const half = (name: string, run = "a1") =>
  `${name}.${run}.6e06fd9c-3e90-4845-afef-0576f8a9bbd9.tmp`;

/** To be removed, all but the second, which refuses. */
const [BR, CN, RU] = [half("br.gif"), half("cn.gif"), half("ru.gif")];

/** Files, with the hours since each was written. */
async function folderOf(ages: Record<string, number>) {
  const folder = new TemporaryFolder();
  for (const [name, hours] of Object.entries(ages)) {
    const path = `${folder.path}/${name}`;
    if (name === CN) await Deno.mkdir(`${path}/full`, { recursive: true });
    else await Deno.writeTextFile(path, "half");
    const then = new Date(Date.now() - hours * 3_600_000);
    await Deno.utime(path, then, then);
  }
  return folder;
}

it("temporary files are swept when they are older than a day, and no other file is", async () => {
  const kept = { "br.gif": 25, "my.tmp": 25, [half("us.gif")]: 23, [CN]: 25 };
  await using folder = await folderOf({ ...kept, [BR]: 25, [RU]: 25 });
  await makeFolder(folder.path);
  assertEquals(await folder.list("."), Object.keys(kept).sort());
});

it("a run's temporary files are removed at its end, and no other's", async () => {
  const others = { [half("br.gif", "a11")]: 0, [half("br.gif", "1a1")]: 0 };
  const kept = { "br.gif": 0, ...others, [CN]: 0 };
  await using folder = await folderOf({ ...kept, [BR]: 0, [RU]: 0 });
  removeTemporary(folder.path, "a1");
  assertEquals(await folder.list("."), Object.keys(kept).sort());
});

describe("a file", () => {
  it("is whole, however many write it at a time", async () => {
    await using folder = new TemporaryFolder();
    const path = `${folder.path}/br.gif`;
    const bytes = Array(30).keys().map((i) => new Uint8Array(1e5).fill(i));
    await Promise.all(bytes.map((bytes) => writeWhole(path, bytes, "a1")));
    assertEquals(new Set(await Deno.readFile(path)).size, 1);
    assertEquals(await folder.list("."), ["br.gif"]);
  });

  it("that cannot be written leaves nothing, and an error that names it", async () => {
    await using folder = await folderOf({ [CN]: 0 });
    for (const path of [`${folder.path}/${CN}`, `${folder.path}/no/br.gif`]) {
      const { message } = //
        await assertRejects(
          () => writeWhole(path, new Uint8Array(), "a1"),
          Error,
        );
      assertMatch(message.replace(path, ""), /^: [^:]+ \(os error \d+\)$/);
      assertEquals(await folder.list("."), [CN]);
    }
  });

  it("that a program holds open on Windows is waited for half a second", async () => {
    await using folder = new TemporaryFolder();
    const path = `${folder.path}/br.gif`;
    const { rename } = Deno;
    const table = [[3, 5, 4], [99, 32, 11], [1, 13, 1]] as const;
    for (const [refusals, error, tries] of table) {
      let tried = 0;
      Deno.rename = async (from, to) => {
        if (tried++ >= refusals) return await rename(from, to);
        throw new Error(`거부. (os error ${error}): rename '${from}'`);
      };
      const outcome = await writeWhole(path, new Uint8Array(), "a1").catch(
        String,
      );
      Deno.rename = rename;
      const refused = `Error: ${path}: 거부. (os error ${error})`;
      assertEquals(outcome, tries > refusals ? undefined : refused);
      assertEquals(tried, tries);
    }
  });
});
