import { assert, assertEquals } from "@std/assert";
import { pooledMap } from "@std/async/pool";
import { describe, it } from "@std/testing/bdd";
// Not in deno.json, nor in its lock: every run would fetch what is there.
import fc from "npm:fast-check@4.10.2";
import { type Args, processArgs, SERVERS } from "../flags2_common.ts";
import { UsageError } from "../lib/argparse.ts";
import { run, SCRIPTS, TemporaryFolder } from "./testing.ts";

/**
 * Words of the options' own letters and digits, and of any characters at all.
 */
const word = fc.oneof(
  fc.constantFrom(
    ..."-h -a -e -v -l -m -s -t -- --all --every --limit --max_req --max-req"
      .split(" "),
    ..."--server --timeout --verbose --help --limit= -al -l= -s= 1e3 0 -1"
      .split(" "),
    ..."DELAY error LOCAL remote __proto__ constructor --__proto__ true"
      .split(" "),
    "",
    " ",
    "-",
  ),
  fc.string({
    unit: fc.constantFrom(..."-=aehlmstv0123456789.abz_"),
    maxLength: 8,
  }),
  fc.string({ unit: "binary", maxLength: 12 }),
  fc.string({
    unit: fc.constantFrom("\ud800", "\udc00", "\x1b[2J", "\n", "\0"),
  }),
  fc.string({ minLength: 500, maxLength: 3000 }),
  // Forty characters that are escaped as two units each: the longest message.
  fc.string({ unit: fc.constant("\u{e0001}"), minLength: 38, maxLength: 42 }),
  fc.nat().map(String),
  fc.constant("9".repeat(400)),
  fc.double().map(String),
);
const words = fc.array(word, { maxLength: 7 });

function assertPlan(args: Args): void {
  const { ccList, maxReq, server, timeout, verbose, help } = args;
  assert(ccList.length >= 1 && ccList.length <= 676);
  assertEquals(ccList, [...new Set(ccList)].sort());
  assert(ccList.every((cc) => /^[A-Z]{2}$/.test(cc)));
  assert(Number.isInteger(maxReq) && maxReq >= 1);
  assert(timeout > 0 && timeout <= 86_400);
  assert(Object.hasOwn(SERVERS, server));
  assertEquals([typeof verbose, typeof help], ["boolean", "boolean"]);
}

function assertOneLine(message: string): void {
  assert(message.length < 700, message);
  assert(!/[\p{Cc}\p{Cs}\p{Zl}\p{Zp}]/u.test(message), message);
}

describe("processArgs, given any command line,", () => {
  it("makes a plan within bounds, or throws one usage error", () => {
    const counts = { plans: 0, errors: 0 };
    fc.assert(
      fc.property(words, (words) => {
        try {
          assertPlan(processArgs(words, 5));
          counts.plans++;
        } catch (error) {
          if (!(error instanceof UsageError)) throw error;
          assertOneLine(error.message);
          counts.errors++;
        }
      }),
      { numRuns: 10_000 },
    );
    // Both happen: else the property would hold for a function that does
    // nothing.
    assert(Math.min(counts.plans, counts.errors) > 500, JSON.stringify(counts));
  });

  const plan = (...words: string[]) => processArgs(words, 5);
  const limit = fc.integer({ min: 1, max: 1000 }).map(String);
  const label = fc.constantFrom("REMOTE", "LOCAL", "DELAY", "ERROR");

  it("reads all spellings of an option alike", () => {
    fc.assert(fc.property(limit, label, (n, label) => {
      const plans = [
        ["-al", n, "-s", label],
        [`-al${n}`, `-s${label.toLowerCase()}`],
        ["-a", "-l", n, "--server", label],
        ["--all", `--limit=${n}`, `--server=${label}`],
        [`-s=${label}`, "--limit", n, "-a"],
      ].map((words) => plan(...words));
      for (const other of plans) assertEquals(other, plans[0]!);
    }));
  });

  it("takes the options in any order", () => {
    const options = [["-a"], ["-l", "7"], ["-m9"], ["-s", "error"], ["-v"]];
    const expected = plan(...options.flat());
    const orders = fc.shuffledSubarray(options, { minLength: options.length });
    fc.assert(fc.property(orders, (options) => {
      assertEquals(plan(...options.flat()), expected);
    }));
  });

  it("takes the last of a repeated option", () => {
    fc.assert(fc.property(fc.array(limit, { minLength: 1 }), (limits) => {
      const repeated = limits.flatMap((n) => ["-l", n]);
      assertEquals(plan("-e", ...repeated), plan("-e", "-l", limits.at(-1)!));
    }));
  });

  it("takes no option after --", () => {
    fc.assert(fc.property(words, (words) => {
      try {
        const { ccList, ...rest } = plan("--", ...words);
        const { ccList: _, ...defaults } = plan();
        assertEquals(rest, defaults);
        assert(ccList.length > 0);
      } catch (error) {
        if (!(error instanceof UsageError)) throw error;
        assert(error.message.startsWith("CC must be "), error.message);
      }
    }));
  });
});

describe("the scripts, given any command line,", () => {
  // What the system can hand to a process: no NUL, no lone surrogate.
  const passable = words.map((words) =>
    words.map((word) => word.toWellFormed().replaceAll("\0", ""))
  );
  const isBad = (line: string[]) => {
    try {
      processArgs(line, 5);
      return false;
    } catch {
      return true;
    }
  };
  // -h counts whatever else is wrong.
  const good = passable.map((words) => ["-h", ...words]);
  const bad = passable.filter(isBad);

  it("show the help, or one error and the usage, and create nothing", async () => {
    await using folder = new TemporaryFolder();
    const lines = [...fc.sample(good, 12), ...fc.sample(bad, 12)];
    const check = async (i: number) => {
      const line = lines[i]!;
      const script = SCRIPTS[i % SCRIPTS.length]!;
      const options = { cwd: folder.path };
      const { code, stdout, stderr } = await run(script, line, options);
      const what = JSON.stringify(line);
      if (i < 12) {
        assertEquals([code, stderr], [0, ""], what);
        assert(stdout.startsWith("usage: flags2_"), what);
      } else {
        assertEquals([code, stdout], [2, ""], what);
        const [error, usage, ...rest] = stderr.split("\n");
        assert(error!.startsWith("*** Usage error: "), what + stderr);
        assertOneLine(error!);
        assert(usage!.startsWith("usage: flags2_"), what + stderr);
        assertEquals(rest, [""], what);
      }
    };
    for await (const _ of pooledMap(3, lines.keys(), check));
    assertEquals(await folder.list("."), []);
  });
});
