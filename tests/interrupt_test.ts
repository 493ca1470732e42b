import { assert, assertEquals, assertMatch } from "@std/assert";
import { delay } from "@std/async/delay";
import { pooledMap } from "@std/async/pool";
import { describe } from "@std/testing/bdd";
import { FaultSite, savedIn } from "./fault_site.ts";
import {
  commandLine,
  parseReport,
  ROOT,
  type Script,
  SCRIPTS,
  shellQuote,
  STD,
  TemporaryFolder,
} from "../bench/scripts.ts";
import { outcome, type RunOptions, spawn, start } from "./processes.ts";
import { project, projectAtFreePorts } from "./projects.ts";
import { eventually, has, itIf, itInTerminal, itOnPosix } from "./testing.ts";

/** The signals that end a run, and their exit statuses. */
const STATUSES = { SIGHUP: 129, SIGINT: 130, SIGQUIT: 131, SIGTERM: 143 };
const SIGNALS = Object.entries(STATUSES) as [Deno.Signal, number][];

const CODES = [..."ABC"].flatMap((first) =>
  [..."ABCDEFGHIJ"].map((second) => first + second)
);

/** Send a signal to a process that may have ended. */
function kill(pid: number, signal: Deno.Signal): void {
  try {
    Deno.kill(pid, signal);
  } catch { /* The process has ended. */ }
}

const inTerminal = (line: string) => ["script", "-qec", line, "/dev/null"];

/** A folder, and a site that answers nine requests and then holds the others. */
class Held extends TemporaryFolder {
  readonly site = new FaultSite({ AC: "404", AD: "503" }, { holdAfter: 9 });

  /** Return the words that run a script with five connections. */
  words(script: Script, options: Partial<RunOptions> = {}): string[] {
    const args = ["-s", this.site.url, "-m", "5", "-t", "60", ...CODES];
    return commandLine(script, args, options);
  }

  /** Start a program, and wait until the site has received its requests. */
  async start(words: string[], count = 14, stdin: "null" | "piped" = "null") {
    const child = spawn(words, { cwd: this.path, stdin });
    const ended = outcome(child);
    await this.site.received(count);
    return { child, ended };
  }

  /** Start a line of a shell in a terminal, and then close the window. */
  async closeWindow(line: string): Promise<void> {
    const { child, ended } = await this.start(inTerminal(line));
    child.kill("SIGKILL");
    await ended;
  }

  /** Return the text of a file in the folder as soon as it has some. */
  read = (name: string) =>
    eventually(() => Deno.readTextFile(`${this.path}/${name}`).catch(() => ""));

  /** Return the first codes that were requested and have a flag, sorted. */
  flags(requests: number): string[] {
    const codes = this.site.requests.slice(0, requests).sort();
    return codes.filter((cc) => !(cc in this.site.faults));
  }

  /** Assert that the report counts the nine answers, and that their flags exist. */
  async assertStopped(report: string): Promise<void> {
    const { elapsed: _, ...counts } = parseReport(report);
    const flags = this.flags(9);
    const done = this.site.requests.slice(0, 9);
    assertEquals(counts, {
      flags: flags.length,
      notFound: Number(done.includes("AC")),
      errors: Number(done.includes("AD")),
      notFinished: 21,
    }, report);
    assertEquals(await savedIn(this), flags);
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    await this.site[Symbol.asyncDispose]();
    await super[Symbol.asyncDispose]();
  }
}

/** Words that run a program as process 1 of a container. */
const CONTAINER = ["unshare", "-rpf", "--mount-proc", "--kill-child"] as const;
const itAsFirst = itIf(await has(...CONTAINER, "true"), "process namespaces");

