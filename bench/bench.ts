/**
 * Speed and memory against their targets: the scripts beside curl, aria2c and
 * a script of one line, the LOCAL site beside nginx, `tqdm` beside a bare loop.
 *
 * What is compared runs in turns, several times, and the medians count. The
 * flags come from an nginx of its own where there is one, else from the site
 * that is built in.
 *
 * @module
 */

import { expandCcArgs } from "../flags2_common.ts";
import { abortOnInterrupt, reportError } from "../lib/exit.ts";
import { type Output, tqdm } from "../lib/tqdm.ts";
import { startSite } from "../site/serve.ts";
import {
  commandLine,
  freePort,
  parseReport,
  ROOT,
  type Script,
  TemporaryFolder,
} from "../tests/testing.ts";
import { floor } from "./compare.ts";

const CONCURRENT = ["asyncio", "threadpool"] as const;

/** A program that was run to its end. */
interface Finished {
  /** Seconds, of the whole process. */
  seconds: number;
  /** Megabytes at its peak, where the system tells. */
  megabytes: number;
  /** Standard output. */
  stdout: string;
}

const stop = new AbortController();
const { signal } = stop;

/** Run a program. curl ends with 22 after a 404, aria2c with 3. */
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
  let peak = 0;
  const poll = setInterval(async () => {
    const text = await Deno.readTextFile(`/proc/${child.pid}/status`)
      .catch(() => "");
    peak = Number(text.match(/VmHWM:\s+(\d+)/)?.[1] ?? peak);
  }, 5);
  const { code, stdout, stderr } = await child.output();
  const seconds = (performance.now() - t0) / 1000;
  clearInterval(poll);
  signal.throwIfAborted();
  if (![0, 3, 22].includes(code)) {
    throw new Error(`${program} failed: ${new TextDecoder().decode(stderr)}`);
  }
  return {
    seconds,
    megabytes: peak / 1024,
    stdout: new TextDecoder().decode(stdout),
  };
}

/** The middle one of some numbers. */
function median(numbers: number[]): number {
  return numbers.toSorted((a, b) => a - b)[numbers.length >> 1]!;
}

/** Measure some things in turns, and take the median of each. */
async function inTurns<K extends string>(
  times: number,
  measures: Record<K, () => number | Promise<number>>,
): Promise<Record<K, number>> {
  const all = {} as Record<K, number[]>;
  for (let i = 0; i < times; i++) {
    for (const name in measures) {
      (all[name] ??= []).push(await measures[name]());
    }
  }
  const medians = {} as Record<K, number>;
  for (const name in all) medians[name] = median(all[name]);
  return medians;
}

/** One line for a target: what was measured, the target, and if it is met. */
function report(what: string, ratio: number, target: number, unit = "x"): void {
  const verdict = ratio <= target ? "ok" : "missed";
  console.log(
    `${what.padEnd(56)}${ratio.toFixed(2).padStart(8)} ${unit.padEnd(3)}` +
      `  <= ${String(target).padEnd(4)}  ${verdict}`,
  );
}

