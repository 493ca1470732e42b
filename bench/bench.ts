/**
 * The times of the scripts, two bare loops of `fetch`, curl and aria2c as a table
 * in Markdown. It also compares the start of a script with that of an empty one,
 * and the LOCAL site with nginx.
 *
 * hyperfine measures whole processes, and wrk measures the sites. The programs take
 * turns several times, and the table shows the medians.
 *
 * @module
 */

import { delay } from "@std/async/delay";
import { expandCcArgs } from "../flags2_common.ts";
import { SystemExit } from "../lib/exit.ts";
import { startSite } from "../site/start.ts";
import {
  commandLine,
  freePort,
  ROOT,
  shellQuote,
  TemporaryFolder,
  withPorts,
} from "./scripts.ts";
import { floor, markdown, runMain } from "./compare.ts";
import { runProgram } from "./lanes.ts";

/** Report whether a program is installed, and print a line if it is not. */
function installed(program: string): boolean {
  try {
    return !!new Deno.Command(program, { args: ["-v"] }).outputSync();
  } catch {
    console.log(`${program} is not installed: skipping its measurements.`);
    return false;
  }
}

/** Measure several numbers together nine times, and return their medians. */
export async function medians(
  measure: () => Promise<number[]>,
): Promise<number[]> {
  const all = await Array.fromAsync({ length: 9 }, measure);
  const sorted = (i: number) => all.map((one) => one[i]!).sort((a, b) => a - b);
  return all[0]!.map((_, i) => sorted(i)[all.length >> 1]!);
}

/** Return the names and command lines of the programs that download all codes. */
function programs(base: string, connections: number): [string, string[]][] {
  const bare = [Deno.execPath(), "run", "-A", "--no-config"]
    .concat(`${ROOT}/bench/bare.ts`, base, `${connections}`);
  const args = ["-s", base, "-e", "-m", `${connections}`];
  const curl = "curl -sf --create-dirs --output-dir curl --remote-name-all " +
    "--parallel --parallel-max 100 -K ../curl.txt";
  const aria2c = "aria2c -q -d aria2c -j 100 --async-dns=false -i ../aria2.txt";
  return [
    ["a bare loop of `fetch`", [...bare, "bare"]],
    ["a loop with timeouts and atomic saves", [...bare, "whole"]],
    ["`flags2_asyncio.ts`", commandLine("asyncio", args)],
    ["`flags2_threadpool.ts`", commandLine("threadpool", args)],
    ["`flags2_sequential.ts`, one at a time", commandLine("sequential", args)],
    ["`curl --parallel`", curl.split(" ")],
    ["`aria2c -j 100`", aria2c.split(" ")],
  ];
}

/**
 * Measure the seconds of whole processes. Each round has a new folder in memory if
 * possible, because a disk may need 1 ms for each new file.
 *
 * @throws {SystemExit} If a program fails or does not save all flags.
 */
async function time(path: string, commands: string[][], signal: AbortSignal) {
  const count = "ls -d */ | wc -l && ls */*.gif | wc -l";
  const shell = `cd new && "$@" && ${count}`;
  let words = ["unshare", "-rm", "sh", "-c"]
    .concat(`mount -t tmpfs tmpfs new && ${shell}`, "sh");
  await Deno.mkdir(`${path}/new`);
  await runProgram(path, [...words, "true"], signal).catch(() => {
    console.log("Cannot mount a tmpfs; saving the flags on disk.");
    words = ["sh", "-c", `rm -r new && mkdir new && ${shell}`, "sh"];
  });
  words = words.concat("hyperfine -N -i -r 1 --style none".split(" "))
    .concat("--export-json", "../times", commands.map(shellQuote));
  return await medians(async () => {
    const output = await runProgram(path, words, signal);
    const [folders, flags] = output.split("\n").map(Number);
    const found = `${flags} flags in ${folders} folders`;
    if (flags !== 194 * folders!) {
      throw new SystemExit(`${found}, not 194 in each`);
    }
    const { results } = JSON.parse(await Deno.readTextFile(`${path}/times`));
    for (const { command, exit_codes: [code] } of results) {
      // The exit status after a 404 is 22 for curl and 3 for aria2c.
      if (![0, 3, 22].includes(code)) throw new SystemExit(`${command} failed`);
    }
    return results.map(({ median }: { median: number }) => median);
  });
}

