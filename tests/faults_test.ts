import { assert, assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { expandCcArgs } from "../flags2_common.ts";
import {
  assertFlags,
  bigFlag,
  type Fault,
  FaultSite,
  flagOf,
} from "./fault_site.ts";
import {
  freePort,
  itOnLinux,
  outcome,
  parseReport,
  run,
  type Script,
  spawn,
  start,
  TemporaryFolder,
} from "./testing.ts";

/** Seconds, as in `--timeout`, where every answer is to be late. */
const TIMEOUT = 1;

/** The same where some are, and the others are not, on a busy machine, too. */
const LONG_TIMEOUT = 5;

/** The same where none is, however busy the machine. */
const PATIENCE = 60;

const page = await Deno.readTextFile(
  new URL("../docs/faults.md", import.meta.url),
);
const EVERY_CC = expandCcArgs(true, false, []);

/** The rows of docs/faults.md that a server's answer makes. */
const ROWS = page.matchAll(/^\| (.+?) +\| `(.+?)` +\| [a-z ]+? +\|$/gm)
  .map(([, fault, message], i) => ({
    fault: fault as Fault,
    message: message!, // What `-v` says; "…" stands for any words.
    bad: EVERY_CC.slice(3 * i, 3 * i + 2), // These codes meet the fault,
    good: EVERY_CC[3 * i + 2]!, // and this one does not.
  })).toArray();

const TIMED_OUT = `Timed out after ${TIMEOUT} s`;
const LATE = ROWS.filter(({ message }) => message === TIMED_OUT);
const HUGE = ROWS.filter(({ fault, message }) =>
  fault === "big" || message === "Body larger than 16 MB"
);
const PROMPT = ROWS.filter((row) => ![...LATE, ...HUGE].includes(row));

const codesOf = (rows: typeof ROWS) =>
  rows.flatMap(({ bad, good }) => [...bad, good]);

/** Each script, with the number of its connections. */
const STYLES: [Script, concurReq: number][] = [
  ["sequential", 1],
  ["threadpool", 30],
  ["asyncio", 100],
];

/** A verbose run of a script, and what came of it. */
async function download(
  [script, concurReq]: [Script, number],
  codes: string[],
  timeout: number,
  site: FaultSite,
  meanwhile?: (child: Deno.ChildProcess) => Promise<void>,
) {
  await using folder = new TemporaryFolder();
  const limits = ["-t", `${timeout}`, "-m", `${concurReq}`];
  const args = ["-v", "-s", site.url, ...limits, ...codes];
  const child = start(script, args, { cwd: folder.path });
  const ended = outcome(child);
  await meanwhile?.(child);
  const result = await ended;
  const line = /^(?:([A-Z]{2})|\*\*\* Error for (..):) (.+)$/gm;
  const said = result.stdout.matchAll(line).map(([, good, bad, message]) => {
    // As in the rows.
    const timedOut = message!.replace(` ${timeout} s`, ` ${TIMEOUT} s`);
    return [good ?? bad!, timedOut] as const;
  });
  const names = await folder.list();
  const saved = names.map((name) => name.replace(".gif", "").toUpperCase());
  const flag = (cc: string) =>
    site.faults[cc] === "big" ? bigFlag(cc) : flagOf(cc);
  await assertFlags(folder, saved, flag); // Whole, and nothing beside them.
  const style = `${script} -m ${concurReq} -t ${timeout}`;
  const { requests } = site;
  return { ...result, style, codes, said: [...said], saved, requests };
}

type Run = Awaited<ReturnType<typeof download>>;

/**
 * Two runs of a style that meet all faults but the huge bodies: one where every
 * answer that is to come does come, and one where some are late.
 */
async function downloadAll(style: [Script, number]): Promise<Run[]> {
  const faults = [...PROMPT, ...LATE].flatMap(({ fault, bad }) =>
    bad.map((cc) => [cc, fault])
  );
  await using site = new FaultSite(Object.fromEntries(faults));
  return await Promise.all([
    download(style, codesOf(PROMPT), PATIENCE, site),
    style[1] === 1
      ? download(style, LATE.map(({ bad }) => bad[0]!), TIMEOUT, site)
      : download(style, codesOf(LATE), LONG_TIMEOUT, site),
  ]);
}

/** The most memory that the run with the huge bodies took, in MB. */
let memory = NaN;

/** It meets them one after the other, and then waits for an answer. */
async function downloadHuge(): Promise<Run> {
  const faults = HUGE.map(({ fault, bad }) => [bad[0]!, fault]);
  await using site = new FaultSite({
    ...Object.fromEntries(faults),
    ZZ: "no answer",
  });
  const codes = [...HUGE.flatMap(({ bad, good }) => [bad[0]!, good]), "ZZ"];
  return await download(STYLES[0]!, codes, PATIENCE, site, async (child) => {
    await site.asked(codes.length);
    const status = spawn(["cat", `/proc/${child.pid}/status`]);
    const { stdout } = await outcome(status);
    memory = Number(stdout.match(/^VmHWM:\s+(\d+) kB$/m)?.[1]) / 1024;
    child.kill("SIGKILL");
  });
}

let runs: Promise<Run[]> | undefined;

/** All that the rows are about, in seven runs: made by the first to ask. */
function sharedRuns(): Promise<Run[]> {
  return runs ??= Promise.all(STYLES.map(downloadAll)).then(async (runs) => {
    return [...runs.flat(), await downloadHuge()];
  });
}

describe("Of the three scripts, among good answers,", () => {
  for (const { fault, message, bad, good } of ROWS) {
    it(`${fault}: ${message}`, async () => {
      const about = (cc: string) => [...bad, good].includes(cc);
      const runs = (await sharedRuns()).filter(({ codes }) =>
        codes.some(about)
      );
      const isHuge = HUGE.some((row) => row.fault === fault);
      assertEquals(runs.length, isHuge ? 1 : STYLES.length);
      for (const { style, codes, said, saved, requests } of runs) {
        for (const cc of codes.filter(about)) {
          const expected = cc === good ? "OK" : message;
          const actual = new Map(said).get(cc)!;
          const [start] = expected.split("…") as [string];
          const isSo = actual.startsWith(start) &&
            (actual === start || start !== expected);
          assert(isSo, `${style}: ${cc} ${actual}`);
          assertEquals(saved.includes(cc), expected === "OK", style);
        }
        if (fault !== "429") continue; // It is not tried again.
        assertEquals(requests.filter((cc) => bad.includes(cc)).sort(), bad);
      }
    });
  }

  it("all faults at once add up, at -m 1, 30 and 100", async () => {
    for (const run of (await sharedRuns()).slice(0, -1)) {
      const { style, code, stdout, stderr, codes, said, saved } = run;
      assertEquals([code, stderr], [0, ""], style);
      const { flags, notFound, errors, notTried } = parseReport(stdout);
      const count = (word: string) =>
        said.filter(([, message]) => message === word).length;
      const expected = [count("OK"), count("not found"), 0];
      assertEquals([flags, notFound, notTried], expected, style);
      assertEquals(flags + notFound + errors, codes.length, style);
      assertEquals([said.length, saved.length], [codes.length, flags], style);
    }
  });

  itOnLinux("huge bodies take no more memory than they need", async () => {
    await sharedRuns();
    assert(memory < 260, `${memory} MB`);
  });
});

describe("Of a server that", () => {
  it("dies the flags before are saved, and the codes after are errors", async () => {
    await using site = new FaultSite({}, { dieAfter: 5 });
    const codes = EVERY_CC.slice(0, 10);
    const { code, stdout, saved } = //
      await download(STYLES[0]!, codes, PATIENCE, site);
    const { flags, errors } = parseReport(stdout);
    assertEquals([code, flags, errors], [0, 5, 5]);
    assertEquals(saved, codes.slice(0, 5));
  });

  it("answers nothing well the bar ends all the same", async () => {
    await using site = new FaultSite({ BR: "closed at once", US: "404" });
    await using folder = new TemporaryFolder();
    const args = ["-s", site.url, "BR", "US"];
    const { code, stdout } = await run("asyncio", args, { cwd: folder.path });
    const { elapsed: _, ...counts } = parseReport(stdout);
    assertEquals(counts, { flags: 0, notFound: 1, errors: 1, notTried: 0 });
    assertMatch(stdout, /^100%\|█{10}\| 2\/2 \[.*\]$/m);
    assertEquals([code, await folder.list()], [0, []]);
  });

  it("is not there every code is an error", async () => {
    await using folder = new TemporaryFolder();
    const url = `http://127.0.0.1:${freePort()}/flags`;
    const args = ["-v", "-s", url, "BR", "US"];
    const { code, stdout } = await run("asyncio", args, { cwd: folder.path });
    assertEquals([code, parseReport(stdout).errors], [0, 2]);
    const told = stdout.match(/^\*\*\* Error for ..: Connection error: .+$/gm);
    assertEquals(told?.length, 2, stdout);
  });
});
