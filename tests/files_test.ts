import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  prepareFolder,
  removeTemporary,
  writeAtomically,
} from "../lib/files.ts";
import { isWholeGif } from "../lib/gif.ts";
import { readCodes } from "../site/sites.ts";
import { TemporaryFolder } from "../bench/scripts.ts";
import { FLAGS } from "./projects.ts";
import { replaced } from "./testing.ts";

/** Return the name of a temporary file. */
const half = (name: string, run = "a1") =>
  `${name}.${run}.6e06fd9c-3e90-4845-afef-0576f8a9bbd9.tmp`;

/** Temporary files; the second one is a folder, which cannot be removed. */
const [BR, CN, RU] = [half("br.gif"), half("cn.gif"), half("ru.gif")];

/** Make a folder of files that were written some hours ago. */
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

it("a run removes temporary files that are older than a day", async () => {
  const kept = { "br.gif": 25, "my.tmp": 25, [half("us.gif")]: 23, [CN]: 25 };
  await using folder = await folderOf({ ...kept, [BR]: 25, [RU]: 25 });
  await prepareFolder(folder.path);
  assertEquals(await folder.list("."), Object.keys(kept).sort());
});

it("a run removes its own temporary files at its end", async () => {
  const others = { [half("br.gif", "a11")]: 0, [half("br.gif", "1a1")]: 0 };
  const kept = { "br.gif": 0, ...others, [CN]: 0 };
  await using folder = await folderOf({ ...kept, [BR]: 0, [RU]: 0 });
  removeTemporary(folder.path, "a1");
  assertEquals(await folder.list("."), Object.keys(kept).sort());
});

describe("a flag", () => {
  it("is a whole file, even if several runs write it at a time", async () => {
    await using folder = new TemporaryFolder();
    const path = `${folder.path}/br.gif`;
    const bytes = Array(30).keys().map((i) => new Uint8Array(1e5).fill(i));
    await Promise.all(bytes.map((bytes) => writeAtomically(path, bytes, "a1")));
    assertEquals(new Set(await Deno.readFile(path)).size, 1);
    assertEquals(await folder.list("."), ["br.gif"]);
  });

  it("that a program holds open on Windows is tried again for half a second", async () => {
    await using folder = new TemporaryFolder();
    const path = `${folder.path}/br.gif`;
    const { rename } = Deno;
    const table = [[3, 5, 4], [99, 32, 11], [1, 13, 1]] as const;
    for (const [failures, error, tries] of table) {
      let tried = 0;
      using _ = replaced(Deno, "rename", async (from: string, to: string) => {
        if (tried++ >= failures) return await rename(from, to);
        throw new Error(`거부. (os error ${error}): rename '${from}'`);
      });
      const write = writeAtomically(path, new Uint8Array(), "a1");
      const failed = `Error: ${path}: 거부. (os error ${error})`;
      const expected = tries > failures ? undefined : failed;
      assertEquals([await write.catch(String), tried], [expected, tries]);
    }
  });
});

describe("isWholeGif", () => {
  it("accepts every flag of the project, but no part of a flag", async () => {
    for (const cc of readCodes()) {
      const name = cc.toLowerCase();
      const flag = await Deno.readFile(`${FLAGS}/${name}/${name}.gif`);
      assert(isWholeGif(flag), name);
      for (let end = flag.length - 1; end >= 0; end -= 7) {
        assert(!isWholeGif(flag.subarray(0, end)), `${name} up to ${end}`);
      }
    }
  });

  const [head, screen] = ["GIF89a", "\x01\0\x01\0\0\0\0"];
  const [image, data] = [",\0\0\0\0\x01\0\x01\0\0", "\x02\x02L\x01\0"];
  const table: [image: string, isWhole: boolean, what: string][] = [
    [`${head}${screen}${image}${data};`, true, "one image"],
    [`GIF87a${screen}${image}${data};`, true, "an image of an older version"],
    [`${head}${screen};`, false, "a file without an image"],
    [`${head}${screen}!\x01\x02;;\0${image}${data};`, true, "an extension"],
    [
      `${head}${screen}${image}${data};\0\0more`,
      true,
      "a file with bytes after its end",
    ],
    [`${head}${screen}${image}${data}`, false, "a file without a trailer"],
    [`${head}${screen}${image}\x02\x02L;`, false, "a block cut off at a `;`"],
    [`${head}${screen}!\x01\x7f;`, false, "an extension cut off"],
    [`${head}${screen}?`, false, "an unknown block"],
    [`${head}...;`, false, "a screen cut off"],
    [`GIF88a${screen};`, false, "an unknown version"],
    ["", false, "an empty file"],
  ];
  for (const [bytes, isWhole, what] of table) {
    it(`${isWhole ? "accepts" : "rejects"} ${what}`, () => {
      assertEquals(isWholeGif(new TextEncoder().encode(bytes)), isWhole);
    });
  }

  it("skips colour tables, which may contain any byte", () => {
    const colours = ";".repeat(6);
    const global = `${head}\x01\0\x01\0?\0\0${colours}${image}${data};`;
    const local = `${head}${screen},\0\0\0\0\x01\0\x01\0?${colours}${data};`;
    for (const [text, flags] of [[global, 10], [local, 22]] as const) {
      const bytes = new TextEncoder().encode(text);
      bytes[flags] = 0x80; // Two colours.
      assert(isWholeGif(bytes), text);
      assert(!isWholeGif(bytes.subarray(0, -1)), text);
    }
  });
});
