import { assert, assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import type { Stream } from "../lib/terminal.ts";
import { formatInterval, formatMeter, tqdm } from "../lib/tqdm.ts";
import { ROOT, shellQuote } from "../bench/scripts.ts";
import { outcome, spawn, terminalOf } from "./processes.ts";
import { itInTerminal, replaced } from "./testing.ts";

const IMPORT = `import { tqdm } from "${import.meta.resolve("../lib/tqdm.ts")}";
import { isAscii } from "${import.meta.resolve("../lib/terminal.ts")}";\n`;

/** Return the drawings of a bar without the codes that move the cursor. */
function drawingsIn(text: string): string[] {
  // deno-lint-ignore no-control-regex
  return text.split(/[\r\n]|\x1b\[K/).filter((line) => line.trim() !== "");
}

/** A terminal of some columns, or a file, that remembers all output. */
class Screen implements Stream {
  readonly writes: string[] = [];
  constructor(public width?: number) {}
  isTerminal = () => this.width !== undefined;
  writeSync = (bytes: Uint8Array) => {
    this.writes.push(new TextDecoder().decode(bytes));
    return bytes.length;
  };
  get drawings(): string[] {
    return drawingsIn(this.writes.join(""));
  }
}

/** Return a clock that advances by `step` milliseconds at each call. */
const clock = (step: number, now = 0) => () => now += step;

/** Make the window as wide as a screen until the block ends. */
const windowOf = (screen: Screen) =>
  replaced(Deno, "consoleSize", () => ({ columns: screen.width }));

it("formatInterval returns seconds as MM:SS or H:MM:SS", () => {
  const seconds = [0.99, 59.9, 60, 3599, 3661.5, 360000];
  const texts = "00:00 00:59 01:00 59:59 1:01:01 100:00:00";
  assertEquals(seconds.map(formatInterval).join(" "), texts);
});

describe("formatMeter", () => {
  // n, total, elapsed, columns
  const table: [string, number, number?, number?, number?][] = [
    ["  0%|          | 0/20 [00:00<?, ?it/s]", 0, 20],
    ["100%|██████████| 2/2 [00:00<00:00, ?it/s]", 2, 2],
    ["100%|██████████| 2/2 [00:00<00:00, 66.67it/s]", 2, 2, 0.03],
    ["  6%|▋         | 1/16 [00:02<00:30, 2.00s/it]", 1, 16, 2],
    [" 97%|█████████▊| 39/40 [00:01<00:00, 39.00it/s]", 39, 40, 1],
    ["0it [00:00, ?it/s]", 0],
    ["0it [00:00, ?it/s]", 0, 0],
    ["9it [00:01, 9.00it/s]", 9, 8, 1],
    ["9it", 9, 8, 1, 3],
    [" 50%|███   | 1/2 [00:02<00:02, 2.00s/it]", 1, 2, 2, 40],
    [" 50% 1/2 [00:02<00:02, 2.00s/it]", 1, 2, 2, 33],
    [" 50% 1/2", 1, 2, 2, 8],
    ["", 1, 2, 2, 0],
  ];
  for (const [text, n, total, elapsed = 0, columns] of table) {
    it(`returns "${text}" for ${[n, total, elapsed, columns]}`, () => {
      const meter = { n, total, elapsed, columns };
      assertEquals(formatMeter(meter), text);
      const ascii = text.replaceAll("█", "#").replace(/[▋▊]/, " ");
      assertEquals(formatMeter({ ...meter, ascii: true }), ascii);
    });
  }

  it("is at most as wide as the terminal", () => {
    for (let columns = 0; columns < 200; columns++) {
      for (const n of [0, 1, 7, 339, 676]) {
        const meter = { n, total: 676, elapsed: n / 200, columns };
        const { length } = formatMeter(meter);
        assert(columns > 60 ? length === columns : length <= columns);
      }
    }
  });
});

describe("tqdm", () => {
  it("yields the items, and writes one finished line into a file", async () => {
    const cases: [string, Iterable<unknown>, total?: number][] = [
      ["100%|██████████| 5000/5000 [", Array(5000).fill(0)],
      ["100%|██████████| 1/1 [", new Map([[1, 2]])],
      ["100%|██████████| 3/3 [", "abc"],
      [" 50%|█████     | 2/4 [", [1, 2], 4],
      ["2it [", [1, 2], Infinity],
      ["2it [", [1, 2], -1],
    ];
    for (const [beginning, iterable, total] of cases) {
      const [output, later] = [new Screen(), new Screen()];
      using _ = replaced(Date, "now", clock(1));
      const items = [...tqdm(iterable, { output, total })];
      assertEquals(items, [...iterable]);
      const stream = tqdm(ReadableStream.from(items), { output: later });
      assertEquals(await Array.fromAsync(stream), items);
      for (const { writes: [line, ...more] } of [output, later]) {
        assertMatch(line!, /^\P{Cc}+\]$/u);
        assertEquals(more, ["\n"]);
      }
      assert(output.writes[0]!.startsWith(beginning), output.writes[0]);
    }
  });

  it("draws # under TQDM_ASCII or in an old Windows console", async () => {
    const program = `${IMPORT}for (const _ of tqdm([1, 2], 4));
for await (const _ of tqdm(ReadableStream.from([1]), 4));
console.log(isAscii({ isTerminal: () => true }, "windows"));`;
    const blocks = " 50%|█████     | 2/4\n 25%|██▌       | 1/4\n";
    const ascii = " 50%|#####     | 2/4\n 25%|##        | 1/4\n";
    const cases: [Record<string, string>, string][] = [
      [{}, blocks + "true\n"],
      [{ WT_SESSION: "1" }, blocks + "false\n"],
      [{ TQDM_ASCII: "0" }, blocks + "false\n"],
      [{ TQDM_ASCII: "1", WT_SESSION: "1" }, ascii + "true\n"],
    ];
    for (const [variables, expected] of cases) {
      const env = { TQDM_ASCII: "", WT_SESSION: "", ...variables };
      const child = spawn([Deno.execPath(), "eval", program], { env });
      const { stdout } = await outcome(child);
      assertEquals(stdout.replace(/ \[.*/g, ""), expected);
    }
  });

  it("redraws one line on a terminal about ten times a second", () => {
    const output = new Screen(60);
    const now = clock(0.5);
    using _clock = replaced(Date, "now", now);
    using _window = windowOf(output);
    for (const _ of tqdm(Array(20_000), { output }));
    const { drawings, writes } = output;
    assert(Math.abs(drawings.length - now() / 100) < 3);
    // deno-lint-ignore no-control-regex
    const isLine = (text: string) => /^\r[^\r\n]*\x1b\[K$/.test(text);
    assertEquals(writes.filter((text) => !isLine(text)), ["\n"]);
    assertMatch(drawings.at(-1)!, /^100%\|/);
  });

  it("fits a window that is resized, even if the clock is set back", () => {
    for (const [before, after] of [[80, 30], [30, 80], [12, 5], [12, 4]]) {
      const output = new Screen(before);
      const ticking = clock(60);
      let hour = 0;
      using _clock = replaced(Date, "now", () => ticking() - hour);
      using _window = windowOf(output);
      for (const i of tqdm(Array(100).keys(), { output, total: 100 })) {
        if (i !== 50) continue;
        output.width = after!;
        hour = 3_600_000;
      }
      const { drawings } = output;
      const late = drawings.filter((text) => /^ [5-9]/.test(text));
      assert(late.length > 9 || after! < 6);
      const widest = Math.max(...drawings.map((text) => text.length));
      assert(widest < Math.max(before!, after!));
      assert((drawings.at(-1) ?? "").length < after!);
      assert(!drawings.join().includes("-"), "a negative time");
    }
  });

  it("ends its line once, with the loop or with the program", () => {
    const output = new Screen(60);
    const items = tqdm([1, 2, 3], { output });
    assertEquals(output.writes, []);
    for (const n of items) if (n === 2) break;
    assertMatch(output.drawings.at(-1)!, / 1\/3 /);
    const end = new Event("unload");
    dispatchEvent(end);
    assertEquals(output.writes.join("").split("\n").length, 2);
    const others = tqdm([1, 2, 3], { output });
    others.next();
    dispatchEvent(end);
    assertEquals(output.writes.at(-1), "\n");
    others.return();
  });

  itInTerminal("fits a real window that is resized", async () => {
    const loop = `${IMPORT}
const resize = { args: ["cols", "50"], stdin: "inherit" };
for (const i of tqdm(Array(3).keys(), 3)) {
  if (i === 1) await new Deno.Command("stty", resize).spawn().status;
}`;
    const words = shellQuote([Deno.execPath(), "eval", loop]);
    const screen = await terminalOf(words, { cwd: ROOT, columns: 70 });
    const widths = drawingsIn(screen).map((text) => text.length);
    assertEquals([widths[0], widths.at(-1)], [68, 48]);
  });
});
