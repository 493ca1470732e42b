/**
 * What the scripts cost: beside a bare loop of `fetch`, which is as fast as the
 * runtime gets, and beside curl and aria2c, which one would use instead. Then a
 * start, the bar, and the LOCAL site beside nginx.
 *
 * What is compared runs in turns, several times, and the medians count. The
 * flags come from an nginx of its own where there is one, else from the site
 * that is built in. It prints tables in Markdown.
 *
 * @module
 */

import { expandCcArgs } from "../flags2_common.ts";
import { ArgumentParser } from "../lib/argparse.ts";
import { abortOnInterrupt, reportError } from "../lib/exit.ts";
import { tqdm } from "../lib/tqdm.ts";
import { startSite } from "../site/start.ts";
import { floor } from "./compare.ts";
import {
  commandLine,
  freePort,
  parseReport,
  ROOT,
  type Script,
  TemporaryFolder,
} from "../tests/scripts.ts";
import { ITEMS, TERMINAL } from "./tqdm_bench.ts";

/** A program that was run to its end. */
interface Finished {
  /** Seconds, of the whole process. */
  seconds: number;
  /** Megabytes at its peak; nothing where no /proc tells. */
  megabytes: number | undefined;
  /** Standard output. */
  stdout: string;
}

const stop = new AbortController();
const { signal } = stop;

/**
 * Run a program and watch its memory. curl ends with 22 after a 404, aria2c
 * with 3.
 */
async function run(
  cwd: string,
  [program, ...args]: string[],
): Promise<Finished> {
  signal.throwIfAborted();
  const t0 = performance.now();
  const child = new Deno.Command(program!, {
    args,
    cwd,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    signal,
  }).spawn();
  let megabytes: number | undefined;
  const poll = setInterval(() => {
    try {
      const status = Deno.readTextFileSync(`/proc/${child.pid}/status`);
      const peak = status.match(/VmHWM:\s+(\d+)/)?.[1];
      if (peak) megabytes = Number(peak) / 1024;
    } catch { // It has ended, or there is no /proc.
    }
  }, 5);
  const { code, stdout, stderr } = await child.output();
  const seconds = (performance.now() - t0) / 1000;
  clearInterval(poll);
  signal.throwIfAborted();
  if (![0, 3, 22].includes(code)) {
    throw new Error(`${program} failed: ${new TextDecoder().decode(stderr)}`);
  }
  return { seconds, megabytes, stdout: new TextDecoder().decode(stdout) };
}

/** The middle one of some numbers; nothing when one is not known. */
export function median(numbers: (number | undefined)[]): number | undefined {
  if (numbers.includes(undefined)) return;
  return (numbers as number[]).toSorted((a, b) => a - b)[numbers.length >> 1];
}

/** Measure some things in turns, each so many times. */
async function inTurns<K extends string, T>(
  times: number,
  measures: Record<K, () => T | Promise<T>>,
): Promise<Record<K, T[]>> {
  const all = {} as Record<K, T[]>;
  for (let i = 0; i < times; i++) {
    for (const name in measures) {
      (all[name] ??= []).push(await measures[name]());
    }
  }
  return all;
}

/** Run some programs in turns, each so many times. */
async function runInTurns<K extends string>(
  times: number,
  cwd: string,
  commands: Record<K, string[]>,
): Promise<Record<K, Finished[]>> {
  const measures = {} as Record<K, () => Promise<Finished>>;
  for (const name in commands) {
    measures[name] = () => run(cwd, commands[name]);
  }
  return await inTurns(times, measures);
}

/**
 * A table in Markdown, words to the left and numbers to the right. A column of
 * which no row knows anything is left out.
 */
export function markdown(head: string[], rows: string[][]): string {
  const known = head.map((_, column) => rows.some((row) => row[column]));
  const lines = [head, ...rows].map((row) => row.filter((_, i) => known[i]));
  const widths = lines[0]!.map((_, column) =>
    Math.max(...lines.map((line) => line[column]!.length), 3)
  );
  const rule = widths.map((width, column) =>
    column === 0 ? "-".repeat(width) : "-".repeat(width - 1) + ":"
  );
  return [lines[0]!, rule, ...lines.slice(1)].map((line) =>
    `| ${
      line.map((cell, column) =>
        column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!)
      ).join(" | ")
    } |`
  ).join("\n");
}

