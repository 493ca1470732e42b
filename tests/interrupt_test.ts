import { assert, assertEquals, assertMatch } from "@std/assert";
import { delay } from "@std/async/delay";
import { describe } from "@std/testing/bdd";
import { assertFlags, FaultSite, flagOf } from "./fault_site.ts";
import {
  commandLine,
  has,
  itIf,
  itInTerminal,
  itOnPosix,
  outcome,
  parseReport,
  project,
  projectAtFreePorts,
  quoted,
  ROOT,
  type Script,
  SCRIPTS,
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
const RENAME = /await Deno\.rename\(temporary, path\);/;
const HANGING = `await Deno.stat("downloads/hang").then(
      () => Deno.open("downloads/hang", { write: true }), // Which nobody reads.
      () => Deno.rename(temporary, path),
    );`;

/** Options that grant what a run needs, at any port; less than `-A`. */
const SOME = ["--allow-net", "--allow-read", "--allow-write"];

const CODES = [..."ABC"].flatMap((first) =>
  [..."ABCDEFGHIJ"].map((second) => first + second)
);

/** What a run is told whose answers do not come in time. */
const waiting = (url: string) => ["-s", url, "-m", "5", "-t", "60", ...CODES];

/** Requests in flight. */
const connections = (script: Script) => script === "sequential" ? 1 : 5;

/** Wait until something is so. */
async function until(condition: () => Promise<boolean>): Promise<void> {
  for (let i = 0; !await condition(); i++) {
    assert(i < 3000, "it never came");
    await delay(10);
  }
}

/** Whether a server listens on a port of localhost. */
async function listens(port: number): Promise<boolean> {
  const connected = Deno.connect({ hostname: "localhost", port });
  return await connected.then((it) => it.close() ?? true, () => false);
}

/** The text of a file that may not be there yet. */
const read = (path: string) => Deno.readTextFile(path).catch(() => "");

/** Send a signal to a process that may have ended. */
function kill(pid: number, signal: Deno.Signal): void {
  try {
    Deno.kill(pid, signal);
  } catch { /* It has just ended. */ }
}

/** What makes a program the first process of its container. */
const NAMESPACE = ["unshare", "-rpf", "--mount-proc"];
const itAsFirst = itIf(
  await has("unshare", "-rpf", "--mount-proc", "true"),
  "process namespaces",
);

describe("Ctrl-C", () => {
  for (const script of SCRIPTS) {
    const signals = script === "threadpool" ? SIGNALS : SIGNALS.slice(0, 1);
    for (const [signal, status] of signals) {
      itOnPosix(
        `sends no further request, gives up those in flight, reports what is done (${script}, ${signal})`,
        async () => {
          await using folder = new TemporaryFolder();
          await using site = new FaultSite({ AC: "404", AD: "503" }, {
            holdAfter: 9,
          });
          const child = start(script, waiting(site.url), { cwd: folder.path });
          const result = outcome(child);
          await site.asked(9 + connections(script));
          child.kill(signal);
          const { code, stdout, stderr } = await result;

          assertEquals([code, stderr], [status, ""], stdout);
          const { flags, notFound, errors, notTried } = parseReport(stdout);
          // Threads send their requests in an order of their own.
          const done = site.requests.slice(0, 9);
          const gone = done.filter((cc) => cc === "AC").length;
          const failed = done.filter((cc) => cc === "AD").length;
          const expected = [9 - gone - failed, gone, failed];
          assertEquals([flags, notFound, errors], expected, stdout);
          assertEquals(flags + notFound + errors + notTried, CODES.length);
          assertMatch(stdout, /^ *\d+%\|.*\| 9\/30 \[.*\]\n-{20}$/m);
          assertEquals(site.requests.length, 9 + connections(script));
          const isFlag = (cc: string) => cc !== "AC" && cc !== "AD";
          await assertFlags(folder, done.filter(isFlag));
        },
      );
    }

    itInTerminal(
      `a second time ends at once, on a new line of the terminal (${script})`,
      async () => {
        await using copy = await project();
        const files = `${copy.path}/lib/files.ts`;
        const text = await Deno.readTextFile(files);
        assertMatch(text, RENAME);
        await Deno.writeTextFile(files, text.replace(RENAME, HANGING));
        await using folder = new TemporaryFolder();
        await using site = new FaultSite({}, { holdAfter: 4 });
        const words = commandLine(script, waiting(site.url), {
          root: copy.path,
        });
        const line = `echo $$ > pid; exec ${quoted(words)}`;
        const child = spawn(["script", "-qec", line, "/dev/null"], {
          cwd: folder.path,
        });
        let ended = false;
        const result = outcome(child).finally(() => ended = true);
        await site.asked(4 + connections(script));
        // The disk hangs with the flags written, not yet renamed.
        const made = spawn(["mkfifo", "downloads/hang"], { cwd: folder.path });
        assert((await outcome(made)).code === 0);
        site.release();
        await until(async () => {
          const names = await folder.list();
          const temporary = names.filter((name) => name.endsWith(".tmp"));
          return temporary.length === connections(script);
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
      },
    );
  }

  itOnPosix("ends the site that was started, too", async () => {
    await using copy = await projectAtFreePorts();
    const port = copy.ports[1];
    const args = ["-a", "-m", "5", "-t", "60", "-v", "-s", "DELAY"];
    const options = { cwd: copy.path, root: copy.path };
    const child = start("threadpool", args, options);
    const result = outcome(child);
    await until(async () => (await copy.list()).length > 0);
    assert(await listens(port));
    child.kill("SIGINT");
    const { code, stdout, stderr } = await result;

    assertEquals(code, 130, stdout);
    assertEquals(stderr, "Started the DELAY site for this run.\n");
    const { flags, notFound, errors, notTried } = parseReport(stdout);
    assertEquals([flags + notTried, notFound, errors], [194, 0, 0], stdout);
    const told = stdout.match(/^\w\w(?= OK$)/gm) ?? [];
    const names = told.map((cc) => `${cc.toLowerCase()}.gif`);
    assertEquals(await copy.list(), names.sort());
    for (const name of names) {
      assertEquals(
        await Deno.readFile(`${copy.path}/downloads/${name}`),
        await Deno.readFile(`${ROOT}/flags/${name.slice(0, 2)}/${name}`),
      );
    }
    assertEquals(await listens(port), false);
  });

  itOnPosix("while the site starts ends in a report, too", async () => {
    await using copy = await projectAtFreePorts();
    const serve = `${copy.path}/site/serve.ts`;
    const text = await Deno.readTextFile(serve);
    const late = "\nawait new Promise((start) => setTimeout(start, 500));\n";
    await Deno.writeTextFile(serve, text + late);
    const options = { cwd: copy.path, root: copy.path };
    const child = start("asyncio", ["br", "us"], options);
    const stdout = child.stdout.pipeThrough(new TextDecoderStream());
    let said = "";
    for await (const text of stdout) {
      said += text;
      if (/will be used\.\n$/.test(said)) child.kill("SIGINT");
    }
    const { code } = await child.status;
    await child.stderr.cancel();
    assertEquals([code, parseReport(said).notTried], [130, 2], said);
  });

  itAsFirst(
    "ends a run of process number 1, however often it comes",
    async () => {
      await using folder = new TemporaryFolder();
      await using site = new FaultSite({}, { holdAfter: 3 });
      const child = start("asyncio", waiting(site.url), {
        cwd: folder.path,
        within: NAMESPACE,
      });
      const result = outcome(child);
      await site.asked(8);
      const children = `/proc/${child.pid}/task/${child.pid}/children`;
      const { stdout: pid } = await outcome(spawn(["cat", children]));
      kill(Number(pid), "SIGINT");
      for (let i = 0; i < 40; i++) {
        await delay(5);
        kill(Number(pid), "SIGINT");
      }
      const { code, stdout, stderr } = await result;
      assertEquals([code, stderr, parseReport(stdout).flags], [130, "", 3]);
    },
  );
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
  const window = spawn(["script", "-qec", job, "/dev/null"], {
    cwd: folder.path,
    stdout: "null",
    stderr: "null",
  });
  await site.asked(14);
  window.kill("SIGKILL");
  await window.status;
  if (then) site.release();
  const status = () => read(`${folder.path}/status`);
  await until(async () => (await status()).endsWith("\n"));
  return await status();
}

describe("SIGHUP", () => {
  for (const permissions of [["-A"], SOME]) {
    itOnPosix(`is nothing under nohup (${permissions[0]})`, async () => {
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

    itInTerminal(
      `reports when the window is closed (${permissions[0]})`,
      async () => {
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
      },
    );
  }

  itInTerminal(
    "is not needed when the terminal is gone: the flags are saved",
    async () => {
      for (const option of [[], ["-v"]]) {
        await using folder = new TemporaryFolder();
        await using site = new FaultSite({ AC: "404", AJ: "503" }, {
          holdAfter: 9,
        });
        const args = [...option, ...waiting(site.url)];
        const words = quoted(commandLine("asyncio", args));
        const job = `setsid --wait sh -c '"$@"; echo $? > status' sh ${words}`;
        const line = `trap "" HUP; ${job}`;
        const status = await closeWindow(line, folder, site, "go on");
        assertEquals(status, "1\n"); // The report could not be written.
        const saved = CODES.filter((cc) => cc !== "AC" && cc !== "AJ");
        await assertFlags(folder, saved);
      }
    },
  );
});

describe("One Ctrl-C in a terminal, under deno task,", () => {
  itInTerminal("lets a script report", async () => {
    await using folder = new TemporaryFolder();
    await using site = new FaultSite({}, { holdAfter: 4 });
    const words = commandLine("threadpool", waiting(site.url)).slice(1);
    const tasks = { flags: `deno ${quoted(words)}` };
    const path = `${folder.path}/deno.json`;
    await Deno.writeTextFile(path, JSON.stringify({ tasks }));
    const line = `${quoted([Deno.execPath()])} task flags`;
    const child = spawn(["script", "-qec", line, "/dev/null"], {
      cwd: folder.path,
      stdin: "piped",
    });
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

/** Numbers in [0, 1), the same for a seed: mulberry32. */
function random(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), seed | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const times = Number(Deno.env.get("INTERRUPTS") ?? 24);

describe("Ctrl-C at any moment", () => {
  itOnPosix(
    `leaves whole flags only, as many as are counted: ${times} times (INTERRUPTS=60 for more)`,
    async () => {
      const seed = Number(Deno.env.get("SEED") ?? Date.now() % 1e6);
      const chance = random(seed);
      const once = async (i: number) => {
        await using folder = new TemporaryFolder();
        await using site = new FaultSite({ AC: "404", BD: "503" }, {
          latency: 20,
        });
        const script = SCRIPTS[i % 3]!;
        const [signal, status] =
          SIGNALS[Math.floor(SIGNALS.length * chance())]!;
        const [first, second] = [500 * chance(), 8 * chance()];
        const twice = chance() < 0.5;
        const what =
          `SEED=${seed}, ${i}: flags2_${script}.ts, ${signal} after ` +
          `${first} ms${twice ? ` and SIGINT ${second} ms later` : ""}`;
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
        const context = `${what}\n${code}\n${stdout}${stderr}`;
        assert([0, status, ...twice ? [130] : []].includes(code), context);
        assertEquals(stderr, "", context);
        const saved = await folder.list();
        for (const name of saved) {
          const file = await Deno.readFile(`${folder.path}/downloads/${name}`);
          const cc = name.replace(/\.gif$/, "").toUpperCase();
          assertEquals(file, flagOf(cc), context);
        }
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
      const runs = Array(times).keys();
      await Promise.all(Array.from({ length: 4 }, async () => {
        for (const i of runs) await once(i);
      }));
    },
  );
});
