import { assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { assertFlags, FaultSite } from "./fault_site.ts";
import {
  has,
  itIf,
  outcome,
  parseReport,
  run,
  type Script,
  start,
  TemporaryFolder,
} from "./testing.ts";

const CODES = [..."ABCDEFGHIJKL"].map((second) => `A${second}`);

/** A program that mounts and runs the rest of its words; no mount outlives it. */
function mounting(commands: string): string[] {
  const shell = `${commands} && { "$@"; status=$?; } && ` +
    `{ cp -r downloads downloads.gone || true; } 2>&- && exit $status`;
  return ["unshare", "-rm", "sh", "-c", shell, "sh"];
}

const canMount = await has("sh", "-c", "unshare -rm mount -t tmpfs x /mnt");
const itMounts = itIf(canMount, "the right to mount");

/** What is done to `downloads`, and what runs the script. */
interface Steps {
  before?: (path: string) => void;
  /** When three flags are there, and four are asked for. */
  meanwhile?: (path: string) => void;
  after?: (path: string) => void;
  within?: string[];
}

const bringBack = (path: string) => Deno.renameSync(`${path}.gone`, path);

/** A run stops with a report; the flags that it counts are there, whole. */
async function stops(
  script: Script,
  why: string,
  { before, meanwhile, after, within = [] }: Steps,
): Promise<void> {
  await using folder = new TemporaryFolder();
  const path = `${folder.path}/downloads`;
  before?.(path);
  await using site = new FaultSite({}, { holdAfter: 3 });
  const words = ["-s", site.url, "-m", "4", "-t", "60", ...CODES];
  const result = outcome(start(script, words, { cwd: folder.path, within }));
  await site.asked(7);
  meanwhile?.(path);
  site.release();
  const { code, stdout, stderr } = await result;
  after?.(path);
  assertEquals(code, 1, stderr);
  assertMatch(stderr, new RegExp(`^\\*{3} downloads/${why}\n$`));
  const { flags, notFound, errors, notTried } = parseReport(stdout);
  assertEquals([flags + notTried, notFound, errors], [CODES.length, 0, 0]);
  const saved = (await folder.list()).map((name) => name.slice(0, 2));
  assertEquals(saved.length, flags);
  await assertFlags(folder, saved.map((cc) => cc.toUpperCase()));
}

describe("a run stops with one line", () => {
  for (const script of ["asyncio", "threadpool"] as const) {
    it(`when a flag's name is taken by a folder (${script})`, () =>
      stops(script, "ai.gif: [^:\n]+", {
        before: (path) => Deno.mkdirSync(`${path}/ai.gif`, { recursive: true }),
        after: (path) => Deno.removeSync(`${path}/ai.gif`),
      }));
  }

  it("when the folder goes", () =>
    stops("asyncio", "a..gif: [^:\n]+", {
      meanwhile: (path) => Deno.renameSync(path, `${path}.gone`),
      after: bringBack,
    }));

  itMounts("when the disk is full", async () => {
    await stops("threadpool", "a..gif: No space left on device", {
      before: (path) => Deno.mkdirSync(path),
      after: bringBack,
      within: mounting("mount -t tmpfs -o size=24k tmpfs downloads"),
    });
  });
});

describe("a run ends with one line, and nothing is begun,", () => {
  async function refused(why: string, { before, within = [] }: Steps) {
    await using folder = new TemporaryFolder();
    before?.(`${folder.path}/downloads`);
    const files = await folder.list(".");
    const options = { cwd: folder.path, within };
    const { code, stdout, stderr } = await run("sequential", [], options);
    assertEquals([code, stdout, stderr], [1, "", `*** downloads: ${why}\n`]);
    assertEquals(await folder.list("."), files);
  }

  it("when downloads is a file, or a link to nowhere", async () => {
    const file = (path: string) => Deno.writeTextFileSync(path, "");
    const link = (path: string) => Deno.symlinkSync("nowhere", path);
    for (const before of Deno.build.os === "windows" ? [file] : [file, link]) {
      await refused("Not a directory", { before });
    }
  });

  itMounts("when its folder is read-only", async () => {
    const within = mounting('mount -t tmpfs -o ro tmpfs "$PWD" && cd "$PWD"');
    await refused("Read-only file system", { within });
  });
});
