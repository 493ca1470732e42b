import { assert, assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { expandCcArgs } from "../flags2_common.ts";
import { assertFlags, bigFlag, type Fault, FaultSite } from "./fault_site.ts";
import {
  type Outcome,
  parseReport,
  run,
  type Script,
  TemporaryFolder,
} from "./testing.ts";

/** Seconds, as in `--timeout`, where every answer is to be late. */
const TIMEOUT = 1;

/** The same where some are, and the others are not, on a busy machine, too. */
const LONG_TIMEOUT = 5;

/** The same where none is, however busy the machine. */
const PATIENCE = 60;

/** What stands in a row of docs/faults.md. */
interface Row {
  fault: Fault;
  /** What `-v` says; "…" stands for any words. */
  message: string;
  /** Two codes that meet the fault. */
  bad: string[];
  /** One that does not. */
  good: string;
}

const page = await Deno.readTextFile(
  new URL("../docs/faults.md", import.meta.url),
);
const EVERY_CC = expandCcArgs(true, false, []);

/** The rows that a server's answer makes. */
const ROWS: Row[] = page.matchAll(/^\| (.+?) +\| `(.+?)` +\| [a-z ]+? +\|$/gm)
  .map(([, fault, message], i) => ({
    fault: fault as Fault,
    message: message!,
    bad: EVERY_CC.slice(3 * i, 3 * i + 2),
    good: EVERY_CC[3 * i + 2]!,
  })).toArray();

const TIMED_OUT = `Timed out after ${TIMEOUT} s`;
const TOO_LARGE = "Body larger than 64 MB";

/** The rows that are held in runs of their own. */
const HUGE = ROWS.filter(({ fault, message }) =>
  fault === "big" || message === TOO_LARGE
);
const SHARED = ROWS.filter((row) => !HUGE.includes(row));
const LATE = SHARED.filter(({ message }) => message === TIMED_OUT);

/** Each script, with the number of its connections. */
const STYLES: [Script, concurReq: number][] = [
  ["sequential", 1],
  ["threadpool", 1],
  ["threadpool", 30],
  ["asyncio", 100],
];

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
      SHARED.flatMap(({ fault, bad }) => bad.map((cc) => [cc, fault])),
    ),
  );
  const prompt = SHARED.filter((row) => !LATE.includes(row));
  const codes = (rows: Row[]) =>
    rows.flatMap(({ bad, good }) => [...bad, good]);
  return await all([
    download(style, codes(prompt), PATIENCE, site),
    style[1] === 1
      ? download(style, LATE.map(({ bad }) => bad[0]!), TIMEOUT, site)
      : download(style, codes(LATE), LONG_TIMEOUT, site),
  ]);
}

let runs: Promise<Run[]> | undefined;

/** All that the rows are about, in eight runs: made by the first to ask. */
function sharedRuns(): Promise<Run[]> {
  return runs ??= all(STYLES.map(downloadAll)).then((runs) => runs.flat());
}

/** Whether that is the line of a code in a verbose run, as a row has it. */
function isLine(line: string, cc: string, message: string): boolean {
  const isOutcome = message === "OK" || message === "not found";
  const expected = isOutcome
    ? `${cc} ${message}`
    : `*** Error for ${cc}: ${message}`;
  const [start, end] = expected.split("…") as [string, string?];
  return end === undefined ? line === start : line.startsWith(start);
}

describe("Of the three scripts, among good answers,", () => {
  for (const { fault, message, bad, good } of SHARED) {
    it(`${fault}: ${message}`, async () => {
      const about = (cc: string) => [...bad, good].includes(cc);
      const runs = (await sharedRuns()).filter(({ codes }) =>
        codes.some(about)
      );
      assertEquals(runs.length, STYLES.length);
      for (const { style, codes, timeout, lines, saved, requests } of runs) {
        const said = message === TIMED_OUT
          ? `Timed out after ${timeout} s`
          : message;
        for (const cc of codes.filter(about)) {
          const line = lines.find((line) =>
            line.match(/\b[A-Z]{2}\b/)![0] === cc
          );
          const isGood = cc === good;
          assert(isLine(line!, cc, isGood ? "OK" : said), `${style}: ${line}`);
          assertEquals(saved.includes(cc), isGood || message === "OK", style);
        }
        if (fault !== "429") continue; // It is not tried again.
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
});

describe("Of a huge body,", () => {
  for (const { fault, message } of HUGE) {
    it(`${fault}: ${message}`, async () => {
      await using site = new FaultSite({ BR: fault });
      await using folder = new TemporaryFolder();
      const args = ["-v", "-s", site.url, "-t", `${PATIENCE}`, "BR", "US"];
      const { code, stdout } = await run("asyncio", args, { cwd: folder.path });
      assertEquals(code, 0);
      const lines = stdout.split("\n");
      assert(lines.some((line) => isLine(line, "BR", message)), stdout);
      assert(lines.some((line) => isLine(line, "US", "OK")), stdout);
      if (message !== "OK") return await assertFlags(folder, ["US"]);
      const saved = await Deno.readFile(`${folder.path}/downloads/br.gif`);
      const digest = (bytes: BufferSource) =>
        crypto.subtle.digest("SHA-256", bytes);
      assertEquals(await digest(saved), await digest(bigFlag()));
    });
  }
});

describe("Of a server that", () => {
  it("dies the flags before are saved, and the codes after are errors", async () => {
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
      assertEquals(done, saved.map((cc) => `${cc} OK`));
    }));
  });

  const table: [Fault, notFound: number, timeout: number][] = [
    ["closed at once", 0, PATIENCE],
    ["404", 2, PATIENCE],
    ["no answer", 0, TIMEOUT],
  ];
  for (const [fault, notFound, timeout] of table) {
    it(`answers nothing well the bar ends all the same: ${fault}`, async () => {
      await using site = new FaultSite({ "*": fault });
      await using folder = new TemporaryFolder();
      const args = ["-s", site.url, "-t", `${timeout}`, "BR", "US"];
      const options = { cwd: folder.path };
      const { code, stdout } = await run("asyncio", args, options);
      const { elapsed: _, ...counts } = parseReport(stdout);
      const errors = 2 - notFound;
      assertEquals(counts, { flags: 0, notFound, errors, notTried: 0 });
      assertMatch(stdout, /^100%\|█{10}\| 2\/2 \[.*\]$/m);
      assertEquals([code, await folder.list()], [0, []]);
    });
  }

  it("is not there every code is an error", async () => {
    await using site = new FaultSite();
    await using folder = new TemporaryFolder();
    const args = ["-v", "-s", site.closedUrl, "BR", "US"];
    const { code, stdout } = await run("asyncio", args, { cwd: folder.path });
    assertEquals([code, parseReport(stdout).errors], [0, 2]);
    const told = stdout.match(/^\*\*\* Error for ..: Connection error: .+$/gm);
    assertEquals(told?.length, 2, stdout);
  });
});
