/**
 * The chapter's race: the three scripts download all codes from DELAY in terminals.
 * The times are a table in Markdown, the output is a film, and the requests are
 * lanes. The race takes a minute and needs `script(1)` of util-linux.
 *
 * @module
 */

import { abortOnInterrupt, reportError, SystemExit } from "../lib/exit.ts";
import { show } from "../lib/terminal.ts";
import { SITES } from "../site/sites.ts";
import { startSite } from "../site/start.ts";
import {
  commandLine,
  parseReport,
  ROOT,
  shellQuote,
  TemporaryFolder,
} from "./scripts.ts";
import { film, type Race } from "./film.ts";
import { lanes, watch } from "./lanes.ts";

/** The number of codes after which the sequential script is interrupted. */
const ENOUGH = 26;

/** Return the least seconds that a number of codes takes on DELAY. */
export function floor(codes: number, connections: number): number {
  return Math.ceil(codes / connections) * SITES["DELAY"]!.delay;
}

/** Format a table in Markdown; all columns but the first are aligned right. */
export function markdown(head: string[], rows: string[][]): string {
  const widths = head.map((_, i) =>
    Math.max(...[head, ...rows].map((line) => line[i]!.length), 3)
  );
  const rule = widths.map((n, i) => "-".repeat(n - 1) + (i ? ":" : "-"));
  const pad = (cell: string, i: number) =>
    i ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!);
  const lines = [head, rule, ...rows].map((line) => line.map(pad).join(" | "));
  return lines.map((line) => `| ${line} |`).join("\n");
}

/** Format the times of races, and compare each with the floor and the first race. */
export function table(races: Race[]): string {
  let [note, first] = ["", 0];
  const rows = races.map(({ setup: [script, connections], report }) => {
    const done = report.flags + report.notFound;
    const codes = done + report.notFinished;
    const least = floor(codes, connections);
    const elapsed = report.elapsed * least / floor(done, connections);
    first ||= elapsed;
    if (done < codes) note += `\n\n${script} extrapolated from ${done} codes`;
    const times = [elapsed, least].map((time) => `${time.toFixed(2)} s`);
    const ratio = (elapsed / least).toFixed(3);
    const faster = `${(first / elapsed).toFixed(1)} x`;
    return [script, `${codes}`, `${connections}`, ...times, ratio, faster];
  });
  const head = "script,codes,connections,elapsed,floor,elapsed / floor,faster";
  return markdown(head.split(","), rows) + note;
}

/**
 * Run a script in a pseudo-terminal, in a folder of its own.
 *
 * @param enough The number of codes after which Ctrl-C interrupts the script.
 * @param args The site and the codes.
 * @throws {SystemExit} If the script fails or counts an error.
 */
export async function race(
  setup: Race["setup"],
  signal: AbortSignal,
  enough = Infinity,
  args: string[] = ["-s", "DELAY", "-e"],
): Promise<Race> {
  await using folder = new TemporaryFolder();
  const [script, connections] = setup;
  if (connections > 1) args = [...args, "-m", `${connections}`];
  const child = new Deno.Command("script", {
    args: ["-qefc", shellQuote(commandLine(script, args)), "/dev/null"],
    cwd: folder.path,
    env: { SHELL: "/bin/sh", TERM: "xterm" },
    stdin: "piped",
    stdout: "piped",
    signal,
  }).spawn();
  const start = performance.now();
  const keyboard = child.stdin.getWriter();
  const output: Race["output"] = [];
  let expected = 0;
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    output.push({ at: (performance.now() - start) / 1000, text });
    if (Deno.stdout.isTerminal()) show(text);
    const [, done = 0] = text.match(/(\d+)\/\d+ \[/) ?? [];
    if (expected || Number(done) < enough) continue;
    expected = 130;
    await keyboard.write(new TextEncoder().encode("\x03"));
  }
  const { code } = await child.status;
  await keyboard.close().catch(() => {}); // The terminal may be closed.
  signal.throwIfAborted();
  const text = output.map(({ text }) => text).join("").replaceAll("\r\n", "\n");
  const report = parseReport(text);
  if (report.errors > 0 || code !== expected) {
    throw new SystemExit(`flags2_${script}.ts failed:\n${text}`);
  }
  const command = `deno run -A flags2_${script}.ts ${args.join(" ")}`;
  return { setup, command, output, report };
}

/** Run a main function, whose signal Ctrl-C aborts, and report its error. */
export async function runMain(
  main: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const run = new AbortController();
  using _ = abortOnInterrupt(run);
  try {
    await main(run.signal);
  } catch (error) {
    reportError(run.signal.aborted ? run.signal.reason : error, "");
  }
}

async function main(signal: AbortSignal): Promise<void> {
  const { port } = SITES["DELAY"]!;
  await using site = await startSite("DELAY", port, signal);
  if (!site) console.error(`Using the server that listens on port ${port}.`);
  const races = [
    await race(["sequential", 1], signal, ENOUGH),
    await race(["threadpool", 100], signal),
    await race(["asyncio", 100], signal),
  ];
  console.log(table(races));

  const runs = [
    await watch(["sequential", "DELAY", 1], signal),
    await watch(["threadpool", "DELAY", 10], signal),
    await watch(["asyncio", "DELAY", 10], signal),
    await watch(["asyncio", "ERROR", 10], signal),
  ];
  await Deno.writeTextFile(`${ROOT}/docs/race.svg`, film(races));
  await Deno.writeTextFile(`${ROOT}/docs/lanes.svg`, lanes(runs));
  console.log("\nThe film is docs/race.svg, the lanes are docs/lanes.svg.");
}

if (import.meta.main) await runMain(main);
