import { assert, assertEquals, assertMatch } from "@std/assert";
import { delay } from "@std/async/delay";
import { pooledMap } from "@std/async/pool";
import { describe } from "@std/testing/bdd";
import { assertFlags, FaultSite } from "./fault_site.ts";
import {
  commandLine,
  eventually,
  has,
  itIf,
  itInTerminal,
  itOnPosix,
  outcome,
  parseReport,
  type ProjectAtFreePorts,
  quoted,
  SCRIPTS,
  sharedProject,
  spawn,
  start,
  TemporaryFolder,
} from "./testing.ts";

/** The signals that end a run, with the exit status of each. */
const SIGNALS: [Deno.Signal, number][] = [
  ["SIGINT", 130],
  ["SIGQUIT", 131],
  ["SIGTERM", 143],
];
// Elsewhere a run with pipes only takes it for ignored.
if (Deno.build.os === "linux") SIGNALS.push(["SIGHUP", 129]);

/** A line of lib/files.ts, and what hangs there once there is a pipe there. */
const RENAME = "await Deno.rename(temporary, path);";
const HANGING = `await Deno.stat("downloads/hang").then(
      () => Deno.open("downloads/hang", { write: true }), // Which nobody reads.
      () => Deno.rename(temporary, path),
    );`;

/** What keeps site/serve.ts from its start as long as a file is there. */
const LATE = `
while (await Deno.stat(new URL("../late", import.meta.url)).catch(() => null));
`;

let slow: Promise<ProjectAtFreePorts> | undefined;

/** A copy of the project where there is time for Ctrl-C. */
function slowProject(): Promise<ProjectAtFreePorts> {
  return slow ??= sharedProject().then(async (copy) => {
    const [files, serve] = ["lib/files.ts", "site/serve.ts"]
      .map((name) => `${copy.path}/${name}`) as [string, string];
    const text = await Deno.readTextFile(files);
    assert(text.includes(RENAME));
    await Deno.writeTextFile(files, text.replace(RENAME, HANGING));
    await Deno.writeTextFile(serve, LATE, { append: true });
    return copy;
  });
}

/** Options that grant what a run needs, at any port; less than `-A`. */
const SOME = "--allow-net --allow-read --allow-write";

const CODES = [..."ABC"].flatMap((first) =>
  [..."ABCDEFGHIJ"].map((second) => first + second)
);

/** What a run is told whose answers do not come in time. */
const waiting = (url: string) => ["-s", url, "-m", "5", "-t", "60", ...CODES];

/** The text of a file that may not be there yet. */
const read = (path: string) => Deno.readTextFile(path).catch(() => "");

/** Send a signal to a process that may have ended. */
function kill(pid: number, signal: Deno.Signal): void {
  try {
    Deno.kill(pid, signal);
  } catch { /* It has just ended. */ }
}

/** A line of a shell, in a terminal of its own. */
function inTerminal(
  line: string,
  { path }: TemporaryFolder,
  stdin: "null" | "piped" = "null",
): Deno.ChildProcess {
  return spawn(["script", "-qec", line, "/dev/null"], { cwd: path, stdin });
}

/** What makes a program the first process of its container. */
const NAMESPACE = ["unshare", "-rpf", "--mount-proc"];
const itAsFirst = itIf(
  await has("unshare", "-rpf", "--mount-proc", "true"),
  "process namespaces",
);