/** Start nginx with site/nginx.conf, at other ports and after an edit. */
export async function startNginx(
  stack: AsyncDisposableStack,
  ports: number[],
  edit = (conf: string) => conf,
): Promise<void> {
  const { path } = stack.use(new TemporaryFolder());
  const conf = await Deno.readTextFile(`${ROOT}/site/nginx.conf`);
  const edited = edit(withPorts(conf, ports));
  await Deno.mkdir(`${path}/site`);
  await Deno.writeTextFile(`${path}/site/nginx.conf`, edited);
  await Deno.symlink(`${ROOT}/flags`, `${path}/flags`);
  // Other users cannot read this folder.
  const user = Deno.uid() === 0 ? ["-g", "user root;"] : [];
  const args = ["-p", path, "-c", "site/nginx.conf", ...user];
  stack.use(new Deno.Command("nginx", { args, stderr: "null" }).spawn());
  for (let tries = 0; tries < 100; tries++) {
    try {
      return (await Deno.connect({ port: ports[0]! })).close();
    } catch {
      await delay(20);
    }
  }
  throw new SystemExit("nginx does not serve with site/nginx.conf");
}

async function main(signal: AbortSignal): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const { path } = stack.use(new TemporaryFolder());
  const ports = Array.from({ length: 4 }, freePort);
  const site = (i: number) => `http://localhost:${ports[i]}/flags`;
  const hasNginx = installed("nginx");
  if (hasNginx) await startNginx(stack, ports);
  else stack.use(await startSite("DELAY", ports[1]!, signal));
  stack.use(await startSite("LOCAL", ports[3]!, signal));
  const [local, late] = [site(hasNginx ? 0 : 3), site(1)];

  if (hasNginx && installed("wrk")) {
    const rate = async (base: string) => {
      const wrk = ["wrk", "-t1", "-c30", "-d1s", `${base}/br/br.gif`];
      const output = await runProgram(path, wrk, signal);
      return Number(output.match(/Requests\/sec: +(\S+)/)![1]);
    };
    const both = async () => [await rate(site(3)), await rate(local)];
    const [ours, theirs] = (await medians(both)).map(Math.round);
    const rates = `${ours} requests a second, nginx ${theirs}`;
    console.log(`The LOCAL site answers ${rates}.`);
  }
  if (!installed("hyperfine")) return;
  const urls = expandCcArgs(true, false, []).map((cc) => cc.toLowerCase())
    .map((cc) => `${local}/${cc}/${cc}.gif`);
  await Deno.writeTextFile(`${path}/aria2.txt`, urls.join("\n"));
  await Deno.writeTextFile(`${path}/curl.txt`, "url=" + urls.join("\nurl="));
  await Deno.writeTextFile(`${path}/empty.ts`, "");
  const onLocal = programs(local, 100).filter(([, [name]]) => installed(name!));
  const onDelay = [100, 676].flatMap((n) => programs(late, n).slice(0, 4));
  const [help, empty, ...times] = await time(path, [
    commandLine("asyncio", ["-h"]),
    [Deno.execPath(), "run", "-A", "../empty.ts"],
    ...[...onLocal, ...onDelay].map(([, words]) => words),
  ], signal) as [number, number, ...number[]];
  const ms = (time: number) => `${(1000 * time).toFixed(0)} ms`;
  const over = (least: number, time?: number) =>
    time ? (time / least).toFixed(2) : "";
  console.log(
    `\`flags2_asyncio.ts -h\` takes ${ms(help)}, an empty script ${ms(empty)}:`,
    `${over(empty, help)} times as long.\n`,
  );
  const delayed = times.slice(onLocal.length);
  const rows = onLocal.map(([name], i) => [
    name,
    ms(times[i]!),
    over(times[0]!, times[i]),
    over(times[1]!, times[i]),
    over(floor(676, 100), i < 4 ? delayed[i] : 0),
    over(floor(676, 676), i < 4 ? delayed[i + 4] : 0),
  ]);
  const head = "all 676 codes,LOCAL -m 100,/ bare loop,/ whole files," +
    "DELAY -m 100 / floor,DELAY -m 676 / floor";
  console.log(markdown(head.split(","), rows));
}

if (import.meta.main) await runMain(main);