/** A number with its unit; empty when it is not known. */
function cell(number: number | undefined, digits: number, unit = ""): string {
  return number === undefined ? "" : number.toFixed(digits) + unit;
}

/** The limit of the runtime: fetch every URL and save what is found. */
const BARE = `const [base, connections] = Deno.args;
const letters = [..."abcdefghijklmnopqrstuvwxyz"];
const codes = letters.flatMap((a) => letters.map((b) => a + b));
let saved = 0;
const t0 = performance.now();
await Promise.all(Array.from({ length: Number(connections) }, async () => {
  for (let cc; (cc = codes.shift());) {
    const response = await fetch(base + "/" + cc + "/" + cc + ".gif");
    const image = await response.bytes();
    if (!response.ok) continue;
    await Deno.writeFile("bare/" + cc + ".gif", image);
    saved++;
  }
}));
const elapsed = (performance.now() - t0) / 1000;
console.log("-".repeat(20) + "\\n" + saved + " flags downloaded.");
console.log("Elapsed time: " + elapsed.toFixed(2) + "s");
`;

/** The words of the command line that runs it. */
function bare(base: string, connections: number): string[] {
  return [Deno.execPath(), "run", "-A", "bare.js", base, `${connections}`];
}

/** The words that run a script for all codes of a site. */
function script(name: Script, base: string, connections: number): string[] {
  const args = ["-e", "-m", `${connections}`];
  return commandLine(name, ["-s", base, ...args]);
}

/** True when a program is installed; says so when it is not. */
function installed(program: string): boolean {
  try {
    new Deno.Command(program, { args: ["-v"], stdout: "null", stderr: "null" })
      .outputSync();
    return true;
  } catch {
    console.error(`${program} is not installed: what it is for is left out`);
    return false;
  }
}

