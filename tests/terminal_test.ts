import { assert, assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { printLine, quote, show, write } from "../lib/terminal.ts";
import { FaultSite } from "./fault_site.ts";
import { parseReport, TemporaryFolder } from "../bench/scripts.ts";
import { runScript, terminal } from "./processes.ts";
import { itInTerminal, itOnLinux } from "./testing.ts";

/** Accepts three bytes at a time, and throws before each. */
class Sink {
  text = "";
  #turn = 0;
  constructor(readonly error: Error) {}
  isTerminal = () => false;
  writeSync = (bytes: Uint8Array) => {
    if (this.#turn++ % 2 === 0) throw this.error;
    this.text += new TextDecoder().decode(bytes.subarray(0, 3));
    return Math.min(bytes.length, 3);
  };
}

describe("the output", () => {
  it("is written with pauses into a slow pipe", () => {
    const sink = new Sink(new Deno.errors.WouldBlock());
    const t0 = performance.now();
    write("one two", sink);
    printLine(" three", sink);
    show(" four", sink);
    assertEquals(sink.text, "one two three\n four");
    const elapsed = performance.now() - t0;
    assert(elapsed > 30, `${elapsed} ms`);
  });

  it("can be lost in a closed pipe, but a lost report is an error", () => {
    printLine("gone", new Sink(new Deno.errors.BrokenPipe()));
    const full = new Sink(new Error("No space left on device"));
    assertThrows(() => printLine("lost", full), Error, "No space");
    show("lost", full);
  });

  it("quotes words with spaces and control characters", () => {
    const table = [
      ["국기", "국기"],
      ["zm.gif?", "zm.gif?"],
      ["fig\u202e", '"fig\\u202e"'],
      ["a b", '"a b"'],
      ['a\n"\x9b', '"a\\n\\"\\u009b"'],
      ["x".repeat(99), `${"x".repeat(40)}…`],
    ] as const;
    for (const [word, quoted] of table) assertEquals(quote(word), quoted);
  });
});

describe("a script", () => {
  const table = [
    [">/dev/full", "br", 1, "*** No space left on device\n"],
    ["2>/dev/full", "-x", 2, ""],
  ] as const;
  itOnLinux("fails if its report cannot be written", async () => {
    for (const [redirection, arg, ...expected] of table) {
      const within = ["sh", "-c", `exec "$@" ${redirection}`, "sh"];
      const { code, stderr } = await runScript("asyncio", arg, { within });
      assertEquals([code, stderr], [...expected]);
    }
  });

  itInTerminal("prints no escape codes on a dumb terminal", async () => {
    await using folder = new TemporaryFolder();
    await using site = new FaultSite({ AC: "404" });
    const options = { cwd: folder.path, env: { TERM: "dumb" } };
    for (const option of [[], ["-v"]]) {
      const args = ["-s", site.url, ...option, "AB", "AC"];
      const text = await terminal("asyncio", args, options);
      // deno-lint-ignore no-control-regex
      assert(!/\x1b|\r/.test(text), JSON.stringify(text));
      assertEquals(parseReport(text).flags, 1);
    }
  });
});
