import { assert, assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { assertFlags, BIG, type Fault, FaultSite } from "./fault_site.ts";
import {
  parseReport,
  ROOT,
  run,
  type Script,
  SCRIPTS,
  TemporaryFolder,
} from "./testing.ts";

/** Seconds, as in `--timeout`, where an answer is to be late. */
const TIMEOUT = 1;

/** The same where none is, however busy the machine. */
const PATIENCE = 60;

/** What a slow machine may add to a run, in seconds. */
const SLACK = 20;

const GOOD = ["AA", "AB", "BA", "BB", "CC", "DD", "EE", "ZZ"];
const BAD = ["AC", "ZA"];

/** What `-v` says of a code: how a line starts, or goes on after `Error for`. */
const CLOSED = "Connection error: connection closed before message completed";
const TIMED_OUT = `Timed out after ${TIMEOUT} s`;
const INCOMPLETE = "Connection error: incomplete body";
const UNAVAILABLE = "HTTP error 503 - Service Unavailable";
const NO_REDIRECT = "Connection error: Can not redirect to a non HTTP(s) url";
const REFUSED = "tcp connect error: Connection refused";
const OK = "OK";
const NOT_FOUND = "not found";

/** The rows of the README's table. */
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
  ["an unassigned status is an error", "599", "HTTP error 599"],
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
];

/** Every number of connections that is tried, for each script. */
const STYLES: [Script, concurReq: number][] = [
  ["sequential", 1],
  ["threadpool", 1],
  ["threadpool", 30],
  ["threadpool", 100],
  ["asyncio", 1],
  ["asyncio", 30],
  ["asyncio", 100],
];

/** One of them for each script. */
const MIXED = [STYLES[0]!, STYLES[2]!, STYLES[6]!];

/** How to run {@linkcode download}. */
interface Download {
  script: Script;
  concurReq: number;
  codes: string[];
  /** Those among them that are to be saved. */
  good: string[];
  site: FaultSite;
  args?: string[];
  timeout?: number;
}

/** Run a script; what holds for every run is asserted here. */
async function download(
  { script, concurReq, codes, good, site, args = [], timeout = PATIENCE }:
    Download,
): Promise<{ lines: string[]; stdout: string }> {
  await using folder = new TemporaryFolder();
  const t0 = performance.now();
  const { code, stdout, stderr } = await run(
    script,
    ["-t", `${timeout}`, "-m", `${concurReq}`, ...args, ...codes],
    { cwd: folder.path, servers: { LOCAL: site.url, REMOTE: site.closedUrl } },
  );
  const elapsed = (performance.now() - t0) / 1000;

  assertEquals([code, stderr], [0, ""], stdout);
  const { flags, notFound, errors, notTried } = parseReport(stdout);
  assertEquals([flags, notTried], [good.length, 0], stdout);
  assertEquals(flags + notFound + errors, codes.length, stdout);
  assert(elapsed < Math.ceil(codes.length / concurReq) * timeout + SLACK);
  await assertFlags(folder, good);
  const lines = stdout.split("\n");
  return {
    lines: lines.slice(3, lines.indexOf("-".repeat(20))).sort(),
    stdout,
  };
}

/** `Promise.all`, but a failure waits for the others to clean up, too. */
async function all(promises: Promise<void>[]): Promise<void> {
  for (const outcome of await Promise.allSettled(promises)) {
    if (outcome.status === "rejected") throw outcome.reason;
  }
}

/** The line of a code in a verbose run. */
function line(cc: string, message: string): string {
  return message === OK || message === NOT_FOUND
    ? `${cc} ${message}`
    : `*** Error for ${cc}: ${message}`;
}

