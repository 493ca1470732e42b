import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { outcome, ROOT } from "./testing.ts";

describe("bench.ts", () => {
  for (
    const [word, message] of [
      ["--bogus", "unknown option --bogus"],
      ["extra", "extra is no option"],
    ] as const
  ) {
    it(`refuses ${word} in one line and the usage`, async () => {
      const child = new Deno.Command(Deno.execPath(), {
        args: ["run", "--frozen", "-A", `${ROOT}/bench/bench.ts`, word],
        stdout: "piped",
        stderr: "piped",
      });
      assertEquals(await outcome(child.spawn()), {
        code: 2,
        stdout: "",
        stderr: `*** Usage error: ${message}\nusage: bench.ts [-h]\n`,
      });
    });
  }
});
