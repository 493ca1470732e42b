import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { markdown, median } from "../bench/bench.ts";
import { outcome, ROOT, STD } from "./testing.ts";

describe("bench.ts", () => {
  it("takes the middle one, and none when one is not known", () => {
    assertEquals(median([10, 9, 30]), 10);
    assertEquals(median([10, undefined, 30]), undefined);
  });

  it("prints a table as deno fmt leaves it", async () => {
    const table = markdown(["", "s", "MB"], [
      ["`flags2_asyncio.ts`", "0.20", "88"],
      ["curl", "0.1", ""],
    ]);
    assertEquals(
      table,
      `\
|                     |    s |  MB |
| ------------------- | ---: | --: |
| \`flags2_asyncio.ts\` | 0.20 |  88 |
| curl                |  0.1 |     |`,
    );
    const child = new Deno.Command(Deno.execPath(), {
      args: ["fmt", "--check", "--ext=md", "-"],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const stdin = child.stdin.getWriter();
    await stdin.write(new TextEncoder().encode(`${table}\n`));
    await stdin.close();
    const { code, stderr } = await outcome(child);
    assertEquals(code, 0, stderr);
  });

  it("leaves a column out that no row knows anything of", () => {
    const rows = [["asyncio", "", "1.0"], ["curl", "", ""]];
    assertEquals(
      markdown(["", "memory", "ratio"], rows).split("\n")[0],
      "|         | ratio |",
    );
  });

  for (
    const [word, message] of [
      ["--bogus", "unknown option --bogus"],
      ["extra", "extra is not an option"],
    ] as const
  ) {
    it(`refuses ${word} in one line and the usage`, async () => {
      const child = new Deno.Command(Deno.execPath(), {
        args: ["run", ...STD, "-A", `${ROOT}/bench/bench.ts`, word],
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
