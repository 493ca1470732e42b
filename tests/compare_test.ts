import { assert, assertEquals, assertRejects } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { medians } from "../bench/bench.ts";
import { floor, race, table } from "../bench/compare.ts";
import { type Race, screens } from "../bench/film.ts";
import { TemporaryFolder } from "../bench/scripts.ts";
import { serve, siteAtFreePort } from "./projects.ts";
import { has, itInTerminal } from "./testing.ts";

const { signal } = new AbortController();

describe("the comparison", () => {
  it("extrapolates a time by rounds in a table that deno fmt accepts", async () => {
    const races = ([
      ["sequential", 1, 26, 13.26],
      ["asyncio", 100, 676, 3.6],
    ] as const).map(([script, connections, done, elapsed]): Race => {
      const counts = { flags: 1, notFound: done - 1, notFinished: 676 - done };
      const report = { ...counts, errors: 0, elapsed };
      return { setup: [script, connections], command: "", output: [], report };
    });
    const text = `\
| script     | codes | connections |  elapsed |    floor | elapsed / floor | faster |
| ---------- | ----: | ----------: | -------: | -------: | --------------: | -----: |
| sequential |   676 |           1 | 344.76 s | 338.00 s |           1.020 |  1.0 x |
| asyncio    |   676 |         100 |   3.60 s |   3.50 s |           1.029 | 95.8 x |

sequential extrapolated from 26 codes`;
    assertEquals(table(races), text);
    await using folder = new TemporaryFolder();
    const file = `${folder.path}/table.md`;
    await Deno.writeTextFile(file, `${text}\n`);
    assert(await has(Deno.execPath(), "fmt", "--check", "-q", file));
  });

  itInTerminal("interrupts a script and records its output", async () => {
    await using site = await siteAtFreePort("DELAY");
    const args = ["-s", site.url, "a"];
    const run = await race(["threadpool", 2], signal, 3, args);
    const { command, output, report } = run;
    const { flags, notFound, notFinished, elapsed } = report;
    const done = flags + notFound;
    assert(done >= 3 && done + notFinished === 26, JSON.stringify(report));
    assert(elapsed >= floor(done, 2), `${elapsed}`);
    const expected = `deno run -A flags2_threadpool.ts -s ${site.url} a -m 2`;
    assertEquals(command, expected);
    const { at, lines } = screens(output).at(-1)!;
    assert(at >= elapsed);
    assert(lines[0]!.includes(`| ${done}/26 [`), lines[0]);
    assertEquals(lines.at(-1), `Elapsed time: ${elapsed.toFixed(2)}s`);
  });

  itInTerminal("fails if a script counts errors", async () => {
    await using server = serve(() => new Response(null, { status: 500 }));
    const args = ["-s", server.url, "br"];
    const failing = () => race(["asyncio", 1], signal, Infinity, args);
    await assertRejects(failing, Error, "flags2_asyncio.ts failed");
  });
});

describe("the bench", () => {
  it("returns the medians of nine measurements", async () => {
    const left = [9, 1, 8, 2, 7, 3, 6, 4, 5];
    const measure = () => Promise.resolve([left[0]!, 100 - left.shift()!]);
    assertEquals(await medians(measure), [5, 95]);
    assertEquals(left, []);
  });
});
