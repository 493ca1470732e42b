import { assert, assertEquals, assertMatch } from "@std/assert";
import { delay } from "@std/async/delay";
import { describe, it } from "@std/testing/bdd";
import { assertFlags, FaultSite, flagOf } from "./fault_site.ts";
import {
  commandLine,
  itInTerminal,
  outcome,
  parseReport,
  project,
  projectAtFreePorts,
  quoted,
  ROOT,
  SCRIPTS,
  start,
  TemporaryFolder,
} from "./testing.ts";

/** The signals that end a run, with the exit status of each. */
const SIGNALS: [Deno.Signal, number][] = [
  ["SIGINT", 130],
  ["SIGQUIT", 131],
  ["SIGTERM", 143],
];
// Elsewhere a run with pipes alone takes it for ignored.
if (Deno.build.os === "linux") SIGNALS.push(["SIGHUP", 129]);

/** A line of lib/files.ts, and what hangs there once there is a pipe there. */
const RENAME = "await Deno.rename(temporary, path);";
const HANGING = `await Deno.stat("downloads/hang").then(
      () => Deno.open("downloads/hang", { write: true }), // Which nobody reads.
      () => Deno.rename(temporary, path),
    );`;

/** Options that grant what a run needs, at any port; less than `-A`. */
const SOME = ["--allow-net", "--allow-read", "--allow-write"];

const CODES = "ABC".split("").flatMap((first) =>
  "ABCDEFGHIJ".split("").map((second) => first + second)
);

/** Wait until something is so. */
async function until(condition: () => Promise<boolean>): Promise<void> {
  for (let i = 0; !await condition(); i++) {
    assert(i < 3000, "it never came");
    await delay(10);
  }
}

/** Whether a server listens on a port, at either address of localhost. */
async function listens(port: number): Promise<boolean> {
  for (const hostname of ["127.0.0.1", "::1"]) {
    try {
      (await Deno.connect({ hostname, port })).close();
      return true;
    } catch { /* Nobody there. */ }
  }
  return false;
}

