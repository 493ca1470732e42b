import { assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { type Args, expandCcArgs, processArgs } from "../flags2_common.ts";
import { UsageError } from "../lib/argparse.ts";

/** A command line, as a text to split at spaces or as words. */
type Line = string | string[];

function parse(line: Line): Args {
  return processArgs(typeof line === "string" ? line.split(" ") : line, 5);
}

describe("the command line", () => {
  const defaults: Args = {
    help: false,
    ccList: expandCcArgs(false, false, []),
    maxReq: 5,
    server: "LOCAL",
    timeout: 10,
    verbose: false,
  };
  const codes = expandCcArgs(false, true, []);
  const top100 = codes.slice(0, 100);
  const good: [differs: Partial<Args>, ...lines: Line[]][] = [
    [{}, []],
    [{ ccList: ["BD"] }, "-l 1", "-l5 -l=1"],
    [{ ccList: top100 }, "-al 100", "-l100 -a", "-a -l 1e2"],
    [{ ccList: top100 }, "-a -l 0100", "-a -l 7 -l 100"],
    [{ ccList: top100 }, "--all --limit=100", "--limit 100 --all"],
    [{ ccList: codes }, "-a", "--all -aa", "-a --limit 9007199254740991"],
    [{ ccList: ["BR", "US"] }, "br Us", "-- br us", "us -- br"],
    [{ maxReq: 100 }, "-m 100", "-m100", "--max_req 100", "--max-req=100"],
    [{ maxReq: 100 }, "--max-req 3 -m 100", "-m +100", "-m 1e2", "-m 100.0"],
    [{ maxReq: 9, verbose: true }, "-m=9 --verbose", "-vm 9", "-v -m 9 -vv"],
    [{ ccList: ["BR", "US"], verbose: true }, "us -v br"],
    [{ server: "ERROR" }, "-s error", "-s=ErRoR", "-s DELAY --server=ERROR"],
    [{ server: "https://h:9/Flags" }, "-s HTTPS://H:9/Flags/"],
    [{ server: "http://[::1]" }, "-s http://[::1]:80//"],
    [{ timeout: 0.5 }, "-t .5", "-t 0.5", "-t=5e-1", "--timeout 5E-1"],
    [{ timeout: 86400 }, "--timeout=86400"],
    [{ help: true }, "-h", "-vhal 1", "-hx -h", "-l 0 -x –a --help no -a=1 -s"],
  ];
  for (const [differs, ...lines] of good) {
    for (const line of lines) {
      it(`accepts ${line}`, () => {
        assertEquals<unknown>(parse(line), { ...defaults, ...differs });
      });
    }
  }

  const cc = "CC must be A to Z or AA to ZZ, not";
  const limit = "--limit N";
  const count = `${limit} must be a whole number >= 1, not`;
  const timeout = "--timeout SECONDS must be a number > 0 and <= 86400, not";
  const server = "--server LABEL must be one of DELAY, ERROR, LOCAL, REMOTE, " +
    "or an http(s) URL without a query or credentials, not";
  const hyphen = "begins with a dash, not a hyphen. Did you mean";
  const each = (words: string, message: string, line = "%") =>
    words.split(" ").map((word): [string, string] => [
      message.replace("%", word),
      line.replace("%", word),
    ]);
  const bad: [message: string, ...lines: Line[]][] = [
    ...each(
      "-x -ax -xa -xh -shttp://h/f -=br --nothing --limits=3",
      "unknown option %",
    ),
    ...each("--no-limit=5 --no-all --=5 --_ --__proto__", "unknown option %"),
    ...each("--constructor=1 --lim=3 -sDELAY", "unknown option %", "-l % 7 br"),
    ...each("-_ -1 -.5", "unknown option %", "-l % br"),
    [`${limit} needs a value`, "-l", "-l -v", "-l -- 5", "--limit=", "-l -l 5"],
    ["--max_req CONCURRENT needs a value", "-m", "-m=", ["-m", ""]],
    ["--server LABEL needs a value", "-s"],
    ["--all takes no value, but has 1", "-a=1", "--all=1", "-a=1 -a"],
    ["--all takes no value, but has true", "--all=true", "-a=true -a"],
    [
      "--all takes no value, but has false",
      "--all=false",
      "-a false",
      "-va false",
    ],
    ["--every takes no value, but has maybe", "--every=maybe", "-e=maybe"],
    ["--all takes no value, but has l100", "-al100"],
    ["--all takes no value, but has 100", "-al=100"],
    ['--all takes no value, but has ""', "--all=", "-a="],
    [
      "unexpected true: the option before it takes no value",
      "-a true",
      "--all true br",
    ],
    ...each("0 -1 1e-3 1e400", `${count} %`, "-l=%"),
    [`${count} -1`, "-l-1", "--limit=-1", "-l 5 -l=-1"],
    ...each("1.5 x 0x10 true", `${count} %`, "-l %"),
    ...each("0 -3 -.5 86401 1e9 Infinity 5s .", `${timeout} %`, "-t=%"),
    ...each("nowhere toString localhost:9000 http://", `${server} %`, "-s %"),
    ...each("ftp://h http://me@h/ http://me:pw@h/", `${server} %`, "-s %"),
    ...each("http://h/?x=1 http://h/f? http://h/#x", `${server} %`, "-s %"),
    ...each("ABC É ß 1 007 1e3 - – =br true", `${cc} %`),
    ...each("true nix -a -l5 =br", `${cc} %`, "-a -- %"),
    [`${cc} ""`, [""]],
    [`${cc} "a b"`, ["a b"]],
    [String.raw`${cc} "\u001b[2J"`, "\x1b[2J"],
    [String.raw`${cc} "a\nb"`, "a\nb"],
    [`${cc} ${"x".repeat(40)}…`, "x".repeat(99)],
    // A printed book may show dashes instead of hyphens.
    ...each("‐ ‑ ‒ – − ﹣ － — ― ﹘ ––", `%al ${hyphen} -al?`, "%al 100"),
    [`–all ${hyphen} --all?`, "–all"],
    [`—limit=5 ${hyphen} --limit=5?`, "—limit=5"],
    [`–max-req ${hyphen} --max-req?`, "–max-req 3"],
    [`${count} –5`, "-l –5"],
  ];
  for (const [message, ...lines] of bad) {
    for (const line of lines) {
      it(`rejects ${JSON.stringify(line)}`, () => {
        const error = assertThrows(() => parse(line), UsageError);
        assertEquals(error.message, message);
      });
    }
  }
});
