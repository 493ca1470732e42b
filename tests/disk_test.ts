import { assert, assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { assertFlags, FaultSite, flagOf } from "./fault_site.ts";
import {
  outcome,
  parseReport,
  type Script,
  SCRIPTS,
  start,
  TemporaryFolder,
} from "./testing.ts";

const CODES = "AA AB AC AD AE AF AG AH AI AJ AK AL".split(" ");

/** A program that mounts and runs the rest of its words; no mount outlives it. */
function mounting(commands: string): string[] {
  const shell = `${commands} && { "$@"; status=$?; } && ` +
    `{ cp -r downloads saved 2>/dev/null || true; } && exit $status`;
  return ["unshare", "-rm", "sh", "-c", shell, "sh"];
}

const mountable = await new Deno.Command("sh", {
  args: ["-c", "unshare -rm mount -t tmpfs tmpfs /mnt"],
  stdout: "null",
  stderr: "null",
}).output();
const itMounts = mountable.success ? it : it.skip;
const because = mountable.success
  ? ""
  : " (left out: mounting is not allowed here)";

/** A run that the disk ends; what holds for all of them is asserted here. */
async function fail(
  folder: TemporaryFolder,
  script: Script,
  args: string[],
  options: {
    /** What is said on standard error. */
    message: RegExp;
    within?: string[];
    holdAfter?: number;
    /** Done when as many requests as can be are held. */
    meanwhile?: () => Promise<void>;
  },
): Promise<{ flags: number; stdout: string }> {
  const { within = [], holdAfter = Infinity, meanwhile } = options;
  await using site = new FaultSite({}, { holdAfter });
  const words = ["-s", site.url, "-m", "4", "-t", "60", ...args, ...CODES];
  const child = start(script, words, {
    cwd: folder.path,
    within,
  });
  const result = outcome(child);
  if (meanwhile) {
    await site.asked(holdAfter + (script === "sequential" ? 1 : 4));
    await meanwhile();
    site.release();
  }
  const { code, stdout, stderr } = await result;
  assertEquals(code, 1, stdout + stderr);
  assertMatch(stderr, options.message);
  assertEquals(stderr.trim().split("\n").length, 1, stderr);
  const { flags, notFound, errors, notTried } = parseReport(stdout);
  assertEquals([notFound, errors], [0, 0]);
  assertEquals(flags + notTried, CODES.length, stdout);
  assert(notTried > 0);
  const end = stdout.slice(stdout.indexOf("will be used.\n"));
  assertMatch(end, /^.*\n( *\d+%\|.*\n|\w\w OK\n)*-{20}\n/);
  return { flags, stdout };
}

for (const script of SCRIPTS) {
  describe(`A disk that fails ends flags2_${script}.ts with one line`, () => {
    it("when downloads is a file, which stays as it is", async () => {
      await using folder = new TemporaryFolder();
      await Deno.writeTextFile(`${folder.path}/downloads`, "mine");
      await fail(folder, script, [], { message: /^\*\*\* File exists: mkdir/ });
      const text = await Deno.readTextFile(`${folder.path}/downloads`);
      assertEquals(text, "mine");
    });

    it("when a flag's name is taken by a folder", async () => {
      await using folder = new TemporaryFolder();
      const taken = `${folder.path}/downloads/ab.gif`;
      await Deno.mkdir(taken, { recursive: true });
      const message = /^\*\*\* Is a directory: rename/;
      const { stdout } = await fail(folder, script, ["-v"], { message });
      await Deno.remove(taken);
      await assertFlags(folder, stdout.match(/^\w\w(?= OK$)/gm) ?? []);
    });

    it("and its bar does not count the flag that is not saved", async () => {
      await using folder = new TemporaryFolder();
      const taken = `${folder.path}/downloads/al.gif`;
      await Deno.mkdir(taken, { recursive: true });
      const message = /^\*\*\* Is a directory: rename/;
      const { flags, stdout } = await fail(folder, script, [], { message });
      assertMatch(stdout, new RegExp(`^ *\\d+%\\|.*\\| ${flags}/12 \\[`, "m"));
    });

    it("when the current directory vanishes", async () => {
      await using folder = new TemporaryFolder();
      const { flags } = await fail(folder, script, [], {
        message: /^\*\*\* .*No such file or directory/,
        holdAfter: 3,
        async meanwhile() {
          await Deno.remove(folder.path, { recursive: true });
        },
      });
      assertEquals(flags, 3);
      await Deno.mkdir(folder.path);
    });

    itMounts("when its folder is read-only" + because, async () => {
      await using folder = new TemporaryFolder();
      await fail(folder, script, [], {
        message: /^\*\*\* Read-only file system: mkdir/,
        within: mounting(
          'mount -t tmpfs -o ro tmpfs "$PWD" && cd "$PWD"',
        ),
      });
      assertEquals(await folder.list("."), []);
    });

    itMounts(
      "when the disk is full, with the flags before" + because,
      async () => {
        await using folder = new TemporaryFolder();
        await Deno.mkdir(`${folder.path}/downloads`);
        const { flags } = await fail(folder, script, [], {
          message: /^\*\*\* No space left on device: writefile/,
          within: mounting("mount -t tmpfs -o size=24k tmpfs downloads"),
        });
        const saved = await folder.list("saved");
        assertEquals(saved.length, flags);
        assert(flags > 0);
        for (const name of saved) {
          const file = await Deno.readFile(`${folder.path}/saved/${name}`);
          assertEquals(file, flagOf(name.slice(0, 2).toUpperCase()));
        }
      },
    );
  });
}