describe("Of the three scripts, alone and among good answers,", () => {
  for (const [promise, fault, message] of PROMISES) {
    it(promise, async () => {
      const faults = Object.fromEntries(BAD.map((cc) => [cc, fault]));
      const saved = message === OK ? BAD : [];
      const timeout = message === TIMED_OUT ? TIMEOUT : PATIENCE;
      const mixed = MIXED.map(async ([script, concurReq]) => {
        await using site = new FaultSite(faults);
        const codes = [...GOOD, ...BAD];
        const good = [...GOOD, ...saved];
        const args = ["-v"];
        const options = { script, concurReq, codes, good, site, args, timeout };
        const { lines } = await download(options);
        const expected = [
          ...GOOD.map((cc) => line(cc, OK)),
          ...BAD.map((cc) => line(cc, message)),
        ];
        assertEquals(lines, expected.sort());
        if (fault !== "429") return;
        assertEquals(site.requests.toSorted(), codes.toSorted());
      });
      const alone = SCRIPTS.map(async (script) => {
        await using site = new FaultSite({ "*": fault });
        const { stdout } = await download({
          script,
          concurReq: 2,
          codes: BAD,
          good: saved,
          site,
          timeout,
        });
        const { notFound } = parseReport(stdout);
        assertEquals(notFound, message === NOT_FOUND ? BAD.length : 0);
        assertMatch(stdout, /^100%\|█{10}\| 2\/2 \[.*\]$/m);
      });
      await all([...mixed, ...alone]);
    });
  }

  it("a refused connection is an error", async () => {
    for (const [script, concurReq] of MIXED) {
      await using site = new FaultSite();
      const args = ["-v", "-s", "REMOTE"];
      const options = { script, concurReq, codes: BAD, good: [], site, args };
      const { lines } = await download(options);
      const message = `Connection error: ${REFUSED}`;
      assertEquals(lines, BAD.map((cc) => line(cc, message)));
    }
  });

  it("a body of 50 MB is a flag", async () => {
    const body = new Uint8Array(BIG).fill(0x47);
    const expected = await crypto.subtle.digest("SHA-256", body);
    for (const script of SCRIPTS) {
      await using site = new FaultSite({ BR: "big" });
      await using folder = new TemporaryFolder();
      const servers = { LOCAL: site.url };
      const { stdout } = await run(script, ["BR"], {
        cwd: folder.path,
        servers,
      });
      assertEquals(parseReport(stdout).flags, 1);
      const saved = await Deno.readFile(`${folder.path}/downloads/br.gif`);
      assertEquals(await crypto.subtle.digest("SHA-256", saved), expected);
    }
  });

  it("a server that dies leaves the flags before and errors after", async () => {
    await all(STYLES.map(async ([script, concurReq]) => {
      await using site = new FaultSite({}, { dieAfter: 5 });
      await using folder = new TemporaryFolder();
      const codes = [...GOOD, ...BAD];
      const { code, stdout, stderr } = await run(
        script,
        ["-v", "-m", `${concurReq}`, ...codes],
        { cwd: folder.path, servers: { LOCAL: site.url } },
      );
      assertEquals([code, stderr], [0, ""]);
      const { flags, errors } = parseReport(stdout);
      assertEquals(flags + errors, codes.length);
      assert(concurReq > 1 ? flags <= 5 : flags === 5, stdout);
      await assertFlags(folder, stdout.match(/^[A-Z]{2}(?= OK$)/gm) ?? []);
    }));
  });

  it("all faults at once add up, at -m 1, 30 and 100", async () => {
    const quick = PROMISES.filter(([, , message]) => message !== TIMED_OUT);
    const slow = PROMISES.filter(([, , message]) => message === TIMED_OUT);
    const timeout = 4 * TIMEOUT; // Seven runs share the machine.
    const faults: Record<string, Fault> = {};
    const expected: string[] = [];
    for (const [i, [, fault, message]] of [...quick, ...slow].entries()) {
      const cc = "ABCDE"[Math.floor(i / 10)]! + "ABCDEFGHIJ"[i % 10]!;
      faults[cc] = fault;
      const late = message === TIMED_OUT;
      const said = late ? `Timed out after ${timeout} s` : message;
      expected.push(line(cc, said));
    }
    const codes = Object.keys(faults);
    const good = codes.filter((cc) => expected.includes(line(cc, OK)));
    await all(STYLES.map(async ([script, concurReq]) => {
      await using site = new FaultSite(faults);
      const args = ["-v"];
      const options = { script, concurReq, codes, good, site, args, timeout };
      const { lines } = await download(options);
      assertEquals(lines, expected.toSorted());
    }));
  });
});

describe("The README", () => {
  it("has a row for each fault, as it is tested here", async () => {
    const readme = await Deno.readTextFile(`${ROOT}/README.md`);
    const rows = readme.matchAll(
      /^\| (.+?) +\| `(.+?)` +\| .+? \| (.+?) +\|$/gm,
    );
    const said = [...rows].map(([, fault, message, promise]) =>
      [promise, fault, message].join()
    );
    for (const row of PROMISES) assert(said.includes(row.join()), row.join());
    assertEquals(said.length, PROMISES.length + 3);
  });
});
