import { assert, assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { expandCcArgs } from "../flags2_common.ts";
import { assertFlags, bigFlag, type Fault, FaultSite } from "./fault_site.ts";
import {
  type Outcome,
  parseReport,
  ROOT,
  run,
  type Script,
  SCRIPTS,
  TemporaryFolder,
} from "./testing.ts";

/** Seconds, as in `--timeout`, where every answer is to be late. */
const TIMEOUT = 1;

/** The same where some are, and the others are not, on a busy machine, too. */
const LONG_TIMEOUT = 5;

/** The same where none is, however busy the machine. */
const PATIENCE = 60;

/** What `-v` says of a code: how a line starts, or goes on after `Error for`. */
const CLOSED = "Connection error: connection closed before message completed";
const TIMED_OUT = `Timed out after ${TIMEOUT} s`;
const INCOMPLETE = "Connection error: incomplete body";
const UNAVAILABLE = "HTTP error 503 - Service Unavailable";
const NO_REDIRECT = "Connection error: Can not redirect to a non HTTP(s) url";
const REFUSED = "tcp connect error: Connection refused";
const NO_GIF = "Not a whole GIF image";
const TOO_LARGE = "Body larger than 64 MB";
const OK = "OK";
const NOT_FOUND = "not found";

/** The rows of the table in docs/faults.md. */
const PROMISES: [promise: string, Fault, message: string][] = [
  ["a good answer is a flag", "good", OK],
  ["a connection closed at once is an error", "closed at once", CLOSED],
  ["a connection reset at once is an error", "reset at once", CLOSED],
  ["headers that break off are an error", "half the headers", CLOSED],
  ["a reset in mid-body is an error", "reset in mid-body", INCOMPLETE],
  ["a body shorter than promised is an error", "short body", INCOMPLETE],
  ["chunks that break off are an error", "chunks cut off", INCOMPLETE],
  ["a malformed chunk is an error", "bad chunk", INCOMPLETE],
  [
    "a malformed status line is an error",
    "bad status line",
    "Connection error: invalid HTTP status-code parsed",
  ],
  [
    "a malformed Content-Length is an error",
    "bad length",
    "Connection error: invalid content-length parsed",
  ],
  [
    "random bytes are an error",
    "random bytes",
    "Connection error: invalid HTTP version parsed",
  ],
  ["an HTML page is an error", "HTML page", NO_GIF],
  ["an empty body is an error", "empty body", NO_GIF],
  ["a flag whose length is not told is a flag", "no length", OK],
  [
    "a flag whose length is not told, cut short, is an error",
    "no length, cut short",
    NO_GIF,
  ],
  ["no answer in time is an error", "no answer", TIMED_OUT],
  ["no body in time is an error", "headers and silence", TIMED_OUT],
  ["a body too slow to end in time is an error", "byte by byte", TIMED_OUT],
  ["a redirect is followed", "redirect", OK],
  [
    "a redirect loop is an error",
    "redirect loop",
    "Connection error: Maximum number of redirects (20) reached",
  ],
  [
    "a redirect to a closed port is an error",
    "redirect to a closed port",
    `Connection error: ${REFUSED}`,
  ],
  [
    "a redirect to no URL is an error",
    "redirect to no URL",
    "Connection error: redirect to an invalid URL",
  ],
  ["a redirect to a file is an error", "redirect to a file", NO_REDIRECT],
  ["a redirect to a data: URL is an error", "redirect to data", NO_REDIRECT],
  [
    "a redirect that does not say where is an error",
    "redirect to nothing",
    "HTTP error 302 - Found",
  ],
  ["a redirect to 404 is not found", "redirect to 404", NOT_FOUND],
  ["204 is an error", "204", "HTTP error 204 - No Content"],
  ["206 is an error", "206", "HTTP error 206 - Partial Content"],
  ["304 is an error", "304", "HTTP error 304 - Not Modified"],
  ["403 is an error", "403", "HTTP error 403 - Forbidden"],
  ["404 is not found", "404", NOT_FOUND],
  ["410 is an error", "410", "HTTP error 410 - Gone"],
  ["418 is an error", "418", "HTTP error 418 - I'm a teapot"],
  [
    "429 is an error, and is not tried again",
    "429",
    "HTTP error 429 - Too Many Requests",
  ],
  ["500 is an error", "500", "HTTP error 500 - Internal Server Error"],
  ["503 is an error", "503", UNAVAILABLE],
  ["an unassigned status is an error", "599", "HTTP error 599 - Unassigned"],
  [
    "an empty reason phrase is replaced by the standard's",
    "503 without a reason",
    UNAVAILABLE,
  ],
  [
    "an odd reason phrase is replaced by the standard's",
    "503 with an odd reason",
    UNAVAILABLE,
  ],
  [
    "a very long reason phrase is replaced by the standard's",
    "503 with a long reason",
    UNAVAILABLE,
  ],
  [
    "an HTTP error whose body breaks off is that HTTP error",
    "503 with half a body",
    UNAVAILABLE,
  ],
  [
    "an HTTP error whose body never ends is that HTTP error, at once",
    "503 and silence",
    UNAVAILABLE,
  ],
  [
    "a body that is not in the gzip announced is an error",
    "false gzip",
    "Connection error: Invalid gzip header",
  ],
  [
    "a body that is not in the brotli announced is an error",
    "false br",
    "Connection error: brotli error",
  ],
  [
    "a coding that fetch leaves undecoded is an error",
    "unknown coding",
    "Unknown content coding: zstd",
  ],
  [
    "two codings, which fetch leaves undecoded, are an error",
    "two codings",
    'Unknown content coding: "gzip, gzip"',
  ],
  ["the coding identity is no coding", "identity coding", OK],
  ["the coding none is no coding, in any case", "coding none", OK],
  ["a coding without a name is no coding", "empty coding", OK],
  ["a zipped flag is a flag", "gzip", OK],
  ["x-gzip is gzip", "x-gzip", OK],
  ["x-gzip is gzip in any case, with spaces", "X-GZip and spaces", OK],
  [
    "a body that is not in the x-gzip announced is an error",
    "false x-gzip",
    "Connection error: invalid gzip header",
  ],
  [
    "gzip as a transfer coding, which fetch leaves undecoded, is an error",
    "gzip as transfer coding",
    NO_GIF,
  ],
];

/** Bodies that are longer than any flag, or never end. */
const UNBOUNDED: Fault[] = [
  "too big",
  "gzip bomb",
  "x-gzip bomb",
  "endless body",
  "endless chunks",
];

/** Each script, with the number of its connections. */
const STYLES: [Script, concurReq: number][] = [
  ["sequential", 1],
  ["threadpool", 1],
  ["threadpool", 30],
  ["asyncio", 100],
];

const EVERY_CC = expandCcArgs(true, false, []);

/** The rows, each with two codes that meet its fault, and one that does not. */
const ROWS = PROMISES.map(([promise, fault, message], i) => ({
  promise,
  fault,
  message,
  bad: EVERY_CC.slice(3 * i, 3 * i + 2),
  good: EVERY_CC[3 * i + 2]!,
}));
type Row = typeof ROWS[number];

/** A verbose run of a script, and what came of it. */
interface Run extends Outcome {
  style: string;
  codes: string[];
  timeout: number;
  /** What is said of the codes, sorted. */
  lines: string[];
  /** The codes whose flags are saved: whole, and nothing beside them is. */
  saved: string[];
  /** The codes that the site was asked for. */
  requests: string[];
}

async function download(
  [script, concurReq]: [Script, number],
  codes: string[],
  timeout: number,
  site: FaultSite,
): Promise<Run> {
  await using folder = new TemporaryFolder();
  const limits = ["-t", `${timeout}`, "-m", `${concurReq}`];
  const args = ["-v", "-s", site.url, ...limits, ...codes];
  const outcome = await run(script, args, { cwd: folder.path });
  const lines = outcome.stdout.split("\n");
  const saved = (await folder.list()).map((name) =>
    name.replace(/\.gif$/, "").toUpperCase()
  );
  await assertFlags(folder, saved);
  return {
    ...outcome,
    style: `${script} -m ${concurReq} -t ${timeout}`,
    codes,
    timeout,
    lines: lines.slice(3, lines.indexOf("-".repeat(20))).sort(),
    saved,
    requests: site.requests,
  };
}

/** `Promise.all`, but a failure waits for the others to clean up, too. */
async function all<T>(promises: Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(promises);
  return await Promise.all(promises);
}

/**
 * Two runs of a style that meet all faults: one where every answer that is to
 * come does come, and one where some are late.
 */
async function downloadAll(style: [Script, number]): Promise<Run[]> {
  await using site = new FaultSite(
    Object.fromEntries(
      ROWS.flatMap(({ fault, bad }) => bad.map((cc) => [cc, fault])),
    ),
  );
  const late = ROWS.filter(({ message }) => message === TIMED_OUT);
  const prompt = ROWS.filter((row) => !late.includes(row));
  const codes = (rows: Row[]) =>
    rows.flatMap(({ bad, good }) => [...bad, good]);
  const [, concurReq] = style;
  return await all([
    download(style, codes(prompt), PATIENCE, site),
    concurReq === 1
      ? download(style, late.map(({ bad }) => bad[0]!), TIMEOUT, site)
      : download(style, codes(late), LONG_TIMEOUT, site),
  ]);
}

let runs: Promise<Run[]> | undefined;

/** All that the rows are about, in eight runs: made by the first to ask. */
function sharedRuns(): Promise<Run[]> {
  return runs ??= all(STYLES.map(downloadAll)).then((runs) => runs.flat());
}

/** The line of a code in a verbose run. */
function line(cc: string, message: string): string {
  return message === OK || message === NOT_FOUND
    ? `${cc} ${message}`
    : `*** Error for ${cc}: ${message}`;
}

describe("Of the three scripts, among good answers,", () => {
  for (const { promise, fault, message, bad, good } of ROWS) {
    it(promise, async () => {
      const about = (cc: string) => [...bad, good].includes(cc);
      const runs = (await sharedRuns()).filter(({ codes }) =>
        codes.some(about)
      );
      assertEquals(runs.length, STYLES.length);
      for (const { style, codes, timeout, lines, saved, requests } of runs) {
        const said = message === TIMED_OUT
          ? `Timed out after ${timeout} s`
          : message;
        const expected = codes.filter(about).map((cc) =>
          line(cc, cc === good ? OK : said)
        );
        assertEquals(
          lines.filter((line) => about(line.match(/\b[A-Z]{2}\b/)![0])),
          expected.sort(),
          style,
        );
        assertEquals(
          saved.filter(about),
          codes.filter(about).filter((cc) => cc === good || message === OK),
          style,
        );
        if (fault !== "429") continue;
        assertEquals(requests.filter((cc) => bad.includes(cc)).sort(), bad);
      }
    });
  }

  it("all faults at once add up, at -m 1, 30 and 100", async () => {
    for (const { style, code, stdout, stderr, ...run } of await sharedRuns()) {
      assertEquals([code, stderr], [0, ""], style);
      const { flags, notFound, errors, notTried } = parseReport(stdout);
      const words = (word: string) =>
        run.lines.filter((line) => line.endsWith(word)).length;
      assertEquals(
        [flags, notFound, notTried],
        [words(" OK"), words("not found"), 0],
        style,
      );
      assertEquals(flags + notFound + errors, run.codes.length, style);
      assertEquals(run.lines.length, run.codes.length, style);
      assertEquals(run.saved.length, flags, style);
    }
  });

  it("a body of 50 MB is a flag", async () => {
    const expected = await crypto.subtle.digest("SHA-256", bigFlag());
    for (const script of SCRIPTS) {
      await using site = new FaultSite({ BR: "big" });
      await using folder = new TemporaryFolder();
      const args = ["-s", site.url, "-t", `${PATIENCE}`, "BR"];
      const { stdout } = await run(script, args, { cwd: folder.path });
      assertEquals(parseReport(stdout).flags, 1);
      const saved = await Deno.readFile(`${folder.path}/downloads/br.gif`);
      assertEquals(await crypto.subtle.digest("SHA-256", saved), expected);
    }
  });

  for (const fault of UNBOUNDED) {
    it(`a body larger than 64 MB is an error: ${fault}`, async () => {
      for (const style of STYLES) {
        await using site = new FaultSite({ BR: fault });
        const { code, lines, saved } = //
          await download(style, ["BR", "US"], PATIENCE, site);
        assertEquals(code, 0);
        assertEquals(lines, [line("BR", TOO_LARGE), line("US", OK)].sort());
        assertEquals(saved, ["US"]);
      }
    });
  }

  it("a server that dies leaves the flags before and errors after", async () => {
    await all(STYLES.map(async (style) => {
      await using site = new FaultSite({}, { dieAfter: 5 });
      const codes = EVERY_CC.slice(0, 10);
      const { code, stdout, stderr, lines, saved } = //
        await download(style, codes, PATIENCE, site);
      assertEquals([code, stderr], [0, ""]);
      const { flags, errors } = parseReport(stdout);
      assertEquals(flags + errors, codes.length);
      assert(style[1] > 1 ? flags <= 5 : flags === 5, stdout);
      const done = lines.filter((line) => line.endsWith(" OK"));
      assertEquals(done, saved.map((cc) => line(cc, OK)));
    }));
  });
});

describe("Of the three scripts, when every answer is bad,", () => {
  const CODES = ["BR", "US"];

  /** Run a script; what holds for each is asserted here. */
  async function fail(
    script: Script,
    args: string[],
    url: string,
  ): Promise<string> {
    await using folder = new TemporaryFolder();
    const words = ["-s", url, ...args, "-m", "2", ...CODES];
    const options = { cwd: folder.path };
    const { code, stdout, stderr } = await run(script, words, options);
    assertEquals([code, stderr], [0, ""], stdout);
    assertEquals(await folder.list(), []);
    return stdout;
  }

  const table: [Fault, notFound: number, timeout: number][] = [
    ["closed at once", 0, PATIENCE],
    ["404", CODES.length, PATIENCE],
    ["no answer", 0, TIMEOUT],
    ["false gzip", 0, PATIENCE],
  ];
  for (const [fault, notFound, timeout] of table) {
    it(`the bar ends all the same: ${fault}`, async () => {
      await all(SCRIPTS.map(async (script) => {
        await using site = new FaultSite({ "*": fault });
        const stdout = await fail(script, ["-t", `${timeout}`], site.url);
        const { elapsed: _, ...counts } = parseReport(stdout);
        const errors = CODES.length - notFound;
        assertEquals(counts, { flags: 0, notFound, errors, notTried: 0 });
        assertMatch(stdout, /^100%\|█{10}\| 2\/2 \[.*\]$/m);
      }));
    });
  }

  it("a refused connection is an error", async () => {
    await using site = new FaultSite();
    await all(SCRIPTS.map(async (script) => {
      const stdout = await fail(script, ["-v"], site.closedUrl);
      assertEquals(
        stdout.split("\n").slice(3, 5).sort(),
        CODES.map((cc) => line(cc, `Connection error: ${REFUSED}`)),
      );
    }));
  });
});

describe("docs/faults.md", () => {
  it("has a row for each fault, as it is tested here", async () => {
    const page = await Deno.readTextFile(`${ROOT}/docs/faults.md`);
    const rows = page.matchAll(
      /^\| (.+?) +\| `(.+?)` +\| .+? \| (.+?) +\|$/gm,
    );
    const said = [...rows].map(([, fault, message, promise]) =>
      [promise, fault, message].join()
    );
    for (const row of PROMISES) assert(said.includes(row.join()), row.join());
    assertEquals(said.length, PROMISES.length + 4);
  });
});
