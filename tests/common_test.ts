import { assert, assertEquals, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  Counter,
  DEFAULT_SERVER,
  DEST_DIR,
  expandCcArgs,
  finalReport,
  initialReport,
  POP20_CC,
  processArgs,
  SERVERS,
} from "../flags2_common.ts";
import { UsageError } from "../lib/argparse.ts";

const COUNTRY_CODES = expandCcArgs(false, true, []);

describe("constants", () => {
  it("are the chapter's", () => {
    assertEquals(POP20_CC.length, 20);
    assertEquals(DEFAULT_SERVER, "LOCAL");
    assertEquals(DEST_DIR, "downloads");
    assertEquals(SERVERS, {
      REMOTE: "http://flupy.org/data/flags",
      LOCAL: "http://localhost:8001/flags",
      DELAY: "http://localhost:8002/flags",
      ERROR: "http://localhost:8003/flags",
    });
  });
});

describe("expandCcArgs", () => {
  it("knows 194 codes with a flag, the first AD, the 100th LK, the last ZW", () => {
    assertEquals(COUNTRY_CODES.length, 194);
    assertEquals(new Set(COUNTRY_CODES).size, 194);
    assertEquals(COUNTRY_CODES, COUNTRY_CODES.toSorted());
    assertEquals([0, 99, 193].map((i) => COUNTRY_CODES[i]), ["AD", "LK", "ZW"]);
    for (const cc of ["TW", "VA", ...POP20_CC]) {
      assert(COUNTRY_CODES.includes(cc), cc);
    }
    assert(!COUNTRY_CODES.includes("DO"));
  });

  it("knows 676 possible codes, AA to ZZ", () => {
    const every = expandCcArgs(true, false, []);
    assertEquals(new Set(every).size, 676);
    assertEquals([every.at(0), every.at(-1)], ["AA", "ZZ"]);
  });

  const table: [
    given: Parameters<typeof expandCcArgs>,
    first: string,
    last: string,
    size: number,
  ][] = [
    [[false, false, []], "BD", "VN", 20],
    [[false, false, [], 3], "BD", "CD", 3],
    [[false, false, ["a", "b", "c"]], "AA", "CZ", 78],
    [[false, false, ["us", "BR", "Us"]], "BR", "US", 2],
    [[false, false, ["br", "b"]], "BA", "BZ", 26],
    [[false, true, ["zz"]], "AD", "ZW", 194],
    [[false, true, [], 100], "AD", "LK", 100],
    [[true, true, ["zz"]], "AA", "ZZ", 676],
    [[true, false, [], 1000], "AA", "ZZ", 676],
  ];
  for (const [given, first, last, size] of table) {
    it(`turns ${JSON.stringify(given)} into ${size} codes`, () => {
      const codes = expandCcArgs(...given);
      assertEquals([codes.at(0), codes.at(-1)], [first, last]);
      assertEquals(codes.length, size);
    });
  }
});

