import { assert, assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { expandCcArgs } from "../flags2_common.ts";
import { type Fault, FaultSite, savedIn } from "./fault_site.ts";
import {
  ROOT,
  type Script,
  SCRIPTS,
  TemporaryFolder,
} from "../bench/scripts.ts";
import { runScript } from "./processes.ts";
import { itOnLinux } from "./testing.ts";

const page = await Deno.readTextFile(`${ROOT}/docs/faults.md`);
const EVERY_CC = expandCcArgs(true, false, []);

/** The rows of docs/faults.md whose first column is a server's answer. */
const ROWS = page.matchAll(/^\| (.+?) +\| `(.+?)` +\| [a-z ]+? +\|$/gm)
  .map(([, fault = "", message = ""], i) => {
    const isLate = message.startsWith("Timed out");
    return {
      fault: fault as Fault,
      message, // "…" is any text.
      isLate,
      isHuge: /^(big|tiny chunks)$/.test(fault) || message.includes("16 MB"),
      // One code has the fault. On a busy machine, a good answer may be late, too.
      codes: EVERY_CC.slice(2 * i, 2 * i + (isLate ? 1 : 2)),
    };
  }).toArray();

type Row = typeof ROWS[number];

/** The numbers of requests for one code; an answer that has begun is not retried. */
const REQUESTS: Partial<Record<Fault, number>> = {
  "closed at once": 3,
  "408": 3,
  "short body": 1,
  "429": 1,
  "503": 1,
  "redirect loop": 21,
};

/** The number of connections of each script. */
const CONNECTIONS = { sequential: 1, threadpool: 30, asyncio: 100 };

/** Options with which a script on Linux prints its peak memory on stderr. */
const MEASURED = [
  "-A",
  "--preload=data:text/javascript," + encodeURIComponent(`
    if (Deno.build.os === "linux") addEventListener("unload", () =>
      console.error(Deno.readTextFileSync("/proc/self/status")))`),
];

/** Run a script with `-v`, and return its messages, files and requests. */
async function download(
  script: Script,
  codes: string[],
  site: FaultSite,
  timeout = 10,
  permissions = ["-A"],
) {
  await using folder = new TemporaryFolder();
  const limits = ["-m", `${CONNECTIONS[script]}`, "-t", `${timeout}`];
  const args = ["-v", "-s", site.url, ...limits, ...codes];
  const options = { cwd: folder.path, permissions, limit: 20 };
  const result = await runScript(script, args, options);
  const line = /^(?:([A-Z]{2})|\*\*\* Error for (..):) (.+)$/gm;
  const messages = result.stdout.matchAll(line)
    .map(([, good, bad, message]) => [good ?? bad!, message!] as const);
  const saved = await savedIn(folder, site.faults);
  return Object.assign(result, { messages: new Map(messages), saved });
}

/** Run a script against the faults of some rows. */
async function meet(script: Script, rows: Row[]) {
  const faults = rows.map(({ codes, fault }) => [codes[0], fault]);
  await using site = new FaultSite(Object.fromEntries(faults));
  const codes = rows.flatMap(({ codes }) => codes);
  const timeout = rows[0]?.isLate ? 1 : 10;
  const permissions = rows[0]?.isHuge ? MEASURED : ["-A"];
  const run = await download(script, codes, site, timeout, permissions);
  return Object.assign(run, { script, rows, codes, requests: site.requests });
}

let runs: Promise<Awaited<ReturnType<typeof meet>>[]> | undefined;

/** Run all rows once, in seven runs; the huge bodies are for one script only. */
function sharedRuns() {
  const prompt = ROWS.filter(({ isLate, isHuge }) => !isLate && !isHuge);
  const late = ROWS.filter(({ isLate }) => isLate);
  return runs ??= Promise.all([
    ...SCRIPTS.map((script) => meet(script, prompt)),
    ...SCRIPTS.map((script) => meet(script, late)),
    meet("sequential", ROWS.filter(({ isHuge }) => isHuge)),
  ]);
}

describe("a script with -v", () => {
  for (const row of ROWS) {
    const { fault, message, codes, isHuge } = row;
    it(`prints "${message}" for the answer "${fault}"`, async () => {
      const shared = (await sharedRuns())
        .filter(({ rows }) => rows.includes(row));
      assertEquals(shared.length, isHuge ? 1 : SCRIPTS.length);
      const expected = [message, "OK"].slice(0, codes.length);
      for (const run of shared) {
        // A run that another row has stopped proves nothing about this row.
        const isComplete = codes.every((cc) => run.messages.has(cc));
        const { script, messages, saved, requests } = isComplete
          ? run
          : await meet(run.script, [row]);
        const shown = codes.map((cc) => messages.get(cc));
        if (message.endsWith("…")) shown[0] = shown[0]?.replace(/: .+/, ": …");
        assertEquals(shown, expected, script);
        const files = codes.map((cc) => saved.includes(cc));
        assertEquals(files, expected.map((text) => text === "OK"), script);
        const { length } = requests.filter((cc) => cc === codes[0]);
        assertEquals(length, REQUESTS[fault] ?? length, script);
      }
    });
  }

  it("counts every code of all faults, at -m 1, 30 and 100", async () => {
    for (const run of (await sharedRuns()).slice(0, -1)) {
      const { script, code, stderr, codes, messages, saved } = run;
      assertEquals([code, stderr], [0, ""], script);
      const { elapsed: _, ...counts } = run.report;
      const count = (word: string) =>
        [...messages.values()].filter((message) => message === word).length;
      const [flags, notFound] = [count("OK"), count("not found")];
      const errors = codes.length - flags - notFound;
      assertEquals(counts, { flags, notFound, errors, notFinished: 0 }, script);
      assertEquals(
        [messages.size, saved.length],
        [codes.length, flags],
        script,
      );
    }
  });

  itOnLinux("needs less than 600 MB of memory for huge bodies", async () => {
    const { stderr } = (await sharedRuns()).at(-1)!;
    const [, peak] = stderr.match(/^VmHWM:\s+(\d+) kB$/m) ?? [];
    assert(Number(peak) < 600_000, `${peak} kB`);
  });
});

it("a script keeps flags saved before the server dies; the rest are errors", async () => {
  await using site = new FaultSite({}, { dieAfter: 5 });
  const codes = EVERY_CC.slice(0, 10);
  // In the second run, nothing listens.
  for (const answers of [5, 0]) {
    const run = await download("sequential", codes, site);
    const { flags, errors } = run.report;
    assertEquals([run.code, flags, errors], [0, answers, 10 - answers]);
    assertEquals(run.saved, codes.slice(0, answers));
    for (const cc of codes.slice(answers)) {
      assertMatch(run.messages.get(cc)!, /^Connection error: ./);
    }
  }
});