describe("Ctrl-C", () => {
  for (const [i, script] of SCRIPTS.entries()) {
    const [signal, status] = SIGNALS[i]!;
    const asked = script === "sequential" ? 10 : 14;
    itOnPosix(`asks no more, and reports (${script}, ${signal})`, async () => {
      await using folder = new TemporaryFolder();
      const faults = { AC: "404", AD: "503" } as const;
      await using site = new FaultSite(faults, { holdAfter: 9 });
      const child = start(script, waiting(site.url), { cwd: folder.path });
      const result = outcome(child);
      await site.asked(asked);
      child.kill(signal);
      const { code, stdout, stderr } = await result;

      assertEquals([code, stderr], [status, ""], stdout);
      const { elapsed: _, ...counts } = parseReport(stdout);
      // Threads send their requests in an order of their own.
      const done = site.requests.slice(0, 9);
      const saved = done.filter((cc) => cc !== "AC" && cc !== "AD");
      const notFound = Number(done.includes("AC"));
      const errors = Number(done.includes("AD"));
      const flags = saved.length;
      assertEquals(counts, { flags, notFound, errors, notTried: 21 }, stdout);
      assertMatch(stdout, /^ *\d+%\|.*\| 9\/30 \[.*\]\n-{20}$/m);
      assertEquals(site.requests.length, asked);
      await assertFlags(folder, saved);
    });
  }

  itInTerminal("a second time ends at once, on a new line", async () => {
    const { path: root } = await slowProject();
    await using folder = new TemporaryFolder();
    await using site = new FaultSite({}, { holdAfter: 4 });
    const words = commandLine("threadpool", waiting(site.url), { root });
    const child = inTerminal(`echo $$ > pid; exec ${quoted(words)}`, folder);
    let ended = false;
    const result = outcome(child).finally(() => ended = true);
    await site.asked(9);
    // The disk hangs with the flags written, not yet renamed.
    assert(await has("mkfifo", `${folder.path}/downloads/hang`));
    site.release();
    await eventually(async () => {
      const names = await folder.list();
      return names.filter((name) => name.endsWith(".tmp")).length === 5;
    });
    const pid = Number(await read(`${folder.path}/pid`));
    // Two of them may be taken for one when the machine is busy.
    for (let i = 0; i < 300 && !ended; i++) {
      kill(pid, i < 299 ? "SIGINT" : "SIGKILL");
      await delay(300);
    }
    const { code, stdout } = await result;

    assertEquals(code, 130, stdout);
    // No report.
    // deno-lint-ignore no-control-regex
    assertMatch(stdout, /4\/30 \[[^\n]*\]\x1b\[K\r?\n$/);
    await Deno.remove(`${folder.path}/downloads/hang`);
    await assertFlags(folder, site.requests.slice(0, 4));
  });

  itOnPosix("ends the site that was started, too", async () => {
    const { path: root } = await slowProject();
    await using folder = new TemporaryFolder();
    const args = ["-a", "-t", "60", "-s", "DELAY"];
    const child = start("threadpool", args, { cwd: folder.path, root });
    const result = outcome(child);
    await eventually(async () => (await folder.list()).length > 0);
    child.kill("SIGINT");
    const { code, stdout, stderr } = await result;

    const started = "Started the DELAY site for this run.\n";
    assertEquals([code, stderr], [130, started], stdout);
    const { flags, notTried } = parseReport(stdout);
    const { length } = await folder.list();
    assertEquals([flags, flags + notTried], [length, 194], stdout);
  });

  itOnPosix("while the site starts ends in a report, too", async () => {
    const { path: root } = await slowProject();
    await using folder = new TemporaryFolder();
    await Deno.writeTextFile(`${root}/late`, "");
    const child = start("asyncio", ["br", "us"], { cwd: folder.path, root });
    let said = "";
    const stdout = child.stdout.pipeThrough(new TextDecoderStream());
    for await (const text of stdout) {
      said += text;
      if (!/will be used\.\n$/.test(said)) continue;
      child.kill("SIGINT");
      await Deno.remove(`${root}/late`);
    }
    const { code } = await child.status;
    await child.stderr.cancel();
    assertEquals([code, parseReport(said).notTried], [130, 2], said);
  });

  itAsFirst("ends process number 1, however often it comes", async () => {
    await using folder = new TemporaryFolder();
    await using site = new FaultSite({}, { holdAfter: 3 });
    const options = { cwd: folder.path, within: NAMESPACE };
    const child = start("asyncio", waiting(site.url), options);
    const result = outcome(child);
    await site.asked(8);
    const children = `/proc/${child.pid}/task/${child.pid}/children`;
    const { stdout: pid } = await outcome(spawn(["cat", children]));
    for (let i = 0; i < 40; i++) {
      kill(Number(pid), "SIGINT");
      await delay(5);
    }
    const { code, stdout, stderr } = await result;
    assertEquals([code, stderr, parseReport(stdout).flags], [130, "", 3]);
  });

  itInTerminal("lets a script report under deno task", async () => {
    await using folder = new TemporaryFolder();
    await using site = new FaultSite({}, { holdAfter: 4 });
    const words = commandLine("threadpool", waiting(site.url)).slice(1);
    const tasks = { flags: `deno ${quoted(words)}` };
    const path = `${folder.path}/deno.json`;
    await Deno.writeTextFile(path, JSON.stringify({ tasks }));
    const line = `${quoted([Deno.execPath()])} task flags`;
    const child = inTerminal(line, folder, "piped");
    const printed = outcome(child);
    await site.asked(9);
    const keyboard = child.stdin.getWriter();
    await keyboard.write(Uint8Array.of(3)); // Ctrl-C
    const { code, stdout } = await printed;
    await keyboard.close().catch(() => {});

    assertEquals(code, 130, stdout);
    const { flags, notTried } = parseReport(stdout.replaceAll("\r", ""));
    assertEquals([flags, notTried], [4, 26], stdout);
    await assertFlags(folder, site.requests.slice(0, 4));
  });
});

/**
 * Close the window of a job with nine flags saved and five asked for. The job
 * writes its status into a file.
 */
async function closeWindow(
  job: string,
  folder: TemporaryFolder,
  site: FaultSite,
  then?: "go on",
): Promise<string> {
  const window = inTerminal(job, folder);
  await site.asked(14);
  window.kill("SIGKILL");
  await outcome(window);
  if (then) site.release();
  return await eventually(() => read(`${folder.path}/status`));
}

describe("SIGHUP", () => {
  for (const some of ["-A", SOME]) {
    const permissions = some.split(" ");
    itOnPosix(`is nothing under nohup (${some})`, async () => {
      await using folder = new TemporaryFolder();
      await using site = new FaultSite({}, { holdAfter: 9 });
      const options = { cwd: folder.path, permissions, within: ["nohup"] };
      const child = start("threadpool", waiting(site.url), options);
      const result = outcome(child);
      await site.asked(14);
      child.kill("SIGHUP");
      await delay(300);
      site.release();
      const { code, stdout } = await result;
      assertEquals([code, parseReport(stdout).flags], [0, 30], stdout);
      await assertFlags(folder, CODES);
    });

    itInTerminal(`reports when the window is closed (${some})`, async () => {
      await using folder = new TemporaryFolder();
      await using site = new FaultSite({}, { holdAfter: 9 });
      const args = waiting(site.url);
      const words = quoted(commandLine("threadpool", args, { permissions }));
      // The report is read from a file: the window shows nothing any more.
      // The shell hands the signal on to its job, as a terminal's does.
      const shell = '"$@" > report & trap "kill -HUP $!" HUP; ' +
        "wait $!; wait $!; echo $? > status";
      const job = `exec sh -c ${quoted([shell])} sh ${words}`;
      const status = await closeWindow(job, folder, site);
      const report = await read(`${folder.path}/report`);
      assertEquals(status, "129\n", report);
      const { flags, notTried } = parseReport(report);
      assertEquals([flags, notTried], [9, 21]);
      await assertFlags(folder, site.requests.slice(0, 9));
    });
  }

  itInTerminal("costs no flag when the terminal is gone", async () => {
    await using folder = new TemporaryFolder();
    const faults = { AC: "404", AJ: "503" } as const;
    await using site = new FaultSite(faults, { holdAfter: 9 });
    const words = quoted(commandLine("asyncio", waiting(site.url)));
    const shell = `trap "" HUP; setsid --wait sh -c '"$@"; echo $? > status'`;
    const job = `${shell} sh ${words}`;
    const status = await closeWindow(job, folder, site, "go on");
    assertEquals(status, "1\n"); // The report could not be written.
    const saved = CODES.filter((cc) => cc !== "AC" && cc !== "AJ");
    await assertFlags(folder, saved);
  });
});

/** Numbers in [0, 1), the same for a seed. */
function random(seed: number): () => number {
  return () => 1e4 * Math.abs(Math.sin(seed++)) % 1;
}

describe("Ctrl-C at any moment", () => {
  const times = Number(Deno.env.get("INTERRUPTS") ?? 12);
  const seed = Number(Deno.env.get("SEED") ?? Date.now() % 1e6);
  const name = `leaves whole flags only, as many as are counted: ${times} ` +
    `times (INTERRUPTS=60 for more; SEED=${seed})`;

  itOnPosix(name, async () => {
    const chance = random(seed);
    const once = async (i: number) => {
      await using folder = new TemporaryFolder();
      const faults = { AC: "404", BD: "503" } as const;
      await using site = new FaultSite(faults, { latency: 20 });
      const script = SCRIPTS[i % 3]!;
      const [signal, status] = SIGNALS[Math.floor(SIGNALS.length * chance())]!;
      const [first, second] = [500 * chance(), 8 * chance()];
      const twice = chance() < 0.5;
      const args = ["-v", "-s", site.url, "-m", "5", ...CODES];
      const child = start(script, args, { cwd: folder.path });
      const result = outcome(child);
      await delay(first);
      kill(child.pid, signal);
      if (twice) {
        await delay(second);
        kill(child.pid, "SIGINT");
      }
      const { code, stdout, stderr } = await result;
      const context = `${i}: ${signal} after ${first} ms ${twice} ${second}\n` +
        `${code}\n${stdout}${stderr}`;
      assert([0, status, ...twice ? [130] : []].includes(code), context);
      assertEquals(stderr, "", context);
      const saved = (await folder.list()).map((name) => name.slice(0, 2));
      await assertFlags(folder, saved.map((cc) => cc.toUpperCase()));
      if (stdout.includes("Elapsed time")) {
        const { flags, notFound, errors, notTried } = parseReport(stdout);
        const counted = flags + notFound + errors + notTried;
        assertEquals([counted, saved.length], [CODES.length, flags], context);
      } else {
        // Not before the first report could it be without the last one.
        assert(twice || !stdout.includes("Searching"), context);
        if (!twice) assertEquals(saved, [], context);
      }
    };
    for await (const _ of pooledMap(4, Array(times).keys(), once));
  });
});