describe("processArgs", () => {
  const defaults = {
    help: false,
    ccList: expandCcArgs(false, false, []),
    maxReq: 5,
    server: "LOCAL",
    timeout: 10,
    verbose: false,
  };
  const top100 = COUNTRY_CODES.slice(0, 100);

  const good: [line: string, differs: Partial<typeof defaults>][] = [
    ["", {}],
    ["-al 100", { ccList: top100 }],
    ["-al100", { ccList: top100 }],
    ["-al=100", { ccList: top100 }],
    ["-l100 -a", { ccList: top100 }],
    ["-a -l 0100", { ccList: top100 }],
    ["--all --limit=100", { ccList: top100 }],
    ["--all --limit 100", { ccList: top100 }],
    ["-a -l 7 -l 100", { ccList: top100 }],
    ["-a -l 9007199254740991", { ccList: COUNTRY_CODES }],
    ["-m 100", { maxReq: 100 }],
    ["-m100", { maxReq: 100 }],
    ["--max_req 100", { maxReq: 100 }],
    ["--max-req=100", { maxReq: 100 }],
    ["--max-req 3 -m 100", { maxReq: 100 }],
    ["-s DELAY", { server: "DELAY" }],
    ["-s error", { server: "ERROR" }],
    ["-sReMoTe", { server: "REMOTE" }],
    ["--server=local", { server: "LOCAL" }],
    ["-s http://h:9/flags", { server: "http://h:9/flags" }],
    ["-s HTTPS://H/Flags/", { server: "https://h/Flags" }],
    ["-s http://localhost", { server: "http://localhost" }],
    ["-s http://[::1]:80//", { server: "http://[::1]" }],
    ["-s DELAY -s ERROR", { server: "ERROR" }],
    ["-t 1.5", { timeout: 1.5 }],
    ["-t .5", { timeout: 0.5 }],
    ["--timeout=86400", { timeout: 86400 }],
    ["-v", { verbose: true }],
    ["-vv", { verbose: true }],
    ["-h", { help: true }],
    ["br Us", { ccList: ["BR", "US"] }],
    ["-- br us", { ccList: ["BR", "US"] }],
    ["--lim 100 --al", { ccList: top100 }],
    ["--m=9 --verb", { maxReq: 9, verbose: true }],
    ["us -v br", { ccList: ["BR", "US"], verbose: true }],
    ["-vhal1", { help: true }],
    ["-l 0 -x --he no", { help: true }],
  ];
  for (const [line, differs] of good) {
    it(`takes ${line || "nothing"}`, () => {
      const words = line.split(" ").filter(Boolean);
      assertEquals(processArgs(words, 5) as unknown, {
        ...defaults,
        ...differs,
      });
    });
  }

  const labels =
    "DELAY, ERROR, LOCAL, REMOTE, or an http(s) URL without query " +
    "and credentials";
  const bad: [words: string[], message: string][] = [
    [["-x"], "unknown option -x"],
    [["-ax"], "unknown option -ax"],
    [["--nothing"], "unknown option --nothing"],
    [["--limits=3"], "unknown option --limits=3"],
    [["--__proto__"], "unknown option --__proto__"],
    [["--constructor=1"], "unknown option --constructor=1"],
    [["-l"], "--limit N needs a value"],
    [["-l", "-v"], "--limit N needs a value"],
    [["-l", "--", "5"], "--limit N needs a value"],
    [["--limit="], "--limit N needs a value"],
    [["-l", "0"], "--limit N must be >= 1, not 0"],
    [["-l", "-1"], "--limit N must be >= 1, not -1"],
    [["-l", "1.5"], "--limit N must be a whole number, not 1.5"],
    [["-l", "x"], "--limit N must be a whole number, not x"],
    [["-lx"], "--limit N must be a whole number, not x"],
    [
      ["-l", "9007199254740993"],
      "--limit N must be <= 9007199254740991, not 9007199254740993",
    ],
    [["-l", "0x10"], "--limit N must be a whole number, not 0x10"],
    [["-m", "1e3"], "--max_req CONCURRENT must be a whole number, not 1e3"],
    [["-m", "0"], "--max_req CONCURRENT must be >= 1, not 0"],
    [["-m"], "--max_req CONCURRENT needs a value"],
    [["-t", "0"], "--timeout SECONDS must be > 0, not 0"],
    [["-t", "-3"], "--timeout SECONDS must be > 0, not -3"],
    [["-t", "Infinity"], "--timeout SECONDS must be a number, not Infinity"],
    [["-t", "86401"], "--timeout SECONDS must be <= 86400, not 86401"],
    [["-s", "nowhere"], `--server LABEL must be one of ${labels}, not nowhere`],
    [
      ["-s", "toString"],
      `--server LABEL must be one of ${labels}, not toString`,
    ],
    ...[
      "ftp://localhost/flags",
      "localhost:9000",
      "http://",
      "http://h/flags?x=1",
      "http://h/flags?",
      "http://h/flags#x",
      "http://me@h/flags",
      "http://me:pw@h/",
    ].map((url): [string[], string] => [
      ["-s", url],
      `--server LABEL must be one of ${labels}, not ${url}`,
    ]),
    [["-s"], "--server LABEL needs a value"],
    [["--" + "=5"], "unknown option --=5"],
    [["-a=1"], "--all takes no value, not 1"],
    [["--all=true"], "--all takes no value, not true"],
    [["-a", "true"], "CC must be A to Z or AA to ZZ, not true"],
    [["ABC"], "CC must be A to Z or AA to ZZ, not ABC"],
    [["1"], "CC must be A to Z or AA to ZZ, not 1"],
    [["É"], "CC must be A to Z or AA to ZZ, not É"],
    [["ß"], "CC must be A to Z or AA to ZZ, not ß"],
    [["-"], "CC must be A to Z or AA to ZZ, not -"],
    [[""], 'CC must be A to Z or AA to ZZ, not ""'],
    [["a b"], 'CC must be A to Z or AA to ZZ, not "a b"'],
    [["\x1b[2J"], String.raw`CC must be A to Z or AA to ZZ, not "\u001b[2J"`],
    [["a\nb"], String.raw`CC must be A to Z or AA to ZZ, not "a\nb"`],
    [["-a", "nix"], "CC must be A to Z or AA to ZZ, not nix"],
    [["x".repeat(99)], `CC must be A to Z or AA to ZZ, not ${"x".repeat(40)}…`],
  ];
  for (const [words, message] of bad) {
    it(`refuses ${JSON.stringify(words)}`, () => {
      const error = assertThrows(() => processArgs(words, 5), UsageError);
      assertEquals(error.message, message);
    });
  }
});

