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
import { parseOptions, quote, UsageError } from "../lib/argparse.ts";
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
} from "./scripts.ts";
import { ITEMS, TERMINAL } from "./tqdm_bench.ts";

const CONCURRENT = ["asyncio", "threadpool"] as const;

/** A program that was run to its end. */
interface Finished {
  /** Seconds, of the whole process. */
  seconds: number;
  /** Megabytes at its peak; NaN where there is no /proc that tells. */
  megabytes: number;
  /** Standard output. */
  stdout: string;
}

const stop = new AbortController();
const { signal } = stop;

/**
 * Run a program, `watched` for its memory. curl ends with 22 after a 404,
 * aria2c with 3.
 */
async function run(
  cwd: string,
  [program, ...args]: string[],
  watched = false,
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
  let peak = NaN;
  const poll = watched && setInterval(() => {
    try {
      const status = Deno.readTextFileSync(`/proc/${child.pid}/status`);
      peak = Number(status.match(/VmHWM:\s+(\d+)/)?.[1] ?? peak);
    } catch { // It has ended, or there is no /proc.
    }
  }, 5);
  const { code, stdout, stderr } = await child.output();
  const seconds = (performance.now() - t0) / 1000;
  if (poll) clearInterval(poll);
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

/**
 * One line: what was measured and, if there is a target, whether it is met.
 */
function report(
  what: string,
  value: number,
  target?: number,
  unit = "x",
): void {
  const verdict = target === undefined
    ? ""
    : `  <= ${String(target).padEnd(4)}  ${value <= target ? "ok" : "missed"}`;
  console.log(
    `${what.padEnd(46)}${value.toFixed(2).padStart(9)} ${
      unit.padEnd(2)
    }${verdict}`
      .trimEnd(),
  );
}

/** The least that a script can do: fetch every URL, save nothing. */
const BARE = `const [base, connections] = Deno.args;
const letters = [..."abcdefghijklmnopqrstuvwxyz"];
const codes = letters.flatMap((a) => letters.map((b) => a + b));
const t0 = performance.now();
await Promise.all(Array.from({ length: Number(connections) }, async () => {
  for (let cc; (cc = codes.pop());) {
    await (await fetch(base + "/" + cc + "/" + cc + ".gif")).bytes();
  }
}));
console.log((performance.now() - t0) / 1000);
`;

/** The words of the command line that runs it. */
function bare(base: string, connections: number): string[] {
  return [Deno.execPath(), "run", "-A", "bare.js", base, `${connections}`];
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
async function downloads(cwd: string, base: string): Promise<number> {
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
    bare: () => seconds(bare(base, 100)),
    asyncio: () => script("asyncio"),
    threadpool: () => script("threadpool"),
    sequential: () => script("sequential"),
    curl: hasCurl ? () => seconds(curl) : () => NaN,
    parallel: hasCurl ? () => seconds(parallel) : () => NaN,
    aria2c: installed("aria2c") ? () => seconds(aria2c) : () => NaN,
  });
  for (const [name, time] of Object.entries(t)) {
    if (time) report(`LOCAL, 676 codes: ${name}`, time, undefined, "s");
  }
  if (hasCurl) {
    report("a bare loop of fetch / curl --parallel", t.bare / t.parallel);
    report("asyncio / curl --parallel", t.asyncio / t.parallel, 1.5);
    report("sequential / curl", t.sequential / t.curl, 2);
  }
  if (t.aria2c) report("asyncio / aria2c", t.asyncio / t.aria2c, 1);
  report("threadpool / asyncio", t.threadpool / t.asyncio, 1.25);
  return t.asyncio;
}