/** Start an nginx with the flags; nothing when it cannot be. */
async function startNginx(
  folder: string,
  port: number,
): Promise<AsyncDisposable | undefined> {
  if (!installed("nginx")) return;
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((name) => `${name}_temp_path ${folder}/nginx;`).join(" ");
  await Deno.writeTextFile(
    `${folder}/nginx.conf`,
    `user root; daemon off; worker_processes auto;
pid ${folder}/nginx.pid; error_log ${folder}/error.log;
events { worker_connections 1024; }
http {
  access_log ${folder}/access.log; ${temporary}
  sendfile on; tcp_nopush on;
  types { image/gif gif; }
  server { listen 127.0.0.1:${port}; listen [::1]:${port}; root ${ROOT}; }
}
`,
  );
  const child = new Deno.Command("nginx", {
    args: ["-c", `${folder}/nginx.conf`, "-e", `${folder}/error.log`],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  await until(port);
  return {
    async [Symbol.asyncDispose]() {
      child.kill();
      await child.status;
    },
  };
}

/** Wait until somebody listens. */
async function until(port: number): Promise<void> {
  for (let i = 0; i < 100; i++) {
    try {
      return (await Deno.connect({ port })).close();
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
  throw new Error(`nobody listens on port ${port}`);
}

/** The other downloaders that are installed, for the same URLs. */
async function others(
  cwd: string,
  base: string,
): Promise<Record<string, string[]>> {
  const urls = expandCcArgs(true, false, []).map((cc) => {
    const name = cc.toLowerCase();
    return { url: `${base}/${name}/${name}.gif`, file: `${name}.gif` };
  });
  await Deno.writeTextFile(
    `${cwd}/curl.txt`,
    urls.map(({ url, file }) => `url=${url}\noutput=curl/${file}\n`).join(""),
  );
  await Deno.writeTextFile(
    `${cwd}/aria2.txt`,
    urls.map(({ url, file }) => `${url}\n  out=${file}\n`).join(""),
  );
  const curl = "curl --silent --fail --create-dirs --config curl.txt".split(
    " ",
  );
  const aria2c =
    "aria2c -q --async-dns=false --allow-overwrite=true -d aria2c -j 100 -i aria2.txt"
      .split(" ");
  return {
    ...installed("curl") && {
      "`curl --parallel`": [...curl, "--parallel", "--parallel-max", "100"],
      "`curl`, one at a time": curl,
    },
    ...installed("aria2c") && { "`aria2c -j 100`": aria2c },
  };
}

/**
 * All 676 codes by each program: the whole process on LOCAL, beside the bare
 * loop's; the elapsed time on DELAY, beside the floor.
 */
async function downloads(
  cwd: string,
  local: string,
  late: string,
): Promise<void> {
  const ours = (base: string, connections: number) => ({
    "a bare loop of `fetch`": bare(base, connections),
    "`flags2_asyncio.ts`": script("asyncio", base, connections),
    "`flags2_threadpool.ts`": script("threadpool", base, connections),
  });
  const onLocal: Record<string, Finished[]> = await runInTurns(9, cwd, {
    ...ours(local, 100),
    "`flags2_sequential.ts`, one at a time": script("sequential", local, 1),
    ...await others(cwd, local),
  });
  for (const { name } of Deno.readDirSync(cwd)) {
    if (!["bare", "downloads", "curl", "aria2c"].includes(name)) continue;
    const saved = [...Deno.readDirSync(`${cwd}/${name}`)].length;
    if (saved !== 194) throw new Error(`${saved} files in ${name}, not 194`);
  }
  const at100: Record<string, Finished[]> = await runInTurns(
    5,
    cwd,
    ours(late, 100),
  );
  const at676: Record<string, Finished[]> = await runInTurns(
    5,
    cwd,
    ours(late, 676),
  );

  const seconds = (runs: Finished[]) => median(runs.map((run) => run.seconds))!;
  const overFloor = (connections: number, runs: Finished[] | undefined) =>
    runs && median(runs.map(({ stdout }) => parseReport(stdout).elapsed))! /
      floor(676, connections);
  const limit = seconds(Object.values(onLocal)[0]!);
  const rows = Object.entries(onLocal).map(([name, runs]) => [
    name,
    cell(seconds(runs), 2, " s"),
    cell(seconds(runs) / limit, 2),
    cell(median(runs.map(({ megabytes }) => megabytes)), 0, " MB"),
    cell(overFloor(100, at100[name]), 2),
    cell(overFloor(676, at676[name]), 2),
  ]);
  console.log(markdown(
    [
      "all 676 codes, 194 flags saved",
      "LOCAL -m 100",
      "/ bare loop",
      "peak memory",
      "DELAY -m 100 / floor",
      "DELAY -m 676 / floor",
    ],
    rows,
  ));
}

/** A start, beside that of a script of one line. */
async function help(cwd: string): Promise<string[]> {
  await Deno.writeTextFile(`${cwd}/line.ts`, 'console.log("one line");\n');
  const deno = [Deno.execPath(), "run", "-A"];
  const t = await runInTurns(20, cwd, {
    help: [...deno, `${ROOT}/flags2_asyncio.ts`, "-h"],
    line: [...deno, "line.ts"],
  });
  const ms = (runs: Finished[]) =>
    cell(1000 * median(runs.map((run) => run.seconds))!, 0, " ms");
  return [
    "`flags2_asyncio.ts -h`",
    ms(t.help),
    `a script of one line: ${ms(t.line)}`,
  ];
}

/** What `tqdm` adds to an iteration. */
async function iteration(): Promise<string[]> {
  const nanoseconds = (items: Iterable<number>) => {
    const t0 = performance.now();
    for (const _ of items);
    return 1e6 * (performance.now() - t0) / ITEMS.length;
  };
  const t = await inTurns(25, {
    loop: () => nanoseconds(ITEMS),
    tqdm: () => nanoseconds(tqdm(ITEMS, { output: TERMINAL })),
  });
  const ns = (numbers: number[]) => cell(median(numbers), 0, " ns");
  return [
    "an iteration over `tqdm`",
    ns(t.tqdm),
    `over an array: ${ns(t.loop)}`,
  ];
}

/** What the bar takes of a run on LOCAL, in a terminal. */
async function bar(cwd: string, local: string): Promise<string[]> {
  // In a process of its own each time: the first timer of a process costs most.
  await Deno.writeTextFile(`${cwd}/tqdm.ts`, COLD);
  const loop = async (way: string) => {
    const command = [Deno.execPath(), "run", "-A", "tqdm.ts", way];
    return Number((await run(cwd, command)).stdout);
  };
  const t = await inTurns(9, {
    bare: () => loop("bare"),
    terminal: () => loop("terminal"),
    run: async () => (await run(cwd, script("asyncio", local, 100))).seconds,
  });
  const ms = (numbers: number[]) => 1000 * median(numbers)!;
  return [
    "the bar of 676 codes, in a terminal",
    cell(ms(t.terminal) - ms(t.bare), 1, " ms"),
    `the run on LOCAL: ${cell(ms(t.run), 0, " ms")}`,
  ];
}

/** A loop over 676 items in a new process, bare or with a bar. */
const COLD = `import { tqdm } from "file://${ROOT}/lib/tqdm.ts";
const isTerminal = () => Deno.args[0] === "terminal";
const output = { isTerminal, columns: () => 80, write() {} };
async function* later() {
  for (let i = 0; i < 676; i++) yield i;
}
const t0 = performance.now();
const items = later();
for await (
  const _ of Deno.args[0] === "bare" ? items : tqdm(items, { total: 676, output })
);
// Not before the process has nothing left to wait for.
addEventListener("unload", () => console.log((performance.now() - t0) / 1000));
`;

/** The LOCAL site beside nginx, in requests a second. */
async function site(cwd: string, nginx: string): Promise<string[]> {
  const port = freePort();
  await using _ = await startSite("LOCAL", port, signal);
  const rate = async (url: string) => {
    const command = ["wrk", "-t1", "-c30", "-d2s", `${url}/br/br.gif`];
    const { stdout } = await run(cwd, command);
    return Number(stdout.match(/Requests\/sec:\s+([\d.]+)/)![1]);
  };
  const t = await inTurns(3, {
    nginx: () => rate(nginx),
    site: () => rate(`http://localhost:${port}/flags`),
  });
  const perSecond = (numbers: number[]) => `${cell(median(numbers), 0)}/s`;
  return [
    "requests to the LOCAL site",
    perSecond(t.site),
    `nginx: ${perSecond(t.nginx)}`,
  ];
}

const parser = new ArgumentParser({
  description:
    `Measure what the scripts cost, in some two minutes, and print it as tables in
Markdown. What is not installed of nginx, curl, aria2c and wrk is left out.`,
}, {});

async function main(): Promise<void> {
  if (parser.parse(Deno.args).help) return console.log(parser.help);

  await using stack = new AsyncDisposableStack();
  const folder = stack.use(new TemporaryFolder()).path;
  await Deno.mkdir(`${folder}/bare`);
  await Deno.writeTextFile(`${folder}/bare.js`, BARE);
  const [port, latePort] = [freePort(), freePort()];
  const nginx = await startNginx(folder, port);
  stack.use(nginx ?? await startSite("LOCAL", port, signal));
  stack.use(await startSite("DELAY", latePort, signal));
  const local = `http://localhost:${port}/flags`;
  const late = `http://localhost:${latePort}/flags`;

  console.log(
    `LOCAL is ${nginx ? "an nginx" : "the site that is built in"}.\n`,
  );
  await downloads(folder, local, late);
  const rows = [
    await help(folder),
    await iteration(),
    await bar(folder, local),
  ];
  if (nginx && installed("wrk")) rows.push(await site(folder, local));
  console.log("\n" + markdown(["", "measured", "beside"], rows));
}

if (import.meta.main) {
  using _ = abortOnInterrupt(stop);
  try {
    await main();
  } catch (error) {
    reportError(signal.aborted ? signal.reason : error, parser.usage);
  }
}
