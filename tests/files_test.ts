import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { makeFolder, removeTemporary, writeWhole } from "../lib/files.ts";
import { outcome, ROOT, TemporaryFolder } from "./testing.ts";

const UUID = "6e06fd9c-3e90-4845-afef-0576f8a9bbd9";

describe("temporary files", () => {
  it("are swept when they are older than a day, and no other file is", async () => {
    await using folder = new TemporaryFolder();
    const old = [`br.gif.1.${UUID}.tmp`, "br.gif", "mine.tmp", "br.gif.1.tmp"];
    const young = `us.gif.1.${UUID}.tmp`;
    const path = `${folder.path}/downloads`;
    await makeFolder(path);
    for (const name of [...old, young]) {
      await Deno.writeTextFile(`${path}/${name}`, "half");
    }
    const then = (hours: number) => new Date(Date.now() - hours * 3600 * 1000);
    for (const name of old) {
      await Deno.utime(`${path}/${name}`, then(25), then(25));
    }
    await Deno.utime(`${path}/${young}`, then(23), then(23));
    await makeFolder(path);
    assertEquals(await folder.list(), [...old.slice(1), young].sort());
  });

  it("that are this process's are removed at its end, and no other's", async () => {
    await using folder = new TemporaryFolder();
    const names = [Deno.pid, `${Deno.pid}1`, `1${Deno.pid}`]
      .map((pid) => `br.gif.${pid}.${UUID}.tmp`);
    for (const name of names) {
      await Deno.writeTextFile(`${folder.path}/${name}`, "half");
    }
    removeTemporary(folder.path);
    assertEquals(await folder.list("."), names.slice(1).sort());
  });

  it("have names of their own in processes of the same number", async () => {
    await using folder = new TemporaryFolder();
    const program = `
Object.defineProperty(Deno, "pid", { value: 7 });
const { writeWhole } = await import("${ROOT}/lib/files.ts");
const bytes = new Uint8Array(1e5).fill(Number(Deno.args[0]));
for (let i = 0; i < 300; i++) await writeWhole("br.gif", bytes);`;
    await Deno.writeTextFile(`${folder.path}/program.ts`, program);
    const runs = await Promise.all(["1", "2", "3"].map((byte) =>
      outcome(
        new Deno.Command(Deno.execPath(), {
          args: ["run", "-A", "program.ts", byte],
          cwd: folder.path,
          stdin: "null",
          stdout: "piped",
          stderr: "piped",
        }).spawn(),
      )
    ));
    for (const { code, stderr } of runs) assertEquals([code, stderr], [0, ""]);
    assertEquals(await folder.list("."), ["br.gif", "program.ts"]);
    const file = await Deno.readFile(`${folder.path}/br.gif`);
    assertEquals(new Set(file).size, 1);
    assertEquals(file.length, 1e5);
  });

  it("are not left behind when the file cannot have its name", async () => {
    await using folder = new TemporaryFolder();
    await Deno.mkdir(`${folder.path}/br.gif`);
    const written = writeWhole(`${folder.path}/br.gif`, new Uint8Array(9));
    assert((await written.catch((error) => error)) instanceof Error);
    assertEquals(await folder.list("."), ["br.gif"]);
  });
});
