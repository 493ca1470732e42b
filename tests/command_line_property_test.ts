import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
// This import is not in deno.json, because a run fetches all imports there.
import fc from "npm:fast-check@4.10.2";
import { type Args, processArgs, SERVERS } from "../flags2_common.ts";
import { UsageError } from "../lib/argparse.ts";
import { ROOT, TemporaryFolder } from "../bench/scripts.ts";
import { runScript } from "./processes.ts";

const toCharacter = (point: number) => String.fromCodePoint(point);

/** Words of options, words of their letters, and words of any characters. */
const word = fc.oneof(
  fc.constantFrom(
    ...`-h -a -e -v -l -m -s -t -- --all --every --limit --max_req --max-req
      --server --timeout --verbose --help --limit= -al -l= -s= 1e3 0 -1 –l -
      DELAY error LOCAL remote __proto__ constructor --__proto__ true`
      .split(/\s+/),
    "",
    " ",
  ),
  fc.string({
    unit: fc.constantFrom(..."-=aehlmstv0123456789.abz_–"),
    maxLength: 8,
  }),
  // fast-check's own unit for any characters needs 2 s to prepare.
  fc.string({ unit: fc.nat(0x10ffff).map(toCharacter), maxLength: 12 }),
  fc.string({ unit: fc.constantFrom("\ud800", "\udc00", "\x1b[", "\n", "\0") }),
  fc.string({ minLength: 500, maxLength: 900 }),
  // Forty characters that are escaped as two units each make the longest message.
  fc.string({ unit: fc.constant("\u{e0001}"), minLength: 38, maxLength: 42 }),
  fc.nat().map(String),
  fc.constant("9".repeat(400)),
  fc.double().map(String),
);
const words = fc.array(word, { maxLength: 7 });

/** Return the arguments of a command line, or the message of its usage error. */
function read(...words: string[]): Args | string {
  try {
    return processArgs(words, 5);
  } catch (error) {
    if (error instanceof UsageError) return error.message;
    throw error;
  }
}

function assertOneLine(message: string): void {
  assert(message.length < 700, message);
  assert(!/[\p{Cc}\p{Cs}\p{Zl}\p{Zp}]/u.test(message), message);
}

describe("any command line", () => {
  it("yields valid arguments or one usage error", () => {
    let valid = 0;
    fc.assert(
      fc.property(words, (words) => {
        const args = read(...words);
        if (typeof args === "string") return assertOneLine(args);
        const { ccList, maxReq, server, timeout, verbose, help } = args;
        assert(
          ccList.length >= 1 && ccList.every((cc) => /^[A-Z]{2}$/.test(cc)),
        );
        assertEquals(ccList, [...new Set(ccList)].sort());
        assert(Number.isInteger(maxReq) && maxReq >= 1);
        assert(timeout > 0 && timeout <= 86_400);
        assert(Object.hasOwn(SERVERS, server));
        assertEquals([typeof verbose, typeof help], ["boolean", "boolean"]);
        valid++;
      }),
      { numRuns: 3000 },
    );
    // Without both kinds of lines this test would prove nothing.
    assert(valid > 150 && valid < 2850, `${valid} valid lines`);
  });
});

describe("a script with any command line", () => {
  // The system cannot pass a NUL or a lone surrogate to a process.
  const passable = words.map((words) =>
    words.map((word) => word.toWellFormed().replaceAll("\0", ""))
  );

  it("prints the README's help or a usage error, and creates no file", async () => {
    await using folder = new TemporaryFolder();
    const good = passable.map((words) => ["-h", ...words]);
    const bad = passable.filter((it) => typeof read(...it) === "string");
    const lines = [good, bad].flatMap((kind) => fc.sample(kind, 2));
    const readme = await Deno.readTextFile(`${ROOT}/README.md`);
    const [help] = readme.match(/^usage: flags2_asyncio[^]*?\n(?=```$)/m)!;
    await Promise.all(lines.map(async (line, i) => {
      const result = await runScript("asyncio", line, { cwd: folder.path });
      const { code, stdout, stderr } = result;
      const context = JSON.stringify(line) + stderr;
      if (i < 2) return assertEquals([code, stdout, stderr], [0, help, ""]);
      const [error, usage, ...rest] = stderr.split("\n");
      assertEquals([code, stdout, rest], [2, "", [""]], context);
      assert(error!.startsWith("*** Usage error: "), context);
      assertOneLine(error!);
      assert(help.startsWith(`${usage}\n`), context);
    }));
    assertEquals(await folder.list("."), []);
  });
});
