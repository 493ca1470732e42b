/**
 * The chapter's comparison: the three scripts on the DELAY site, first one
 * against the other, with a film of it, then over the number of connections,
 * with a chart.
 *
 * The scripts run as they are, with `-v`: its line for each code moves a bar
 * that is drawn here. The times are those of their own last line.
 *
 * @module
 */

import { expandCcArgs, SERVERS } from "../flags2_common.ts";
import { ArgumentParser } from "../lib/argparse.ts";
import { abortOnInterrupt, reportError } from "../lib/exit.ts";
import { tqdm } from "../lib/tqdm.ts";
import { SITES } from "../site/sites.ts";
import { startSite } from "../site/start.ts";
import { film, type Recording } from "./film.ts";
import {
  commandLine,
  parseReport,
  ROOT,
  type Script,
  SCRIPTS,
  TemporaryFolder,
} from "../tests/scripts.ts";

/** All codes, AA to ZZ. */
export const EVERY: number = expandCcArgs(true, false, []).length;

/** The chapter's number of connections. */
const CONNECTIONS = 100;

/** The numbers of connections in the chart. */
const SWEEP = [1, 2, 5, 10, 30, 100, 300, 676];

/** The codes that are run in sequence, unless all are asked for. */
const SEQUENTIAL_CODES = 26;

/** The requests that a connection of the sweep makes, unless all are. */
const ROUNDS = 10;

/** One run of a script. */
export interface Row {
  /** The script. */
  script: Script;
  /** The codes that the times are for. */
  codes: number;
  /** The codes that were run; if fewer, the times are scaled. */
  run: number;
  /** Requests at a time. */
  connections: number;
  /** Seconds. */
  elapsed: number;
}

/**
 * The least seconds in which a site that answers everything late can be asked
 * for all codes.
 */
export function floor(codes: number, connections: number): number {
  return Math.ceil(codes / connections) * SITES["DELAY"]!.delay;
}

/** How many of the codes a point of the sweep runs. */
export function codesToRun(
  codes: number,
  connections: number,
  full: boolean,
): number {
  return full ? codes : Math.min(codes, connections * ROUNDS);
}

/** What a run of some codes comes to for more: the floors' ratio. */
export function scaled(row: Row, codes: number): Row {
  const { run, connections, elapsed } = row;
  const ratio = floor(codes, connections) / floor(run, connections);
  return { ...row, codes, elapsed: elapsed * ratio };
}

/** The rows as text, each beside the floor and, if it is there, `sequential`. */
export function table(rows: Row[], sequential?: Row): string {
  const cells = rows.map((row) => {
    const least = floor(row.codes, row.connections);
    const faster = sequential && sequential.elapsed / row.elapsed;
    return [
      row.script,
      `${row.codes}`,
      `${row.connections}`,
      `${row.elapsed.toFixed(2)} s`,
      `${least.toFixed(2)} s`,
      (row.elapsed / least).toFixed(3),
      faster ? `${faster.toFixed(1)} x` : "-",
      row.run < row.codes ? `  extrapolated from ${row.run}` : "",
    ];
  });
  const head = "script,codes,connections,elapsed,floor,elapsed / floor,faster,";
  const lines = [head.split(","), ...cells];
  const widths = lines[0]!.map((_, column) =>
    Math.max(...lines.slice(0, -1).map((line) => line[column]!.length))
  );
  return lines.map((line) =>
    line.map((cell, column) =>
      column === 0 || column === 7
        ? cell.padEnd(widths[column]!)
        : cell.padStart(widths[column]!)
    ).join("  ").trimEnd()
  ).join("\n");
}

/**
 * Run a script in a folder of its own.
 *
 * @param script Which one.
 * @param codes How many codes, from AA on.
 * @param connections Requests at a time.
 * @param signal Ends the run.
 * @param server The DELAY site, or another.
 * @returns The run, with the time that the script reports, and the times at which
 *   its lines came.
 */
export async function race(
  script: Script,
  codes: number,
  connections: number,
  signal: AbortSignal,
  server = "DELAY",
): Promise<{ row: Row; recording: Recording }> {
  await using folder = new TemporaryFolder();
  const args = ["-e", "-v", "-s", server, "-l", codes, "-m", connections];
  const [program, ...words] = commandLine(script, args.map(String));
  const child = new Deno.Command(program!, {
    args: words,
    cwd: folder.path,
    stdin: "null",
    stdout: "piped",
    signal,
  }).spawn();
  const recording: Recording = {
    script,
    codes,
    connections,
    done: [],
    report: [],
  };
  const done = codesDone(child.stdout, recording);
  if (Deno.stdout.isTerminal()) {
    console.log(`${script}, ${connections} at a time`);
    for await (const _ of tqdm(done, { total: codes }));
  } else {
    for await (const _ of done);
  }
  const { code } = await child.status;
  signal.throwIfAborted();
  const report = recording.report.join("\n");
  const { flags, notFound, elapsed } = parseReport(report);
  if (code !== 0 || flags + notFound !== codes) {
    throw new Error(`flags2_${script}.ts failed:\n${report}`);
  }
  const row = { script, codes, run: codes, connections, elapsed };
  return { row, recording };
}

