import { assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { FaultSite, savedIn } from "./fault_site.ts";
import { parseReport, type Script, TemporaryFolder } from "../bench/scripts.ts";
import { outcome, runScript, start } from "./processes.ts";
import { has, itIf } from "./testing.ts";

/** A program that mounts and runs the rest of its words; no mount outlives it. */
function mounting(commands: string): string[] {
  const shell = `${commands} && { "$@"; status=$?; } && ` +
    `{ cp -r downloads downloads.gone || true; } 2>&- && exit $status`;
  return ["unshare", "-rm", "sh", "-c", shell, "sh"];
}

const canMount = await has("sh", "-c", "unshare -rm mount -t tmpfs x /mnt");
const itMounts = itIf(canMount, "the right to mount");

/** A program that runs the rest of its words; root has no rights of its own there. */
const UNPRIVILEGED = ["unshare", "-U"];
const canUnshare = await has("unshare", "-U", "true");
const itUnprivileged = itIf(canUnshare, "unshare -U");

/** Something that is done to `downloads`. */
type Step = (path: string) => void;

const bringBack: Step = (path) => Deno.renameSync(`${path}.gone`, path);

describe("a run stops with one line", () => {
  /** `meanwhile` is when three flags are there, and four are asked for. */
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
    await site.asked(7);
    steps.meanwhile?.(path);
    site.release();
    const { code, stdout, stderr } = await result;
    steps.after(path);
    assertEquals(code, 1, stderr);
    assertMatch(stderr, new RegExp(`^\\*{3} downloads/${why}\n$`));
    const { flags, notFound, errors, notFinished } = parseReport(stdout);
    assertEquals([flags + notFinished, notFound, errors], [26, 0, 0]);
    assertEquals((await savedIn(folder)).length, flags);
  }

  it("when a flag's name is taken by a folder", () =>
    stops("threadpool", "ai.gif: [^:\n]+", {
      before: (path) => Deno.mkdirSync(`${path}/ai.gif`, { recursive: true }),
      after: (path) => Deno.removeSync(`${path}/ai.gif`),
    }));

  it("when the folder goes", () =>
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

describe("a run ends with one line, and nothing is begun,", () => {
  async function refused(why: string, before?: Step, within: string[] = []) {
    await using folder = new TemporaryFolder();
    before?.(`${folder.path}/downloads`);
    const files = await folder.list(".");
    const options = { cwd: folder.path, within };
    const { code, stdout, stderr } = await runScript("sequential", [], options);
    assertEquals([code, stdout, stderr], [1, "", `*** downloads: ${why}\n`]);
    assertEquals(await folder.list("."), files);
  }

  it("when downloads is a file, or a link to nowhere", async () => {
    await refused(
      "Not a directory",
      (path) => Deno.writeTextFileSync(path, ""),
    );
    if (Deno.build.os === "windows") return;
    await refused("Not a directory", (path) => Deno.symlinkSync("none", path));
  });

  itUnprivileged("when downloads may not be written or listed", async () => {
    for (const mode of [0o500, 0o300]) {
      const before: Step = (path) => Deno.mkdirSync(path, { mode });
      await refused("Permission denied", before, UNPRIVILEGED);
    }
  });

  itMounts("when its folder is read-only", async () => {
    const within = mounting('mount -t tmpfs -o ro tmpfs "$PWD" && cd "$PWD"');
    await refused("Read-only file system", undefined, within);
  });
});
