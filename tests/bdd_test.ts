import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { outcome, ROOT, TemporaryFolder } from "./testing.ts";

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
const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
it("a call", () => { listener.accept(); });
it("an exit", () => Deno.exit(0));
`;

describe("tests/bdd.ts", () => {
  it("has outer steps around inner ones, and fails what fails or leaks", async () => {
    await using folder = new TemporaryFolder();
    await Deno.writeTextFile(`${folder.path}/sample_test.js`, TESTS);
    const words = ["-A", "--frozen", `--config=${ROOT}/deno.json`];
    const { code, stdout, stderr } = await outcome(
      new Deno.Command(Deno.execPath(), {
        args: ["test", "--reporter=tap", ...words, "sample_test.js"],
        cwd: folder.path,
        env: { NO_COLOR: "1" },
        stdin: "null",
        stdout: "piped",
        stderr: "piped",
      }).spawn(),
    );
    assertEquals(code, 1, stderr);
    assertEquals(stdout.match(/^(ok|not ok) .*$/gm), [
      "not ok 1 - outer inner fails",
      "ok 2 - outer passes",
      "ok 3 - outer is left out # SKIP",
      "not ok 4 - an afterEach that throws fails its test",
      "not ok 5 - a timer",
      "not ok 6 - a file",
      "not ok 7 - a call",
      "not ok 8 - an exit",
    ]);
    const inner = "before outer,before inner,test,after inner,after outer";
    const order = await Deno.readTextFile(`${folder.path}/order`);
    assertEquals(order, `${inner},before outer`);
  });
});
