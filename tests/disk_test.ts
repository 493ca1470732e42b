import { assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { FaultSite, savedIn } from "./fault_site.ts";
import { type Script, TemporaryFolder } from "../bench/scripts.ts";
import { outcome, runScript, start } from "./processes.ts";
import { has, itIf } from "./testing.ts";

const UNSHARE = ["unshare", "-rmpf", "--mount-proc", "--kill-child"] as const;
const canMount = await has(...UNSHARE, "mount", "-t", "tmpfs", "x", "/mnt");
const itMounts = itIf(canMount, "the right to mount");

/**
 * Return a program that mounts and then runs the words after it. The mount ends
 * with the program, so the program copies the flags.
 */
function mounting(commands: string): string[] {
  const shell = `${commands} && { "$@"; status=$?; } && ` +
    `{ cp -r downloads downloads.gone || true; } 2>&- && exit $status`;
  return [...UNSHARE, "sh", "-c", shell, "sh"];
}

/** A program that runs the words after it without the privileges of root. */
const UNPRIVILEGED = ["unshare", "-U"];
const canUnshare = await has("unshare", "-U", "true");
const itUnprivileged = itIf(canUnshare, "unshare -U");

/** Changes `downloads`. */
type Step = (path: string) => void;

const bringBack: Step = (path) => Deno.renameSync(`${path}.gone`, path);

describe("a run stops with one line on stderr", () => {
  /** Call `meanwhile` when three flags are saved and four requests are in flight. */
  async function stops(
    script: Script,
    why: string,
    steps: { before?: Step; meanwhile?: Step; after: Step; within?: string[] },
  ) {
    await using folder = new TemporaryFolder();
    const path = `${folder.path}/downloads`;
    steps.before?.(path);
    await using site = new FaultSite({}, { holdAfter: 3 });
    const words = ["-s", site.url, "-m", "4", "-t", "60", "a"];
    const options = { cwd: folder.path, within: steps.within ?? [] };
    const result = outcome(start(script, words, options));
    await site.received(7);
    steps.meanwhile?.(path);
    site.release();
    const { code, stderr, report } = await result;
    steps.after(path);
    assertEquals(code, 1, stderr);
    assertMatch(stderr, new RegExp(`^\\*{3} downloads/${why}\n$`));
    const { flags, notFound, errors, notFinished } = report;
    assertEquals([flags + notFinished, notFound, errors], [26, 0, 0]);
    assertEquals((await savedIn(folder)).length, flags);
  }

  it("when a folder has the name of a flag", () =>
    stops("threadpool", "ai.gif: [^:\n]+", {
      before: (path) => Deno.mkdirSync(`${path}/ai.gif`, { recursive: true }),
      after: (path) => Deno.removeSync(`${path}/ai.gif`),
    }));

  it("when downloads disappears", () =>
    stops("asyncio", "a..gif: [^:\n]+", {
      meanwhile: (path) => Deno.renameSync(path, `${path}.gone`),
      after: bringBack,
    }));

  itMounts("when the disk is full", async () => {
    await stops("asyncio", "a..gif: No space left on device", {
      before: (path) => Deno.mkdirSync(path),
      after: bringBack,
      within: mounting("mount -t tmpfs -o size=24k tmpfs downloads"),
    });
  });
});

describe("a run requests nothing and reports one line", () => {
  async function refused(why: string, before?: Step, within: string[] = []) {
    await using folder = new TemporaryFolder();
    before?.(`${folder.path}/downloads`);
    const files = await folder.list(".");
    const options = { cwd: folder.path, within };
    const { code, stdout, stderr } = await runScript("sequential", [], options);
    assertEquals([code, stdout, stderr], [1, "", `*** downloads: ${why}\n`]);
    assertEquals(await folder.list("."), files);
  }

  it("when downloads is a file or a broken link", async () => {
    const why = "Not a directory";
    await refused(why, (path) => Deno.writeTextFileSync(path, ""));
    if (Deno.build.os === "windows") return;
    await refused(why, (path) => Deno.symlinkSync("none", path));
  });

  itUnprivileged("when downloads cannot be written or listed", async () => {
    for (const mode of [0o500, 0o300]) {
      const before: Step = (path) => Deno.mkdirSync(path, { mode });
      await refused("Permission denied", before, UNPRIVILEGED);
    }
  });

  itMounts("when the current directory is read-only", async () => {
    const within = mounting('mount -t tmpfs -o ro tmpfs "$PWD" && cd "$PWD"');
    await refused("Read-only file system", undefined, within);
  });
});
