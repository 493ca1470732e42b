import { assert, assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { print, show, write } from "../lib/terminal.ts";
import { FaultSite } from "./fault_site.ts";
import {
  commandLine,
  itInTerminal,
  parseReport,
  quoted,
  run,
  SCRIPTS,
  TemporaryFolder,
} from "./testing.ts";

/** Takes `room` bytes at a time, and fails in between. */
class Sink {
  text = "";
  #turn = 0;
  constructor(readonly room: number, readonly error: Error) {}
  isTerminal = () => false;
  writeSync = (bytes: Uint8Array) => {
    if (this.#turn++ % 2 === 0) throw this.error;
    const taken = bytes.subarray(0, this.room);
    this.text += new TextDecoder().decode(taken);
    return taken.length;
  };
}

describe("what is written", () => {
  it("waits for room", () => {
    const sink = new Sink(3, new Deno.errors.WouldBlock());
    write("one two", sink);
    print(" three", sink);
    show(" four", sink);
    assertEquals(sink.text, "one two three\n four");
  });

  it("may go to a pipe that is left", () => {
    print("gone", new Sink(3, new Deno.errors.BrokenPipe()));
  });

  it("has to be taken, when it is a report", () => {
    const error = new Error("No space left on device");
    assertThrows(() => print("lost", new Sink(3, error)), Error, "No space");
    show("lost", new Sink(3, error));
  });
});

const { success: hasPerl } = await new Deno.Command("sh", {
  args: ["-c", "command -v perl"],
  stdout: "null",
}).output();
const itPerl = hasPerl && Deno.build.os === "linux" ? it : it.skip;

for (const script of SCRIPTS) {
  describe(`flags2_${script}.ts`, () => {
    itPerl(
      "waits for a pipe that does not block (needs Linux and perl)",
      async () => {
        await using folder = new TemporaryFolder();
        await using site = new FaultSite({});
        // A pipe of 4 KB that is full, and read late.
        const perl = "use Fcntl; fcntl(STDOUT, 1031, 4096); " +
          "fcntl(STDOUT, F_SETFL, O_WRONLY | O_NONBLOCK); " +
          "syswrite(STDOUT, chr(10) x 4096); exec @ARGV";
        const words = commandLine(script, ["-s", site.url, "-v", "A"]);
        const late = `{ perl -e '${perl}' ${
          quoted(words)
        }; echo $? >&2; } | { sleep 1; cat; }`;
        const { stdout, stderr } = await new Deno.Command("sh", {
          args: ["-c", late],
          cwd: folder.path,
        }).output();
        const text = new TextDecoder().decode(stdout);
        assertEquals(new TextDecoder().decode(stderr), "0\n", text);
        assertEquals(text.match(/^\w\w OK$/gm)?.length, 26);
        assertEquals(parseReport(text).flags, 26);
      },
    );

    it("ends with one line when the report cannot be written, and with 2 for a bad command line", async () => {
      await using folder = new TemporaryFolder();
      const full = (to: string) => ({
        cwd: folder.path,
        within: ["sh", "-c", `exec "$@" ${to}/dev/full`, "sh"],
      });
      const { code, stderr } = await run(script, ["br"], full(">"));
      assertEquals([code, stderr], [1, "*** No space left on device\n"]);
      assertEquals((await run(script, ["--bogus"], full("2>"))).code, 2);
    });

    itInTerminal("redraws and colours nothing on a dumb terminal", async () => {
      for (const option of [[], ["-v"]]) {
        await using folder = new TemporaryFolder();
        await using site = new FaultSite({ AC: "404" });
        const args = ["-s", site.url, ...option, "AB", "AC"];
        const { stdout } = await new Deno.Command("script", {
          args: ["-qec", quoted(commandLine(script, args)), "/dev/null"],
          cwd: folder.path,
          env: { TERM: "dumb" },
          stdin: "null",
        }).output();
        const text = new TextDecoder().decode(stdout);
        // deno-lint-ignore no-control-regex
        assert(!/\x1b|\r(?!\n)/.test(text), JSON.stringify(text));
        assertEquals(parseReport(text.replaceAll("\r", "")).flags, 1);
      }
    });

    itInTerminal("is as wide as the terminal that it writes to", async () => {
      await using folder = new TemporaryFolder();
      await using site = new FaultSite({});
      const words = quoted(commandLine(script, ["-s", site.url, "AB"]));
      const inner = `stty cols 90; exec ${words} <&3`;
      const outer = `stty cols 50; exec 3<&0; script -qec ${
        quoted([inner])
      } /dev/null`;
      const { stdout } = await new Deno.Command("script", {
        args: ["-qec", outer, "/dev/null"],
        cwd: folder.path,
        stdin: "null",
      }).output();
      const [, bar = ""] = new TextDecoder().decode(stdout)
        // deno-lint-ignore no-control-regex
        .match(/\r(100%[^\r]*)\x1b\[K/) ?? [];
      assertEquals(bar.length, 88);
    });
  });
}
