import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  commandLine,
  has,
  itIf,
  outcome,
  projectAtFreePorts,
  ROOT,
  spawn,
  TemporaryFolder,
} from "./testing.ts";

const itInClone = itIf(
  await has("git", "-C", ROOT, "rev-parse", "HEAD"),
  "git and a clone",
);

describe("where readers have the project", () => {
  it("runs beside a package.json, as after npm install deno", async () => {
    await using folder = await projectAtFreePorts();
    const { path } = folder;
    await Deno.mkdir(`${path}/node_modules/deno`, { recursive: true });
    const text = '{ "dependencies": { "deno": "^2.9.6" } }\n';
    await Deno.writeTextFile(`${path}/package.json`, text);
    // Not --frozen: the runtime notes the package.json in the lock.
    const words = commandLine("threadpool", ["br"], { root: path })
      .filter((word) => word !== "--frozen");
    const { code, stderr } = await outcome(spawn(words, { cwd: path }));
    assertEquals([code, await folder.list()], [0, ["br.gif"]], stderr);
  });

  itInClone("is formatted after a clone with core.autocrlf", async () => {
    await using folder = new TemporaryFolder();
    const path = `${folder.path}/clone`;
    const words = ["clone", "-q", "-c", "core.autocrlf=true", ROOT, path];
    assertEquals(await has("git", ...words), true);
    const check = [Deno.execPath(), "fmt", "--check", "--quiet"];
    const { code, stderr } = await outcome(spawn(check, { cwd: path }));
    assertEquals(code, 0, stderr);
  });
});