/**
 * The lines for a code as they come. The recording takes their times, from the
 * initial report on, and the lines of the final report.
 */
async function* codesDone(
  stdout: ReadableStream<Uint8Array<ArrayBuffer>>,
  { done, report }: Recording,
): AsyncGenerator<string> {
  let t0 = performance.now();
  let rest = "";
  for await (const text of stdout.pipeThrough(new TextDecoderStream())) {
    const now = performance.now();
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    for (const line of lines) {
      if (/^[A-Z]{2} |^\*{3} Error for/.test(line)) {
        done.push((now - t0) / 1000);
        yield line;
      } else if (done.length > 0) {
        report.push(line);
      } else {
        t0 = now;
      }
    }
  }
}

/** The chart as SVG. Only this process loads the plotting library. */
async function chart(rows: Row[], signal: AbortSignal): Promise<string> {
  const points = rows.map((row) => ({
    ...row,
    floor: floor(row.codes, row.connections),
  }));
  const child = new Deno.Command(Deno.execPath(), {
    args: `run --frozen -A --config=${ROOT}/bench/chart.json`.split(" ")
      .concat(`${ROOT}/bench/chart.ts`, JSON.stringify(points)),
    stdin: "null",
    stdout: "piped",
    signal,
  });
  const { success, stdout } = await child.output();
  signal.throwIfAborted();
  if (!success) throw new Error("the chart could not be drawn");
  return new TextDecoder().decode(stdout);
}

const parser = new ArgumentParser({
  description:
    `Run the three scripts on the DELAY site and compare their times, with a film of
it in docs/race.svg; then the two concurrent ones over the number of
connections, for docs/comparison.svg. With -l, -m or -s the comparison alone.`,
}, {
  full: {
    flag: "-f",
    help: "run all codes everywhere, half an hour; by default a run\n" +
      "that takes long has fewer codes and is scaled",
  },
  limit: {
    flag: "-l N",
    bounds: { whole: true, min: 1, max: EVERY },
    help: `the N first codes (default=${EVERY})`,
  },
  max_req: {
    flag: "-m CONCURRENT",
    bounds: { whole: true, min: 1, max: 1000 },
    help: `concurrent requests (default=${CONNECTIONS})`,
  },
  script: {
    flag: "-s SCRIPT",
    choices: SCRIPTS,
    help: "one of %(choices)s (default: all)",
  },
});

async function main(signal: AbortSignal): Promise<void> {
  const { help, full, limit, max_req, script } = parser.parse(Deno.args);
  if (help) return console.log(parser.help);
  const codes = limit ?? EVERY;
  const connections = max_req ?? CONNECTIONS;
  const scripts = SCRIPTS.filter((name) => name === (script ?? name));

  const { port } = new URL(SERVERS["DELAY"]!);
  await using site = await startSite("DELAY", Number(port), signal);
  if (!site) console.error(`There is a server on port ${port} already.`);

  const rows: Row[] = [];
  const recordings: Recording[] = [];
  for (const script of scripts) {
    const inSequence = script === "sequential";
    const { row, recording } = await race(
      script,
      inSequence && !full ? Math.min(codes, SEQUENTIAL_CODES) : codes,
      inSequence ? 1 : Math.min(codes, connections),
      signal,
    );
    rows.push(scaled(row, codes));
    recordings.push({ ...recording, codes });
  }
  console.log(table(rows, rows.find(({ script }) => script === "sequential")));
  if (limit || max_req || script) return;
  await Deno.writeTextFile(`${ROOT}/docs/race.svg`, film(recordings));

  const sequential = rows[0]!;
  const sweep: Row[] = [];
  for (const connections of SWEEP) {
    for (const script of ["threadpool", "asyncio"] as const) {
      const run = codesToRun(codes, connections, full);
      const { row } = await race(script, run, connections, signal);
      sweep.push(scaled(row, codes));
    }
  }
  console.log(`\n${table(sweep, sequential)}`);
  await Deno.writeTextFile(
    `${ROOT}/docs/comparison.svg`,
    await chart([sequential, ...sweep], signal),
  );
  console.log(
    "\nThe film is in docs/race.svg, the chart in docs/comparison.svg.",
  );
}

if (import.meta.main) {
  const run = new AbortController();
  using _ = abortOnInterrupt(run);
  try {
    await main(run.signal);
  } catch (error) {
    reportError(
      run.signal.aborted ? run.signal.reason : error,
      parser.usage,
    );
  }
}
