import { assertEquals, assertRejects } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { expandCcArgs } from "../flags2_common.ts";
import { drawFlags } from "../site/draw.ts";
import { TemporaryFolder } from "./testing.ts";

const CODES = expandCcArgs(false, true, []).map((cc) => cc.toLowerCase());
const { signal } = new AbortController();

describe("drawFlags", () => {
  it("draws 194 flags, each a GIF 320 pixels wide, with metadata", async () => {
    await using folder = new TemporaryFolder();
    await drawFlags(`${folder.path}/flags`, signal);
    assertEquals(await folder.list("flags"), CODES);
    assertEquals(await folder.list(), []);
    const images = new Set<string>();
    for (const cc of CODES) {
      const files = [`${cc}.gif`, "metadata.json"].sort();
      assertEquals(await folder.list(`flags/${cc}`), files);
      const gif = await Deno.readFile(`${folder.path}/flags/${cc}/${cc}.gif`);
      assertEquals(new TextDecoder().decode(gif.subarray(0, 6)), "GIF89a");
      assertEquals(new DataView(gif.buffer).getUint16(6, true), 320);
      assertEquals(gif.at(-1), 0x3b);
      images.add(gif.join());
    }
    assertEquals(images.size, CODES.length);
    const metadata = `${folder.path}/flags/ad/metadata.json`;
    assertEquals(JSON.parse(await Deno.readTextFile(metadata)), {
      iso_cc: "AD",
      country: "Andorra",
    });
  });

  it("leaves a folder alone that has something in it", async () => {
    await using folder = new TemporaryFolder();
    const own = `${folder.path}/flags/xx`;
    await Deno.mkdir(own, { recursive: true });
    await drawFlags(`${folder.path}/flags`, signal);
    assertEquals(await folder.list("flags"), ["xx"]);
  });

  it("draws into an empty folder", async () => {
    await using folder = new TemporaryFolder();
    await Deno.mkdir(`${folder.path}/flags`);
    await drawFlags(`${folder.path}/flags`, signal);
    assertEquals(await folder.list("flags"), CODES);
  });

  it("draws them whole when two runs start at the same time", async () => {
    await using folder = new TemporaryFolder();
    const runs = [1, 2].map(() => drawFlags(`${folder.path}/flags`, signal));
    await Promise.all(runs);
    assertEquals(await folder.list("flags"), CODES);
    assertEquals(await folder.list("."), ["flags"]);
  });

  it("draws none when it is given up", async () => {
    await using folder = new TemporaryFolder();
    const stop = new AbortController();
    const drawing = drawFlags(`${folder.path}/flags`, stop.signal);
    setTimeout(() => stop.abort(), 50);
    await assertRejects(() => drawing, DOMException);
    assertEquals(await folder.list("."), []);
  });
});
