import { assert, assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { expandCcArgs } from "../flags2_common.ts";
import { bigFlag, type Fault, FaultSite, flagOf } from "./fault_site.ts";
import { savedIn } from "./fault_site.ts";
import {
  itOnLinux,
  outcome,
  parseReport,
  ROOT,
  type Script,
  spawn,
  start,
  TemporaryFolder,
} from "./testing.ts";

/** Seconds, as in `--timeout`, where every answer is to be late. */
const TIMEOUT = 1;

/** The same where none is, however busy the machine. */
const PATIENCE = 60;

const page = await Deno.readTextFile(`${ROOT}/docs/faults.md`);
const EVERY_CC = expandCcArgs(true, false, []);

/** The rows of docs/faults.md that a server's answer makes. */
const ROWS = page.matchAll(/^\| (.+?) +\| `(.+?)` +\| [a-z ]+? +\|$/gm)
  .map(([, fault, message], i) => ({
    fault: fault as Fault,
    message: message!, // What `-v` says; "…" stands for any words.
    bad: EVERY_CC[2 * i]!, // This code meets the fault,
    good: EVERY_CC[2 * i + 1]!, // and this one does not.
  })).toArray();

const FAULTS = Object.fromEntries(ROWS.map(({ bad, fault }) => [bad, fault]));
const LATE = ROWS.filter(({ message }) => message.startsWith("Timed out"));
const HUGE = ROWS.filter(({ fault, message }) =>
  fault === "big" || message === "Body larger than 16 MB"
);
const PROMPT = ROWS.filter((row) => ![...LATE, ...HUGE].includes(row));

const codesOf = (rows: typeof ROWS) =>
  rows.flatMap(({ bad, good }) => [bad, good]);

/** How many requests some faults cost: what began to answer is not asked again. */
const REQUESTS: Partial<Record<Fault, number>> = {
  "408": 3,
  "short body": 1,
  "429": 1,
  "503": 1,
  "redirect loop": 21,
};

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
  const said = result.stdout.matchAll(line)
    .map(([, good, bad, message]) => [good ?? bad!, message!] as const);
  const flag = (cc: string) =>
    site.faults[cc] === "big" ? bigFlag(cc) : flagOf(cc);
  const saved = await savedIn(folder, flag);
  const style = `${script} -m ${concurReq} -t ${timeout}`;
  const { requests } = site;
  return { ...result, style, codes, said: [...said], saved, requests };
}

type Run = Awaited<ReturnType<typeof download>>;

/**
 * Two runs of a style that meet all faults but the huge bodies: one where every
 * answer that is to come does come, and one where all are late.
 */
async function downloadAll(style: [Script, number]): Promise<Run[]> {
  await using site = new FaultSite(FAULTS);
  return await Promise.all([
    download(style, codesOf(PROMPT), PATIENCE, site),
    download(style, LATE.map(({ bad }) => bad), TIMEOUT, site),
  ]);
}

/** The most memory that the run with the huge bodies took, in MB. */
let memory = NaN;

/** It meets them one after the other, and then waits for an answer. */
async function downloadHuge(): Promise<Run> {
  await using site = new FaultSite({ ...FAULTS, ZZ: "no answer" });
  const codes = [...codesOf(HUGE), "ZZ"];
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
  return runs ??= Promise.all(STYLES.map(downloadAll))
    .then(async (runs) => [...runs.flat(), await downloadHuge()]);
}

describe("Of the three scripts, among good answers,", () => {
  for (const row of ROWS) {
    const { fault, message, bad, good } = row;
    it(`${fault}: ${message}`, async () => {
      const runs = (await sharedRuns())
        .filter(({ codes }) => codes.includes(bad));
      assertEquals(runs.length, HUGE.includes(row) ? 1 : STYLES.length);
      for (const { style, codes, said, saved, requests } of runs) {
        for (const cc of codes.filter((cc) => cc === bad || cc === good)) {
          const expected = cc === bad ? message : "OK";
          const actual = new Map(said).get(cc)!;
          const shown = expected.endsWith("…")
            ? actual.replace(/: .+/, ": …")
            : actual;
          assertEquals(shown, expected, style);
          assertEquals(saved.includes(cc), expected === "OK", style);
        }
        const { length } = requests.filter((cc) => cc === bad);
        assertEquals(length, REQUESTS[fault] ?? length, style);
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
    assert(memory < 600, `${memory} MB`);
  });
});

it("Of a server that dies the flags before are saved, and the codes after are errors, as all are of a run that finds nobody", async () => {
  await using site = new FaultSite({}, { dieAfter: 5 });
  const codes = EVERY_CC.slice(0, 10);
  for (const answers of [5, 0]) {
    const { code, stdout, said, saved } = //
      await download(STYLES[0]!, codes, PATIENCE, site);
    const { flags, errors } = parseReport(stdout);
    assertEquals([code, flags, errors], [0, answers, 10 - answers]);
    assertEquals(saved, codes.slice(0, answers));
    for (const [, message] of said.slice(answers)) {
      assertMatch(message, /^Connection error: ./);
    }
  }
});
