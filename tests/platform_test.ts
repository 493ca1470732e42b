import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  commandLine,
  outcome,
  projectAtFreePorts,
  ROOT,
  TemporaryFolder,
} from "./testing.ts";

/** Run a program in a folder, to its end. */
async function runIn(cwd: string, [program, ...args]: string[]) {
  const piped = { stdin: "null", stdout: "piped", stderr: "piped" } as const;
  const command = new Deno.Command(program!, { args, cwd, ...piped });
  return await outcome(command.spawn());
}

const isClone = await runIn(ROOT, ["git", "rev-parse", "HEAD"])
  .then(({ code }) => code === 0, () => false);

describe("where readers have the project", () => {
  it("runs beside a package.json, as after npm install deno", async () => {
    await using folder = await projectAtFreePorts();
    const { path } = folder;
    await Deno.writeTextFile(
      `${path}/package.json`,
      '{ "dependencies": { "deno": "^2.9.6" } }\n',
    );
    await Deno.mkdir(`${path}/node_modules/deno`, { recursive: true });
    // Not --frozen: the runtime notes the package.json in the lock.
    const words = commandLine("threadpool", ["br"], { root: path })
      .filter((word) => word !== "--frozen");
    const { code, stderr } = await runIn(path, words);
    assertEquals([code, await folder.list()], [0, ["br.gif"]], stderr);
  });

  const name = "is formatted after a git clone with core.autocrlf";
  if (!isClone) {
    it.skip(`${name} (left out: needs git and a clone)`, () => {});
  } else {
    it(name, async () => {
      await using folder = new TemporaryFolder();
      const config = ["-c", "core.autocrlf=true"];
      const clone = ["git", "clone", "-q", ...config, ROOT, "clone"];
      assertEquals((await runIn(folder.path, clone)).code, 0);
      const { code, stderr } = await runIn(`${folder.path}/clone`, [
        Deno.execPath(),
        "fmt",
        "--check",
        "--quiet",
      ]);
      assertEquals(code, 0, stderr);
    });
  }
});
