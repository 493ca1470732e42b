import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  Counter,
  DEFAULT_SERVER,
  DEST_DIR,
  expandCcArgs,
  finalReport,
  initialReport,
  POP20_CC,
  SERVERS,
} from "../flags2_common.ts";

const COUNTRY_CODES = expandCcArgs(false, true, []);

it("the constants have the chapter's values", () => {
  const top20 = "CN IN US ID BR PK NG BD RU JP MX PH VN ET EG DE IR TR CD FR";
  assertEquals(POP20_CC, top20.split(" "));
  assertEquals([DEFAULT_SERVER, DEST_DIR], ["LOCAL", "downloads"]);
  assertEquals(SERVERS, {
    REMOTE: "http://flupy.org/data/flags",
    LOCAL: "http://localhost:8001/flags",
    DELAY: "http://localhost:8002/flags",
    ERROR: "http://localhost:8003/flags",
  });
});

describe("expandCcArgs", () => {
  it("returns 194 codes with a flag, from AD to ZW", () => {
    assertEquals([0, 99, 193].map((i) => COUNTRY_CODES[i]), ["AD", "LK", "ZW"]);
    const known = (cc: string) => COUNTRY_CODES.includes(cc);
    assert(["TW", "VA", ...POP20_CC].every(known) && !known("DO"));
  });

  type Given = Parameters<typeof expandCcArgs>;
  const table: [Given, first: string, last: string, size: number][] = [
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
      assertEquals(codes, [...new Set(codes)].sort());
      assertEquals(codes.length, size);
    });
  }
});

describe("initialReport", () => {
  const ten = COUNTRY_CODES.slice(0, 10);
  const table: [...Parameters<typeof initialReport>, lines: string[]][] = [
    [["BR"], 1, "LOCAL", [
      "LOCAL site: http://localhost:8001/flags",
      "Searching for 1 flag: BR",
      "1 concurrent connection will be used.",
    ]],
    [ten, 2, "DELAY", [
      "DELAY site: http://localhost:8002/flags",
      `Searching for 10 flags: ${ten.join(", ")}`,
      "2 concurrent connections will be used.",
    ]],
    [COUNTRY_CODES.slice(0, 11), 11, "http://localhost:9000/flags", [
      "localhost:9000 site: http://localhost:9000/flags",
      "Searching for 11 flags: from AD to AZ",
      "11 concurrent connections will be used.",
    ]],
  ];
  for (const [codes, concurReq, server, lines] of table) {
    it(`returns "${lines.join(" ")}"`, () => {
      const report = initialReport(codes, concurReq, server);
      assertEquals(report, lines.join("\n"));
    });
  }
});

describe("finalReport", () => {
  const table: [Counter, notFinished: number, lines: string][] = [
    [new Counter(20), 0, "20 flags downloaded."],
    [new Counter(1, 0, 1), 1, "1 flag downloaded.|1 error.|1 not finished."],
    [new Counter(0, 35, 27), 0, "0 flags downloaded.|35 not found.|27 errors."],
  ];
  for (const [counter, notFinished, lines] of table) {
    it(`returns "${lines}"`, () => {
      const elapsed = "Elapsed time: 2.10s";
      const report = ["-".repeat(20), ...lines.split("|"), elapsed].join("\n");
      assertEquals(finalReport(counter, notFinished, 2.096), report);
    });
  }
});
