import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { isWholeGif } from "../lib/gif.ts";
import { readCodes } from "../site/sites.ts";
import { FLAGS } from "./testing.ts";

describe("isWholeGif", () => {
  it("takes every flag of the project, and no part of one", async () => {
    for (const cc of readCodes()) {
      const name = cc.toLowerCase();
      const flag = await Deno.readFile(`${FLAGS}/${name}/${name}.gif`);
      assert(isWholeGif(flag), name);
      for (let end = 0; end < flag.length; end++) {
        assert(!isWholeGif(flag.subarray(0, end)), `${name} up to ${end}`);
      }
    }
  });

  const [head, screen] = ["GIF89a", "\x01\0\x01\0\0\0\0"];
  const [image, data] = [",\0\0\0\0\x01\0\x01\0\0", "\x02\x02L\x01\0"];
  const table: [image: string, isWhole: boolean, what: string][] = [
    [`${head}${screen}${image}${data};`, true, "one image"],
    [`GIF87a${screen}${image}${data};`, true, "an older one"],
    [`${head}${screen};`, false, "no image"],
    [`${head}${screen}!\x01\x02;;\0${image}${data};`, true, "an extension"],
    [`${head}${screen}${image}${data};\0\0more`, true, "bytes after its end"],
    [`${head}${screen}${image}${data}`, false, "no trailer"],
    [`${head}${screen}${image}\x02\x02L;`, false, "a block cut off at a `;`"],
    [`${head}${screen}!\x01\x7f;`, false, "an extension cut off"],
    [`${head}${screen}?`, false, "an unknown block"],
    [`${head}...;`, false, "a screen cut off"],
    [`GIF88a${screen};`, false, "another version"],
    ["", false, "nothing"],
  ];
  for (const [bytes, isWhole, what] of table) {
    it(`${isWhole ? "takes" : "refuses"} ${what}`, () => {
      assertEquals(isWholeGif(new TextEncoder().encode(bytes)), isWhole);
    });
  }

  it("minds the tables of colours, whose bytes may be anything", () => {
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
