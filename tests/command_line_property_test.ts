import { assert, assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
// Not in deno.json, nor in its lock: every run would fetch what is there.
import fc from "npm:fast-check@4.10.2";
import { type Args, processArgs, SERVERS } from "../flags2_common.ts";
import { UsageError } from "../lib/argparse.ts";
import { ROOT, TemporaryFolder } from "../bench/scripts.ts";
import { runScript } from "./processes.ts";

const toCharacter = (point: number) => String.fromCodePoint(point);

/** The words of the options, their letters, and any characters at all. */
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
  // Any character; to prepare fast-check's own list of them takes 2 s.
  fc.string({ unit: fc.nat(0x10ffff).map(toCharacter), maxLength: 12 }),
  fc.string({ unit: fc.constantFrom("\ud800", "\udc00", "\x1b[", "\n", "\0") }),
  fc.string({ minLength: 500, maxLength: 900 }),
  // Forty characters that are escaped as two units each: the longest message.
  fc.string({ unit: fc.constant("\u{e0001}"), minLength: 38, maxLength: 42 }),
  fc.nat().map(String),
  fc.constant("9".repeat(400)),
  fc.double().map(String),
);
const words = fc.array(word, { maxLength: 7 });

/** The plan, or the message of the one error that may be thrown. */
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
  it("is a plan within bounds, or one usage error", () => {
    let plans = 0;
    fc.assert(
      fc.property(words, (words) => {
        const plan = read(...words);
        if (typeof plan === "string") return assertOneLine(plan);
        const { ccList, maxReq, server, timeout, verbose, help } = plan;
        assert(
          ccList.length >= 1 && ccList.every((cc) => /^[A-Z]{2}$/.test(cc)),
        );
        assertEquals(ccList, [...new Set(ccList)].sort());
        assert(Number.isInteger(maxReq) && maxReq >= 1);
        assert(timeout > 0 && timeout <= 86_400);
        assert(Object.hasOwn(SERVERS, server));
        assertEquals([typeof verbose, typeof help], ["boolean", "boolean"]);
        plans++;
      }),
      { numRuns: 3000 },
    );
    // Both happen: else it would hold for a function that does nothing.
    assert(plans > 150 && plans < 2850, `${plans}`);
  });

  it("with -h on it asks for help", () => {
    fc.assert(fc.property(words, words, (before, after) => {
      const options = before.filter((word) => word !== "--");
      assert((read(...options, "-vh", ...after) as Args).help);
    }));
  });

  it("has no option after --", () => {
    const defaults = processArgs([], 5);
    fc.assert(fc.property(words, (words) => {
      const plan = read("--", ...words);
      if (typeof plan === "string") assertMatch(plan, /^CC must be /);
      else assertEquals({ ...defaults, ccList: plan.ccList }, plan);
    }));
  });
});

describe("a script, given any command line,", () => {
  // What the system can hand to a process: no NUL, no lone surrogate.
  const passable = words.map((words) =>
    words.map((word) => word.toWellFormed().replaceAll("\0", ""))
  );

  it("shows the help of the README, or one error and the usage, and creates nothing", async () => {
    await using folder = new TemporaryFolder();
    const good = passable.map((words) => ["-h", ...words]);
    const bad = passable.filter((it) => typeof read(...it) === "string");
    const lines = [good, bad].flatMap((kind) => fc.sample(kind, 2));
    const readme = await Deno.readTextFile(`${ROOT}/README.md`);
    const [help] = readme.match(/^usage: flags2_asyncio[^]*?\n(?=```$)/m)!;
    await Promise.all(lines.map(async (line, i) => {
      const { code, stdout, stderr } = //
        await runScript("asyncio", line, { cwd: folder.path });
      const told = JSON.stringify(line) + stderr;
      if (i < 2) return assertEquals([code, stdout, stderr], [0, help, ""]);
      const [error, usage, ...rest] = stderr.split("\n");
      assertEquals([code, stdout, rest], [2, "", [""]], told);
      assert(error!.startsWith("*** Usage error: "), told);
      assertOneLine(error!);
      assert(help.startsWith(`${usage}\n`), told);
    }));
    assertEquals(await folder.list("."), []);
  });
});
