import { assert, assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { formatInterval, formatMeter, type Output, tqdm } from "../lib/tqdm.ts";
import { itInTerminal, ROOT, TemporaryFolder } from "./testing.ts";

/** Remembers what is written, as a terminal `width` wide or as a file. */
class Screen implements Output {
  readonly writes: string[] = [];
  constructor(readonly width?: number) {}
  isTerminal = () => this.width !== undefined;
  columns = () => this.width!;
  write = (text: string) => void this.writes.push(text);
  /** Each drawing, without what moves the cursor. */
  get drawings(): string[] {
    // deno-lint-ignore no-control-regex
    return this.writes.join("").split(/[\r\n]|\x1b\[K/).filter(Boolean);
  }
}

/** The percentage that a loop prints into a pipe. */
async function printed(loop: string): Promise<string> {
  const program = `import { tqdm } from "${ROOT}/lib/tqdm.ts"; ${loop}`;
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", program],
  }).output();
  return new TextDecoder().decode(stdout).slice(0, 4);
}

/** A clock that is `step` milliseconds later each time it is asked. */
function clock(step: number): () => number {
  let now = 0;
  return () => now += step;
}

describe("formatInterval", () => {
  const table: [seconds: number, text: string][] = [
    [0, "00:00"],
    [0.99, "00:00"],
    [59.9, "00:59"],
    [60, "01:00"],
    [3599, "59:59"],
    [3600, "1:00:00"],
    [3661.5, "1:01:01"],
    [360000, "100:00:00"],
  ];
  for (const [seconds, text] of table) {
    it(`shows ${seconds} s as ${text}`, () => {
      assertEquals(formatInterval(seconds), text);
    });
  }
});

describe("formatMeter", () => {
  const table: [Parameters<typeof formatMeter>[0], string][] = [
    [
      { n: 0, total: 20, elapsed: 0 },
      "  0%|          | 0/20 [00:00<?, ?it/s]",
    ],
    [
      { n: 100, total: 100, elapsed: 0.6161 },
      "100%|██████████| 100/100 [00:00<00:00, 162.31it/s]",
    ],
    [
      { n: 1, total: 16, elapsed: 2 },
      "  6%|▋         | 1/16 [00:02<00:30, 2.00s/it]",
    ],
    [
      { n: 199, total: 200, elapsed: 1 },
      " 99%|█████████▉| 199/200 [00:01<00:00, 199.00it/s]",
    ],
    [
      { n: 676, total: 676, elapsed: 3661 },
      "100%|██████████| 676/676 [1:01:01<00:00, 5.42s/it]",
    ],
    [{ n: 7, elapsed: 2 }, "7it [00:02, 3.50it/s]"],
    [{ n: 0, elapsed: 0 }, "0it [00:00, ?it/s]"],
    [{ n: 0, total: 0, elapsed: 0 }, "0it [00:00, ?it/s]"],
    [{ n: 21, total: 20, elapsed: 1 }, "21it [00:01, 21.00it/s]"],
    [
      { n: 10, total: 20, elapsed: 2, columns: 44 },
      " 50%|████    | 10/20 [00:02<00:02, 5.00it/s]",
    ],
    [
      { n: 10, total: 20, elapsed: 2, columns: 35 },
      " 50% 10/20 [00:02<00:02, 5.00it/s]",
    ],
    [{ n: 10, total: 20, elapsed: 2, columns: 10 }, " 50% 10/20"],
    [{ n: 10, total: 20, elapsed: 2, columns: 0 }, ""],
    [{ n: 7, elapsed: 2, columns: 3 }, "7it"],
  ];
  for (const [meter, text] of table) {
    it(`shows ${JSON.stringify(meter)} as ${JSON.stringify(text)}`, () => {
      assertEquals(formatMeter(meter), text);
    });
  }

  it("is as wide as the terminal, never wider", () => {
    for (let columns = 0; columns < 200; columns++) {
      for (const n of [0, 1, 7, 339, 676]) {
        const text = formatMeter({ n, total: 676, elapsed: n / 200, columns });
        assert(text.length <= columns, `${text.length} > ${columns}`);
        if (columns > 60) assertEquals(text.length, columns);
      }
    }
  });
});