/** True when a program is installed; says so when it is not. */
function installed(program: string): boolean {
  try {
    new Deno.Command(program, { args: ["-v"], stdout: "null", stderr: "null" })
      .outputSync();
    return true;
  } catch {
    console.log(`${program} is not installed: what it is for is left out`);
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

/** The scripts beside other downloaders, for all codes. */
async function downloads(cwd: string, base: string): Promise<void> {
  const seconds = async (command: string[]) =>
    (await run(cwd, command)).seconds;
  const script = (name: Script) =>
    seconds(
      commandLine(name, ["-e", "-m", "100"], { servers: { LOCAL: base } }),
    );
  const urls = expandCcArgs(true, false, []).map((cc) => {
    const name = cc.toLowerCase();
    return { url: `${base}/${name}/${name}.gif`, file: `${name}.gif` };
  });
  await Deno.mkdir(`${cwd}/other`);
  await Deno.writeTextFile(
    `${cwd}/curl.txt`,
    urls.map(({ url, file }) => `url=${url}\noutput=other/${file}\n`).join(""),
  );
  await Deno.writeTextFile(
    `${cwd}/aria2.txt`,
    urls.map(({ url, file }) => `${url}\n  out=${file}\n`).join(""),
  );
  const curl = "curl --silent --fail --config curl.txt".split(" ");
  const parallel = [...curl, "--parallel", "--parallel-max", "100"];
  const aria2c =
    "aria2c -q --async-dns=false --allow-overwrite=true -d other -j 100 -i aria2.txt"
      .split(" ");

  const hasCurl = installed("curl");
  const t = await inTurns(9, {
    asyncio: () => script("asyncio"),
    threadpool: () => script("threadpool"),
    sequential: () => script("sequential"),
    curl: hasCurl ? () => seconds(curl) : () => NaN,
    parallel: hasCurl ? () => seconds(parallel) : () => NaN,
    aria2c: installed("aria2c") ? () => seconds(aria2c) : () => NaN,
  });
  console.log(t);
  if (hasCurl) {
    report("asyncio / curl --parallel", t.asyncio / t.parallel, 1.5);
    report("sequential / curl", t.sequential / t.curl, 2);
  }
  if (t.aria2c) report("asyncio / aria2c", t.asyncio / t.aria2c, 1);
  report("threadpool / asyncio", t.threadpool / t.asyncio, 1.25);
}

/** The scripts on the DELAY site, beside the floor. */
async function delays(cwd: string, base: string): Promise<void> {
  for (const [connections, target] of [[100, 1.02], [676, 1.15]] as const) {
    for (const name of CONCURRENT) {
      const args = ["-e", "-s", "DELAY", "-m", `${connections}`];
      const command = commandLine(name, args, { servers: { DELAY: base } });
      const t = await inTurns(3, {
        elapsed: async () =>
          parseReport((await run(cwd, command)).stdout).elapsed,
      });
      const ratio = t.elapsed / floor(676, connections);
      report(`${name} -m ${connections} / floor`, ratio, target);
    }
  }
}

/** Peak memory, and how time and memory grow with the codes. */
async function growth(cwd: string, base: string): Promise<void> {
  const servers = { LOCAL: base };
  for (
    const [name, target] of [["asyncio", 100], ["threadpool", 130]] as const
  ) {
    const command = commandLine(name, ["-e", "-m", "676"], { servers });
    const t = await inTurns(5, {
      megabytes: async () => (await run(cwd, command)).megabytes,
    });
    report(`${name} -m 676, peak memory`, t.megabytes, target, "MB");
  }
  for (const name of CONCURRENT) {
    let before:
      | { codes: number; seconds: number; megabytes: number }
      | undefined;
    for (const codes of [20, 100, 194, 676]) {
      const args = ["-e", "-m", "100", "-l", `${codes}`];
      const command = commandLine(name, args, { servers });
      const runs: Finished[] = [];
      for (let i = 0; i < 5; i++) runs.push(await run(cwd, command));
      const seconds = median(runs.map((run) => run.seconds));
      const megabytes = median(runs.map((run) => run.megabytes));
      console.log(
        `${name}, ${codes} codes: ${seconds.toFixed(3)} s, ${
          megabytes.toFixed(0)
        } MB`,
      );
      if (before) {
        const times = codes / before.codes;
        const faster = Math.max(
          seconds / before.seconds,
          megabytes / before.megabytes,
        ) / times;
        report(`${name}, growth / growth of the codes`, faster, 1);
      }
      before = { codes, seconds, megabytes };
    }
  }
}

/** `-h` beside a script that prints a line. */
async function help(cwd: string): Promise<void> {
  await Deno.writeTextFile(`${cwd}/line.ts`, 'console.log("one line");\n');
  const line = [Deno.execPath(), "run", "-A", "line.ts"];
  const script = [
    Deno.execPath(),
    "run",
    "-A",
    `${ROOT}/flags2_asyncio.ts`,
    "-h",
  ];
  const t = await inTurns(20, {
    help: async () => (await run(cwd, script)).seconds,
    line: async () => (await run(cwd, line)).seconds,
  });
  report("-h / a script of one line", t.help / t.line, 1.5);
}

/** `tqdm` beside a bare loop. */
async function bar(): Promise<void> {
  const output: Output = {
    isTerminal: () => true,
    columns: () => 80,
    write() {},
  };
  const items = Array.from({ length: 1_000_000 }, (_, i) => i);
  const nanoseconds = (iterable: Iterable<number>) => {
    const t0 = performance.now();
    let sum = 0;
    for (const item of iterable) sum += item;
    return (performance.now() - t0) / sum * sum;
  };
  const t = await inTurns(9, {
    bare: () => nanoseconds(items),
    tqdm: () => nanoseconds(tqdm(items, { output })),
  });
  report("tqdm - a bare loop, an iteration", t.tqdm - t.bare, 60, "ns");
}

/** The LOCAL site beside nginx, in requests a second. */
async function site(cwd: string, base: string): Promise<void> {
  const port = freePort();
  await using _ = await startSite("LOCAL", port, signal);
  const rate = async (url: string) => {
    const command = ["wrk", "-t1", "-c30", "-d2s", `${url}/br/br.gif`];
    const { stdout } = await run(cwd, command);
    return Number(stdout.match(/Requests\/sec:\s+([\d.]+)/)![1]);
  };
  const t = await inTurns(3, {
    nginx: () => rate(base),
    site: () => rate(`http://localhost:${port}/flags`),
  });
  console.log(t);
  report("nginx / the LOCAL site, requests a second", t.nginx / t.site, 3);
}

async function main(): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(new TemporaryFolder()).path;
  const [port, late] = [freePort(), freePort()];
  const nginx = await startNginx(folder, port);
  stack.use(nginx ?? await startSite("LOCAL", port, signal));
  stack.use(await startSite("DELAY", late, signal));
  const base = `http://localhost:${port}/flags`;

  await help(folder);
  await bar();
  await downloads(folder, base);
  await growth(folder, base);
  if (nginx && installed("wrk")) await site(folder, base);
  await delays(folder, `http://localhost:${late}/flags`);
}

if (import.meta.main) {
  using _ = abortOnInterrupt(stop, () => {});
  try {
    await main();
  } catch (error) {
    reportError(signal.aborted ? signal.reason : error, "usage: bench.ts");
  }
}