for (const [i, script] of SCRIPTS.entries()) {
  const [signal, status] = SIGNALS[i]!;
  const requests = script === "sequential" ? 10 : 14;
  itOnPosix(`${signal} ends flags2_${script}.ts with its report`, async () => {
    await using held = new Held();
    const { child, ended } = await held.start(held.words(script), requests);
    child.kill(signal);
    const { code, stdout, stderr } = await ended;
    assertEquals([code, stderr], [status, ""], stdout);
    assertMatch(stdout, /^ *\d+%\|.*\| 9\/30 \[.*\]\n-{20}$/m);
    await held.assertStopped(stdout);
    assertEquals(held.site.requests.length, requests);
  });
}

describe("Ctrl-C", () => {
  itOnPosix("counts as one signal within 250 ms", async () => {
    const program = `
import { abortOnInterrupt } from "${import.meta.resolve("../lib/exit.ts")}";
let now;
performance.now = () => now;
const run = new AbortController();
abortOnInterrupt(run, () => console.log("ends at", now));
for (now of [1000, 1249, 1250, 1251]) {
  const { promise, resolve } = Promise.withResolvers();
  Deno.addSignalListener("SIGINT", resolve);
  Deno.kill(Deno.pid, "SIGINT");
  await promise;
  console.log(now, run.signal.aborted);
}`;
    const config = `--config=${ROOT}/deno.json`;
    const child = spawn([Deno.execPath(), "eval", ...STD, config, program]);
    const { code, stdout } = await outcome(child);
    const expected = "1000 true\n1249 true\nends at 1250\n";
    assertEquals([code, stdout], [130, expected]);
  });

  itInTerminal("ends a script at once the second time", async () => {
    await using copy = await project();
    // The disk hangs when a file exists: flags are written but not renamed.
    const hang = `const { rename: move } = Deno;
      Deno.rename = (...paths) => Deno.stat("downloads/hang")
        .then(() => new Promise(() => {}), () => move(...paths));`;
    const file = `${copy.path}/lib/files.ts`;
    await Deno.writeTextFile(file, hang, { append: true });
    await using held = new Held();
    const words = shellQuote(held.words("threadpool", { root: copy.path }));
    const line = `echo $$ > pid; exec ${words}`;
    const { ended } = await held.start(inTerminal(line));
    await Deno.writeTextFile(`${held.path}/downloads/hang`, "");
    held.site.release();
    await eventually(async () =>
      (await held.list()).filter((name) => name.endsWith(".tmp")).length === 5
    );
    const pid = Number(await held.read("pid"));
    let isOver = false;
    ended.finally(() => isOver = true);
    // On a busy machine two signals may arrive as one.
    for (let i = 0; i < 300 && !isOver; i++) {
      kill(pid, i < 299 ? "SIGINT" : "SIGKILL");
      await delay(300);
    }
    const { code, stdout } = await ended;
    assertEquals(code, 130, stdout);
    // The bar ends with a new line, and no report follows.
    // deno-lint-ignore no-control-regex
    assertMatch(stdout, /\/30 \[[^\n]*\]\x1b\[K\r?\n$/);
    await Deno.remove(`${held.path}/downloads/hang`);
    assertEquals(await savedIn(held), held.flags(9));
  });

  itOnPosix("ends a script with its report while the site starts", async () => {
    await using copy = await projectAtFreePorts();
    const { path } = copy;
    // The site waits until a file exists.
    const late = `while (!await Deno.stat("${path}/flags/go").catch(() => 0));`;
    await Deno.writeTextFile(`${path}/site/serve.ts`, late, { append: true });
    const child = start("asyncio", ["br", "us"], { cwd: path, root: path });
    let printed = "";
    const stdout = child.stdout.pipeThrough(new TextDecoderStream());
    for await (const text of stdout) {
      printed += text;
      if (!/will be used\.\n$/.test(printed)) continue;
      child.kill("SIGINT");
      await Deno.writeTextFile(`${path}/flags/go`, "");
    }
    const { code } = await child.status;
    await child.stderr.cancel();
    assertEquals([code, parseReport(printed).notFinished], [130, 2], printed);
  });

  itAsFirst("ends process 1 of a container with its report", async () => {
    await using held = new Held();
    const words = [...CONTAINER, ...held.words("asyncio")];
    const { child, ended } = await held.start(words);
    const children = `/proc/${child.pid}/task/${child.pid}/children`;
    const { stdout: pid } = await outcome(spawn(["cat", children]));
    for (let i = 0; i < 40; i++) {
      kill(Number(pid), "SIGINT");
      await delay(5);
    }
    const { code, stdout, stderr } = await ended;
    assertEquals([code, stderr], [130, ""], stdout);
    await held.assertStopped(stdout);
  });

  itInTerminal("ends a script with its report under deno task", async () => {
    await using held = new Held();
    const [, ...words] = held.words("threadpool");
    const tasks = { flags: `deno ${shellQuote(words)}` };
    const config = JSON.stringify({ tasks });
    await Deno.writeTextFile(`${held.path}/deno.json`, config);
    const line = inTerminal(`${shellQuote([Deno.execPath()])} task flags`);
    const { child, ended } = await held.start(line, 14, "piped");
    await new Blob(["\x03"]).stream().pipeTo(child.stdin); // Ctrl-C
    const { code, stdout } = await ended;
    assertEquals(code, 130, stdout);
    await held.assertStopped(stdout.replaceAll("\r", ""));
  });
});

describe("closing the window", () => {
  itInTerminal("ends a script with its report", async () => {
    await using held = new Held();
    const words = shellQuote(held.words("threadpool"));
    // The report goes to a file, because the window is closed. The shell sends
    // SIGHUP to its job, as the shell of a terminal does.
    const shell = '"$@" > report & trap "kill -HUP $!" HUP; ' +
      "wait $!; wait $!; echo $? > status";
    await held.closeWindow(`exec sh -c ${shellQuote([shell])} sh ${words}`);
    assertEquals(await held.read("status"), "129\n");
    await held.assertStopped(await held.read("report"));
  });

  itInTerminal("loses no flag of a script that ignores SIGHUP", async () => {
    await using held = new Held();
    const shell = `trap "" HUP; setsid --wait sh -c '"$@"; echo $? > status'`;
    await held.closeWindow(`${shell} sh ${shellQuote(held.words("asyncio"))}`);
    held.site.release();
    assertEquals(await held.read("status"), "1\n"); // No report was written.
    assertEquals(await savedIn(held), held.flags(30));
  });
});

const times = Number(Deno.env.get("INTERRUPTS") ?? 9);
let seed = Number(Deno.env.get("SEED") ?? Date.now() % 1e6);
const often = `${times} times (INTERRUPTS=60 for more; SEED=${seed})`;

itOnPosix(`Ctrl-C at any moment leaves whole flags, ${often}`, async () => {
  /** Return a number in [0, 1) that depends on the seed. */
  const chance = () => 1e4 * Math.abs(Math.sin(seed++)) % 1;
  const once = async (i: number) => {
    await using folder = new TemporaryFolder();
    await using site = new FaultSite({ AC: "404", BD: "503" }, { latency: 20 });
    const [signal, status] = SIGNALS[Math.floor(SIGNALS.length * chance())]!;
    const moment = 500 * chance();
    const args = ["-v", "-s", site.url, "-m", "5", ...CODES];
    const child = start(SCRIPTS[i % 3]!, args, { cwd: folder.path });
    const result = outcome(child);
    await delay(moment);
    kill(child.pid, signal);
    const { code, stdout, stderr } = await result;
    const context = `${i}: ${signal} after ${moment} ms\n${code}\n${stdout}`;
    assert(code === 0 || code === status, context);
    assertEquals(stderr, "", context);
    const saved = await savedIn(folder);
    // A script that ends before its first report prints no final report.
    if (!stdout.includes("Searching")) return assertEquals(saved, [], context);
    const { flags, notFound, errors, notFinished } = parseReport(stdout);
    const counted = flags + notFound + errors + notFinished;
    assertEquals([counted, flags], [CODES.length, saved.length], context);
  };
  for await (const _ of pooledMap(4, Array(times).keys(), once));
});