describe("a line of 20,000 letters", () => {
  it("is read in one pass", () => {
    const t0 = performance.now();
    processArgs(["-" + "v".repeat(20_000)], 5);
    processArgs(Array(20_000).fill("-v"), 5);
    // It took 8 s when each letter copied the others.
    assert(performance.now() - t0 < 4000);
  });
});

describe("initialReport", () => {
  it("names the site, up to ten codes and the connections", () => {
    assertEquals(
      initialReport(["BR", "US"], 1, "LOCAL"),
      `LOCAL site: http://localhost:8001/flags
Searching for 2 flags: BR, US
1 concurrent connection will be used.`,
    );
    const ten = COUNTRY_CODES.slice(0, 10);
    assert(initialReport(ten, 2, "DELAY").includes(ten.join(", ")));
  });

  it("names the first and the last of more than ten codes", () => {
    assertEquals(
      initialReport(COUNTRY_CODES.slice(0, 100), 100, "ERROR"),
      `ERROR site: http://localhost:8003/flags
Searching for 100 flags: from AD to LK
100 concurrent connections will be used.`,
    );
  });

  it("names the host of a site that has no label", () => {
    const report = initialReport(["BR"], 1, "http://localhost:9000/flags");
    assert(
      report.startsWith("localhost:9000 site: http://localhost:9000/flags\n"),
    );
  });

  it("can count to one", () => {
    assert(initialReport(["BR"], 1, "LOCAL").includes("for 1 flag: BR"));
  });
});

describe("finalReport", () => {
  const dashes = "--------------------";
  const table: [
    counts: [ok: number, notFound: number, error: number, notTried: number],
    elapsed: number,
    lines: string[],
  ][] = [
    [[20, 0, 0, 0], 0.1, ["20 flags downloaded.", "Elapsed time: 0.10s"]],
    [[1, 1, 1, 1], 1.726, [
      "1 flag downloaded.",
      "1 not found.",
      "1 error.",
      "1 not tried.",
      "Elapsed time: 1.73s",
    ]],
    [[0, 0, 27, 12], 75, [
      "0 flags downloaded.",
      "27 errors.",
      "12 not tried.",
      "Elapsed time: 75.00s",
    ]],
    [[43, 35, 0, 0], 1.6, [
      "43 flags downloaded.",
      "35 not found.",
      "Elapsed time: 1.60s",
    ]],
  ];
  for (const [[ok, not_found, error, notTried], elapsed, lines] of table) {
    it(`says ${lines.join(" ")}`, () => {
      const counter = new Counter(ok, not_found, error);
      assertEquals(
        finalReport(counter, notTried, elapsed),
        [dashes, ...lines].join("\n"),
      );
    });
  }
});