for (const script of SCRIPTS) {
  describe(`Ctrl-C in flags2_${script}.ts`, () => {
    const connections = script === "sequential" ? 1 : 5;

    for (const [signal, status] of SIGNALS) {
      it(`sends no further request, gives up those in flight, reports what is done (${signal})`, async () => {
        await using folder = new TemporaryFolder();
        await using site = new FaultSite({ AC: "404", AD: "503" }, {
          holdAfter: 9,
        });
        const args = ["-s", site.url, "-m", "5", "-t", "60", ...CODES];
        const child = start(script, args, { cwd: folder.path });
        const result = outcome(child);
        await site.asked(9 + connections);
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
        assertEquals(site.requests.length, 9 + connections);
        await assertFlags(
          folder,
          done.filter((cc) => cc !== "AC" && cc !== "AD"),
        );
      });

      it(`ends the site that it started, too (${signal})`, async () => {
        await using copy = await projectAtFreePorts();
        await using folder = new TemporaryFolder();
        const port = copy.ports[1];
        const args = ["-a", "-m", "5", "-t", "60", "-v", "-s", "DELAY"];
        const options = { cwd: folder.path, root: copy.path };
        const child = start(script, args, options);
        const result = outcome(child);
        await until(async () => (await folder.list()).length > 0);
        assert(await listens(port));
        child.kill(signal);
        const { code, stdout, stderr } = await result;

        assertEquals(code, status, stdout);
        assertEquals(stderr, "Started the DELAY site for this run.\n");
        const { flags, notFound, errors, notTried } = parseReport(stdout);
        assertEquals(flags + notTried, 194, stdout);
        assertEquals([notFound, errors], [0, 0]);
        const saved = stdout.match(/^\w\w(?= OK$)/gm) ?? [];
        assertEquals(saved.length, flags);
        const names = saved.map((cc) => `${cc.toLowerCase()}.gif`);
        assertEquals(await folder.list(), names.sort());
        for (const name of names) {
          const [cc] = name.split(".");
          assertEquals(
            await Deno.readFile(`${folder.path}/downloads/${name}`),
            await Deno.readFile(`${ROOT}/flags/${cc}/${name}`),
          );
        }
        assertEquals(await listens(port), false);
      });
    }

    itInTerminal(
      "a second time ends at once, on a new line of the terminal",
      async () => {
        await using copy = await project();
        const files = `${copy.path}/lib/files.ts`;
        const text = await Deno.readTextFile(files);
        assert(text.includes(RENAME));
        await Deno.writeTextFile(files, text.replace(RENAME, HANGING));
        await using folder = new TemporaryFolder();
        await using site = new FaultSite({}, { holdAfter: 4 });
        const args = ["-s", site.url, "-m", "5", "-t", "60", ...CODES];
        const words = commandLine(script, args, { root: copy.path });
        const child = new Deno.Command("script", {
          args: ["-qec", `echo $$ > pid; exec ${quoted(words)}`, "/dev/null"],
          cwd: folder.path,
          stdin: "null",
          stdout: "piped",
          stderr: "piped",
        }).spawn();
        const result = outcome(child);
        await site.asked(4 + connections);
        // The disk hangs with the flags written, not yet renamed.
        const made = new Deno.Command("mkfifo", {
          args: ["downloads/hang"],
          cwd: folder.path,
        });
        assert((await made.output()).success);
        site.release();
        const temporary = async () =>
          (await folder.list()).filter((name) => name.endsWith(".tmp")).length;
        await until(async () => await temporary() === connections);
        const pid = Number(await Deno.readTextFile(`${folder.path}/pid`));
        // Two of them may be taken for one when the machine is busy.
        let ended = false;
        result.then(() => ended = true);
        for (let i = 0; i < 300 && !ended; i++) {
          try {
            Deno.kill(pid, i < 299 ? "SIGINT" : "SIGKILL");
          } catch { /* It has just ended. */ }
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

    for (const permissions of [["-A"], SOME]) {
      it(`does not mind SIGHUP under nohup (${permissions[0]})`, async () => {
        await using folder = new TemporaryFolder();
        await using site = new FaultSite({}, { holdAfter: 9 });
        const args = ["-s", site.url, "-m", "5", "-t", "60", ...CODES];
        const within = ["nohup"];
        const options = { cwd: folder.path, permissions, within };
        const child = start(script, args, options);
        const result = outcome(child);
        await site.asked(9 + connections);
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
          const args = ["-s", site.url, "-m", "5", "-t", "60", ...CODES];
          const words = quoted(commandLine(script, args, { permissions }));
          // The report is read from a file: the window shows nothing any more.
          // The shell hands the signal on to its job, as a terminal's does.
          const shell = '"$@" > report & trap "kill -HUP $!" HUP; ' +
            "wait $!; wait $!; echo $? > status";
          const job = `exec sh -c ${quoted([shell])} sh ${words}`;
          const window = new Deno.Command("script", {
            args: ["-qec", job, "/dev/null"],
            cwd: folder.path,
            stdin: "null",
            stdout: "null",
            stderr: "null",
          }).spawn();
          await site.asked(9 + connections);
          window.kill("SIGKILL");
          await window.status;
          const read = (name: string) =>
            Deno.readTextFile(`${folder.path}/${name}`).catch(() => "");
          await until(async () => (await read("status")).endsWith("\n"));
          const report = await read("report");
          assertEquals(await read("status"), "129\n", report);
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
          const args = ["-s", site.url, "-m", "5", "-t", "60", ...option];
          const words = quoted(commandLine(script, [...args, ...CODES]));
          const job =
            `setsid --wait sh -c '"$@"; echo $? > status' sh ${words}`;
          const window = new Deno.Command("script", {
            args: ["-qec", `trap "" HUP; ${job}`, "/dev/null"],
            cwd: folder.path,
            stdin: "null",
            stdout: "null",
            stderr: "null",
          }).spawn();
          await site.asked(9 + connections);
          window.kill("SIGKILL");
          await window.status;
          site.release();
          const status = () =>
            Deno.readTextFile(`${folder.path}/status`).catch(() => "");
          await until(async () => (await status()).endsWith("\n"));
          // The report could not be written.
          assertEquals(await status(), "1\n");
          const saved = CODES.filter((cc) => cc !== "AC" && cc !== "AJ");
          await assertFlags(folder, saved);
        }
      },
    );
  });
}

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
  it(`leaves whole flags alone, as many as are counted: ${times} times (INTERRUPTS=60 for more)`, async () => {
    const seed = Number(Deno.env.get("SEED") ?? Date.now() % 1e6);
    const chance = random(seed);
    const once = async (i: number) => {
      await using folder = new TemporaryFolder();
      await using site = new FaultSite({ AC: "404", BD: "503" }, {
        latency: 20,
      });
      const script = SCRIPTS[i % 3]!;
      const [signal, status] = SIGNALS[Math.floor(SIGNALS.length * chance())]!;
      const [first, second] = [500 * chance(), 8 * chance()];
      const twice = chance() < 0.5;
      const what = `SEED=${seed}, ${i}: flags2_${script}.ts, ${signal} after ` +
        `${first} ms${twice ? ` and SIGINT ${second} ms later` : ""}`;
      const args = ["-v", "-s", site.url, "-m", "5", ...CODES];
      const child = start(script, args, { cwd: folder.path });
      const result = outcome(child);
      await delay(first);
      const kill = (signal: Deno.Signal) => {
        try {
          child.kill(signal);
        } catch { /* It has ended. */ }
      };
      kill(signal);
      if (twice) {
        await delay(second);
        kill("SIGINT");
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
        assertEquals(
          flags + notFound + errors + notTried,
          CODES.length,
          context,
        );
        assertEquals(saved.length, flags, context);
      } else if (!twice) {
        assertEquals(saved, [], context);
      }
    };
    const runs = Array(times).keys();
    await Promise.all(Array.from({ length: 4 }, async () => {
      for (const i of runs) await once(i);
    }));
  });
});