describe("tqdm", () => {
  it("yields the items of any iterable, sync and async", async () => {
    const output = new Screen();
    assertEquals([...tqdm("abc", { output })], ["a", "b", "c"]);
    assertEquals([...tqdm(new Set([1, 2]), { output })], [1, 2]);
    const stream = ReadableStream.from([1, 2, 3]);
    assertEquals(await Array.fromAsync(tqdm(stream, { output })), [1, 2, 3]);
  });

  it("takes the total from length or size, when there is one", () => {
    const cases: [Iterable<unknown>, string][] = [
      [[1, 2], "2/2"],
      [new Map([[1, 2]]), "1/1"],
      ["abc", "3it"],
      [new Map([[1, 2]]).keys(), "1it"],
    ];
    for (const [iterable, count] of cases) {
      const output = new Screen();
      for (const _ of tqdm(iterable, { output }));
      assert(output.writes.join("").includes(count), output.writes.join(""));
    }
  });

  it("believes a total that it is told, as a number, too", async () => {
    const output = new Screen();
    for (const _ of tqdm([1, 2], { output, total: 4 }));
    assert(output.writes.join("").startsWith(" 50%|█████     | 2/4 ["));
    assertEquals(await printed("for (const _ of tqdm([1, 2], 4));"), " 50%");
    const later = "for await (const _ of tqdm(ReadableStream.from([1]), 4));";
    assertEquals(await printed(later), " 25%");
  });

  it("takes no total for one that is no count", () => {
    for (const total of [NaN, Infinity, -1]) {
      const output = new Screen();
      for (const _ of tqdm([1, 2], { total, output }));
      assert(output.writes.join("").startsWith("2it ["));
    }
  });

  it("writes one finished line, without control characters, into a pipe", () => {
    const output = new Screen();
    for (const _ of tqdm(Array(5000), { output, now: clock(1) }));
    assertEquals(output.writes.length, 2);
    assert(/^100%\|█{10}\| 5000\/5000 \[.*\]\n$/.test(output.writes.join("")));
  });

  it("redraws one line on a terminal and leaves it complete", () => {
    const output = new Screen(60);
    for (const _ of tqdm(Array(500), { output, now: clock(10) }));
    for (const text of output.writes.slice(0, -1)) {
      // deno-lint-ignore no-control-regex
      assert(/^\r[^\r\n]*\x1b\[K$/.test(text), JSON.stringify(text));
    }
    assertEquals(output.writes.at(-1), "\n");
    assert(output.drawings.at(-1)!.startsWith("100%|"));
    assert(output.drawings.length > 20);
  });

  it("draws at most some ten times a second", () => {
    const output = new Screen(60);
    const now = clock(0.5);
    for (const _ of tqdm(Array(100_000), { output, now }));
    const seconds = now() / 1000;
    assert(output.drawings.length < 12 * seconds + 3);
  });

  it("fits a window that is resized, or is narrow", () => {
    for (const widths of [[80, 30], [30, 80], [12, 5], [12, 4]]) {
      const output = new Screen(widths[0]);
      let i = 0;
      for (const _ of tqdm(Array(100), { output, now: clock(60) })) {
        const width = widths[i++ < 50 ? 0 : 1]!;
        output.columns = () => width;
      }
      const [before, after] = widths as [number, number];
      const drawings = output.drawings.map((text) => text.length);
      assert(Math.max(...drawings) < Math.max(before, after));
      assert((drawings.at(-1) ?? 0) < after);
    }
  });

  it("ends its line when the loop is left, or throws", () => {
    for (const leave of ["break", "throw"]) {
      const output = new Screen(60);
      const loop = () => {
        for (const n of tqdm([1, 2, 3], { output })) {
          if (n < 2) continue;
          if (leave === "break") break;
          throw new RangeError("left");
        }
      };
      leave === "break" ? loop() : assertThrows(loop, RangeError, "left");
      assertEquals(output.writes.at(-1), "\n");
      assert(output.drawings.at(-1)!.includes(" 1/3 "));
    }
  });

  it("keeps no process alive, taken by hand", async () => {
    const loop = `import { tqdm } from "${ROOT}/lib/tqdm.ts";
const output = { isTerminal: () => true, columns: () => 80, write() {} };
tqdm([1, 2], { output }).next();
tqdm(ReadableStream.from([1, 2]), { output }).next();`;
    const { success } = await new Deno.Command(Deno.execPath(), {
      args: ["eval", loop],
      signal: AbortSignal.timeout(60_000),
    }).output();
    assert(success);
  });

  it("draws nothing before the loop begins", () => {
    const output = new Screen(60);
    tqdm([1, 2, 3], { output });
    assertEquals(output.writes, []);
  });
});

describe("tqdm in a pseudo-terminal", () => {
  itInTerminal("fits the window, follows it and moves", async () => {
    await using folder = new TemporaryFolder();
    const loop = `import { tqdm } from "${ROOT}/lib/tqdm.ts";
const resize = { args: ["cols", "50"], stdin: "inherit" } as const;
let done = 0;
for await (const _ of tqdm(Array(12).keys().map(async (n) => n), { total: 12 })) {
  await new Promise((resolve) => setTimeout(resolve, 100));
  if (++done === 6) await new Deno.Command("stty", resize).spawn().status;
}`;
    await Deno.writeTextFile(`${folder.path}/loop.ts`, loop);
    const deno = `${Deno.execPath()} run --allow-run ${folder.path}/loop.ts`;
    const { stdout } = await new Deno.Command("script", {
      args: ["-qec", `stty cols 70; ${deno}`, "/dev/null"],
      stdin: "null",
    }).output();
    const drawings = new TextDecoder().decode(stdout).split("\r")
      .filter((text) => text.includes("%"))
      // deno-lint-ignore no-control-regex
      .map((text) => text.replace(/\x1b.*/s, ""));
    assertEquals(drawings[0]!.length, 68);
    assertEquals(drawings.at(-1)!.length, 48);
    assert(drawings.at(-1)!.startsWith("100%|"));
    assert(new Set(drawings).size >= 5);
  });
});
