import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  codesToRun,
  floor,
  race,
  type Row,
  scaled,
  table,
} from "../bench/compare.ts";
import { startSite } from "../site/start.ts";
import { freePort, outcome, ROOT, STD } from "./testing.ts";

const sequential: Row = {
  script: "sequential",
  codes: 26,
  run: 26,
  connections: 1,
  elapsed: 13.26,
};
const asyncio: Row = {
  script: "asyncio",
  codes: 676,
  run: 676,
  connections: 100,
  elapsed: 3.6,
};

describe("the comparison", () => {
  it("takes one delay for each round of connections as the floor", () => {
    assertEquals(floor(676, 1), 338);
    assertEquals(floor(676, 100), 3.5);
    assertEquals(floor(676, 676), 0.5);
    assertEquals(floor(5, 100), 0.5);
  });

  it("runs ten rounds at most, all codes when that is asked for", () => {
    assertEquals(codesToRun(676, 1, false), 10);
    assertEquals(codesToRun(676, 30, false), 300);
    assertEquals(codesToRun(676, 100, false), 676);
    assertEquals(codesToRun(676, 1, true), 676);
  });

  it("scales a time by rounds, and keeps how many codes were run", () => {
    const row = scaled(sequential, 676);
    assertEquals([row.codes, row.run], [676, 26]);
    assertEquals(row.elapsed.toFixed(2), "344.76");
    assertEquals(scaled(asyncio, 676), asyncio);
  });

  it("shows each time beside its floor and beside the sequential one", () => {
    const row = scaled(sequential, 676);
    assertEquals(
      table([row, asyncio], row),
      `\
script      codes  connections   elapsed     floor  elapsed / floor  faster
sequential    676            1  344.76 s  338.00 s            1.020   1.0 x    extrapolated from 26
asyncio       676          100    3.60 s    3.50 s            1.029  95.8 x`,
    );
  });

  it("says of no time how much faster it is when nothing ran in sequence", () => {
    assert(table([asyncio]).endsWith("1.029       -"));
  });

  it("takes its times from real runs", async () => {
    const port = freePort();
    const { signal } = new AbortController();
    await using site = await startSite("DELAY", port, signal);
    assert(site);
    const url = `http://localhost:${port}/flags`;
    const { row, recording } = await race("asyncio", 10, 5, signal, url);
    assertEquals(row, { ...row, codes: 10, run: 10, connections: 5 });
    assert(row.elapsed >= floor(10, 5) && row.elapsed < 10, `${row.elapsed}`);
    const { done, report } = recording;
    assertEquals(done.length, 10);
    assertEquals(done, done.toSorted((a, b) => a - b));
    assertEquals(report.at(0), "-".repeat(20));
    assertEquals(report.at(-1), `Elapsed time: ${row.elapsed.toFixed(2)}s`);
  });

  it("fails when a script does", async () => {
    const { signal } = new AbortController();
    const broken = () => new Response(null, { status: 500 });
    await using server = Deno.serve({ port: 0, onListen() {} }, broken);
    const url = `http://localhost:${server.addr.port}`;
    await assertRejects(
      () => race("asyncio", 1, 1, signal, url),
      Error,
      "flags2_asyncio.ts failed",
    );
  });

  for (
    const [words, message] of [
      ["-s nobody", "--script SCRIPT must be one of "],
      ["-m 0", "--max_req CONCURRENT must be >= 1, not 0"],
      ["-l 677", "--limit N must be <= 676, not 677"],
      ["extra", "extra is not an option"],
    ] as const
  ) {
    it(`refuses ${words} in one line and the usage`, async () => {
      const child = new Deno.Command(Deno.execPath(), {
        args: ["run", ...STD, "-A", `${ROOT}/bench/compare.ts`]
          .concat(words.split(" ")),
        stdout: "piped",
        stderr: "piped",
      });
      const { code, stdout, stderr } = await outcome(child.spawn());
      assertEquals([code, stdout], [2, ""]);
      const lines = stderr.trim().split("\n");
      assertEquals(lines.length, 2);
      assertStringIncludes(lines[0]!, `*** Usage error: ${message}`);
      assert(lines[1]!.startsWith("usage: compare.ts"));
    });
  }
});
