import { assertEquals } from "@std/assert";
import { it } from "@std/testing/bdd";
import { outcome, ROOT, spawn, TemporaryFolder } from "./testing.ts";

const TESTS = `
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
const log = [];
describe("outer", () => {
  beforeEach(() => { log.push("before outer"); });
  afterEach(() => { log.push("after outer"); });
  describe("inner", () => {
    beforeEach(() => { log.push("before inner"); });
    afterEach(() => { log.push("after inner"); });
    it("fails", () => { log.push("test"); throw new Error(); });
  });
  it("passes", () => Deno.writeTextFileSync("order", log.join()));
  it.skip("is left out", () => { throw new Error(); });
});
describe("an afterEach that throws", () => {
  afterEach(() => { throw new Error(); });
  it("fails its test", () => {});
});
it("a timer", () => { setTimeout(() => {}, 60_000); });
it("a file", () => { Deno.openSync(Deno.execPath()); });
`;

it("the stand-in for @std/testing/bdd has outer steps around inner ones, and fails what fails or leaks, each where it stands", async () => {
  await using folder = new TemporaryFolder();
  await Deno.writeTextFile(`${folder.path}/sample_test.js`, TESTS);
  const config = ["-A", "--no-check", "--frozen", `--config=${ROOT}/deno.json`];
  const words = ["test", "--reporter=tap", ...config, "sample_test.js"];
  const options = { cwd: folder.path, env: { NO_COLOR: "1" } };
  const child = spawn([Deno.execPath(), ...words], options);
  const { code, stdout, stderr } = await outcome(child);
  assertEquals(code, 1, stderr);
  const result = /^(ok|not ok) \d+ - (.*)(?:\n *---\n.*"line":(\d+))?/gm;
  const results = [...stdout.matchAll(result)]
    .map(([, ok, name, line = ""]) => `${ok} ${name} ${line}`.trim());
  assertEquals(results, [
    "not ok outer inner fails 10",
    "ok outer passes",
    "ok outer is left out # SKIP",
    "not ok an afterEach that throws fails its test 17",
    "not ok a timer 19",
    "not ok a file 20",
  ]);
  const inner = "before outer,before inner,test,after inner,after outer";
  const order = await Deno.readTextFile(`${folder.path}/order`);
  assertEquals(order, `${inner},before outer`);
});