/** The scripts on the DELAY site, beside the floor. */
async function delays(cwd: string, base: string): Promise<void> {
  const servers = { DELAY: base };
  for (const [connections, target] of [[100, 1.02], [676, 1.15]] as const) {
    const args = ["-e", "-s", "DELAY", "-m", `${connections}`];
    const stdout = async (command: string[]) =>
      (await run(cwd, command)).stdout;
    const elapsed = async (name: Script) =>
      parseReport(await stdout(commandLine(name, args, { servers }))).elapsed;
    const t = await inTurns(5, {
      bare: async () => Number(await stdout(bare(base, connections))),
      asyncio: () => elapsed("asyncio"),
      threadpool: () => elapsed("threadpool"),
    });
    const least = floor(676, connections);
    report(`DELAY -m ${connections}: bare fetch / floor`, t.bare / least);
    for (const name of CONCURRENT) {
      const what = `DELAY -m ${connections}: ${name} / floor`;
      report(what, t[name] / least, target);
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
      megabytes: async () => (await run(cwd, command, true)).megabytes,
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
      for (let i = 0; i < 5; i++) runs.push(await run(cwd, command, true));
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

/** `tqdm` beside a bare loop, and its share of a run of so many seconds. */
async function bar(cwd: string, elapsed: number): Promise<void> {
  const options = { output: TERMINAL };
  const sync = (items: Iterable<number>) => {
    const t0 = performance.now();
    for (const _ of items);
    return 1e6 * (performance.now() - t0) / ITEMS.length;
  };
  const t = await inTurns(25, {
    bare: () => sync(ITEMS),
    tqdm: () => sync(tqdm(ITEMS, options)),
  });
  report("tqdm - a bare loop, an iteration", t.tqdm - t.bare, 60, "ns");

  // In a process of its own each time: the first timer of a process costs most.
  await Deno.writeTextFile(`${cwd}/tqdm.ts`, COLD);
  const seconds = async (way: string) => {
    const command = [Deno.execPath(), "run", "-A", "tqdm.ts", way];
    return Number((await run(cwd, command)).stdout);
  };
  const share = await inTurns(9, {
    bare: () => seconds("bare"),
    pipe: () => seconds("pipe"),
    terminal: () => seconds("terminal"),
  });
  for (const way of ["pipe", "terminal"] as const) {
    const percent = 100 * (share[way] - share.bare) / elapsed;
    report(`tqdm on a ${way} / asyncio on LOCAL`, percent, 1, "%");
  }
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
  report("requests a second: nginx", t.nginx, undefined, "");
  report("requests a second: the LOCAL site", t.site, undefined, "");
  report("nginx / the LOCAL site, requests a second", t.nginx / t.site, 3);
}

const USAGE = "usage: bench.ts [-h]";

const HELP = `${USAGE}

Measure the speed and the memory of the scripts. What is not installed of
nginx, curl, aria2c and wrk is left out.

options:
  -h, --help            show this help message and exit`;

async function main(): Promise<void> {
  const { help: asked, _: words } = parseOptions(Deno.args, { help: "h" }, {});
  if (words.length > 0) {
    throw new UsageError(`${quote(words[0]!)} is no option`);
  }
  if (asked) return console.log(HELP);

  await using stack = new AsyncDisposableStack();
  const folder = stack.use(new TemporaryFolder()).path;
  const [port, late] = [freePort(), freePort()];
  const nginx = await startNginx(folder, port);
  stack.use(nginx ?? await startSite("LOCAL", port, signal));
  stack.use(await startSite("DELAY", late, signal));
  const base = `http://localhost:${port}/flags`;

  await Deno.writeTextFile(`${folder}/bare.js`, BARE);
  console.log(`The flags come from ${nginx ? "nginx" : "the LOCAL site"}.`);
  await help(folder);
  await bar(folder, await downloads(folder, base));
  await growth(folder, base);
  if (nginx && installed("wrk")) await site(folder, base);
  await delays(folder, `http://localhost:${late}/flags`);
}

if (import.meta.main) {
  using _ = abortOnInterrupt(stop, () => {});
  try {
    await main();
  } catch (error) {
    reportError(signal.aborted ? signal.reason : error, USAGE);
  }
}
