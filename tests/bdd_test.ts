import { assertEquals } from "@std/assert";
import { it } from "@std/testing/bdd";
import { outcome, ROOT, spawn, TemporaryFolder } from "./testing.ts";

const TESTS = `
import { describe, it } from "@std/testing/bdd";
describe("outer", () => {
  describe("inner", () => it("fails", () => { throw new Error(); }));
  it("passes", () => {});
  it.skip("is left out", () => { throw new Error(); });
});
it("leaks a timer", () => { setTimeout(() => {}, 60_000); });
it("leaks a file", () => { Deno.openSync(Deno.execPath()); });
`;

it("the stand-in for @std/testing/bdd fails a test that throws or leaks", async () => {
  await using folder = new TemporaryFolder();
  await Deno.writeTextFile(`${folder.path}/sample_test.js`, TESTS);
  const config = ["-A", "--no-check", "--frozen", `--config=${ROOT}/deno.json`];
  const words = ["test", "--reporter=tap", ...config, "sample_test.js"];
  const options = { cwd: folder.path, env: { NO_COLOR: "1" } };
  const child = spawn([Deno.execPath(), ...words], options);
  const { code, stdout, stderr } = await outcome(child);
  assertEquals(code, 1, stderr);
  assertEquals(stdout.match(/^(not )?ok .*/gm), [
    "not ok 1 - outer inner fails",
    "ok 2 - outer passes",
    "ok 3 - outer is left out # SKIP",
    "not ok 4 - leaks a timer",
    "not ok 5 - leaks a file",
  ]);
});
