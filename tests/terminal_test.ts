import { assert, assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { printLine, show, write } from "../lib/terminal.ts";
import { FaultSite } from "./fault_site.ts";
import {
  commandLine,
  has,
  itIf,
  itInTerminal,
  itOnLinux,
  outcome,
  parseReport,
  quoted,
  run,
  spawn,
  TemporaryFolder,
  terminal,
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
    printLine(" three", sink);
    show(" four", sink);
    assertEquals(sink.text, "one two three\n four");
  });

  it("may go to a pipe that is left", () => {
    printLine("gone", new Sink(3, new Deno.errors.BrokenPipe()));
  });

  it("has to be taken, when it is a report", () => {
    const error = new Error("No space left on device");
    assertThrows(
      () => printLine("lost", new Sink(3, error)),
      Error,
      "No space",
    );
    show("lost", new Sink(3, error));
  });
});

const itPerl = itIf(
  Deno.build.os === "linux" && await has("perl", "-v"),
  "Linux and perl",
);

describe("a script", () => {
  itPerl("waits for a pipe that does not block", async () => {
    await using folder = new TemporaryFolder();
    await using site = new FaultSite({});
    // A pipe of 4 KB that is full, and read late.
    const perl = "use Fcntl; fcntl(STDOUT, 1031, 4096); " +
      "fcntl(STDOUT, F_SETFL, O_WRONLY | O_NONBLOCK); " +
      "syswrite(STDOUT, chr(10) x 4096); exec @ARGV";
    const words = commandLine("asyncio", ["-s", site.url, "-v", "A"]);
    const late = `{ perl -e '${perl}' ${quoted(words)}; echo $? >&2; } | ` +
      "{ sleep 1; cat; }";
    const { stdout, stderr } = await outcome(
      spawn(["sh", "-c", late], { cwd: folder.path }),
    );
    assertEquals(stderr, "0\n", stdout);
    assertEquals(stdout.match(/^\w\w OK$/gm)?.length, 26);
    assertEquals(parseReport(stdout).flags, 26);
  });

  itOnLinux(
    "ends with one line when the report cannot be written, and with 2 for a bad command line",
    async () => {
      await using folder = new TemporaryFolder();
      await using site = new FaultSite({});
      const to = (redirection: string) => ({
        cwd: folder.path,
        within: ["sh", "-c", `exec "$@" ${redirection}`, "sh"],
      });
      for (
        const [redirection, message] of [
          [">/dev/full", "*** No space left on device\n"],
          ["1</dev/null", "*** Standard output can only be read\n"],
        ] as const
      ) {
        const { code, stderr } = //
          await run("asyncio", ["-s", site.url, "br"], to(redirection));
        assertEquals([code, stderr], [1, message]);
      }
      assertEquals((await run("asyncio", ["-x"], to("2>/dev/full"))).code, 2);
    },
  );

  itInTerminal("redraws and colours nothing on a dumb terminal", async () => {
    for (const option of [[], ["-v"]]) {
      await using folder = new TemporaryFolder();
      await using site = new FaultSite({ AC: "404" });
      const args = ["-s", site.url, ...option, "AB", "AC"];
      const options = { cwd: folder.path, env: { TERM: "dumb" } };
      const text = await terminal("asyncio", args, options);
      // deno-lint-ignore no-control-regex
      assert(!/\x1b|\r/.test(text), JSON.stringify(text));
      assertEquals(parseReport(text).flags, 1);
    }
  });
});
