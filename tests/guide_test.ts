import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { processArgs } from "../flags2_common.ts";
import { UsageError } from "../lib/argparse.ts";
import { ROOT } from "./testing.ts";

/** Each numbered script, with how many steps the book has for it. */
const STEPS = {
  "flags2_common.ts": 6,
  "flags2_sequential.ts": 12,
  "flags2_threadpool.ts": 16,
  "flags2_asyncio.ts": 15,
};

/** The guides, each with its words for a step that the code does not have. */
const GUIDES = {
  "docs/reading-guide.md": "_No counterpart._",
  "docs/reading-guide.ko.md": "_대응 없음._",
};

/** The other pages. */
const OWN_SCRIPT = "docs/own-script.md";
const FAULTS = "docs/faults.md";

/** Names that the pages take from Python. */
const PYTHON = new Set([
  "Enum",
  "FetchError",
  "Lock",
  "ProcessPoolExecutor",
  "Semaphore",
  "Thread",
  "argparse",
  "as_completed",
  "download_many",
  "download_one",
  "downloader_coro",
  "else",
  "except",
  "get_flag",
  "multiprocessing",
  "namedtuple",
  "queue",
  "raise_for_status",
  "requests",
  "with",
]);

/** What else stands in code spans: commands, outputs, and names to be. */
const OTHER = new Set([
  "*** Is a directory",
  "-a 100",
  "-al 100",
  "-c deno.json",
  "// (7)",
  "CD OK",
  "EG OK",
  "IN OK",
  'Import "@std/async/pool" not a dependency',
  "Timed out after 10 s",
  "async for",
  "docs/bar.ts",
  "downloads/",
  "echo $?",
  "flags2_asyncio",
  "flags2_batches.ts",
  "npx --yes deno@2.9.6",
  "~/.deno/bin",
]);

const read = (path: string) => Deno.readTextFile(`${ROOT}/${path}`);

/** The callouts of a file, sorted. */
function callouts(text: string): number[] {
  return [...text.matchAll(/\/\/((?: \(\d+\))+)$/gm)]
    .flatMap(([, numbers]) => numbers!.match(/\d+/g)!.map(Number))
    .sort((a, b) => a - b);
}

/** What a guide says in a section, by number; numbers in the guide's order. */
function explained(guide: string, heading: RegExp): [number, string][] {
  const section = guide.split(/^##+ /m).find((part) => heading.test(part));
  if (!section) throw new Error(`no section ${heading}`);
  return section.split(/^(?=\d+\. )/m).slice(1).map((step) => {
    const [, number, text] = step.match(/^(\d+)\. +(.*)/s)!;
    return [Number(number), text!];
  });
}

/** From 1 to `n`. */
function numbers(n: number): number[] {
  return Array.from({ length: n }, (_, i) => i + 1);
}

const BLOCK = /^```.*?^```$/gms;

/** Blocks of code, which are no prose. */
function blocks(page: string): string[] {
  return page.match(BLOCK) ?? [];
}

/** What stands between backticks in the prose. */
function spans(page: string): string[] {
  return [...page.replace(BLOCK, "").matchAll(/`([^`]+)`/g)]
    .map(([, span]) => span!);
}

/** The code of the project, without its comments. */
async function code(): Promise<string> {
  let text = "";
  for (const folder of [".", "lib", "site", "docs"]) {
    for await (const { name } of Deno.readDir(`${ROOT}/${folder}`)) {
      if (name.endsWith(".ts")) text += await read(`${folder}/${name}`);
    }
  }
  return text.replace(/\/\*[^]*?\*\/|\/\/ .*$/gm, "");
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(`${ROOT}/${path}`).isFile;
  } catch {
    return false;
  }
}

/** What a name like `Deno.Command` stands for in this runtime. */
function inRuntime(name: string): unknown {
  return name.split(".").reduce(
    // deno-lint-ignore no-explicit-any
    (value: any, key) => value?.[key],
    globalThis,
  );
}

for (const [path, without] of Object.entries(GUIDES)) {
  describe(path, () => {
    for (const [script, steps] of Object.entries(STEPS)) {
      it(`explains each step of ${script} once, and the code has it`, async () => {
        const heading = new RegExp(`^${script}\n`);
        const all = explained(await read(path), heading);
        assertEquals(all.map(([number]) => number), numbers(steps));
        assertEquals(callouts(await read(script)), numbers(steps));
      });
    }

    it("explains each step of the first part of 18.4", async () => {
      const all = explained(await read(path), /^flags2_asyncio\.ts.+\n/);
      assertEquals(all.map(([number]) => number), numbers(8));
      assertEquals(
        all.filter(([_, text]) => text.startsWith(without)).map(([n]) => n),
        [1, 3, 4, 7],
      );
    });
  });
}

for (const path of [...Object.keys(GUIDES), OWN_SCRIPT, FAULTS]) {
  describe(path, () => {
    it("breaks no code span across lines", async () => {
      assertEquals(
        spans(await read(path)).filter((it) => it.includes("\n")),
        [],
      );
    });

    it("links to what is there", async () => {
      const page = await read(path);
      const headings = [...page.matchAll(/^##+ (.*)$/gm)].map(([_, heading]) =>
        heading!.toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, "")
          .replaceAll(" ", "-")
      );
      for (const [, text, link] of page.matchAll(/\[([^\]]*)\]\(([^)]*)\)/g)) {
        const [file, hash] = link!.split("#");
        if (!file) {
          assert(headings.includes(hash!), `no heading #${hash}`);
          continue;
        }
        const target = await read(`docs/${file}`);
        if (!hash) continue;
        // A line of a script, which is where the name is defined.
        const name = text!.replaceAll("`", "");
        const line = target.split("\n")[+hash.slice(1) - 1] ?? "";
        assertMatch(line, new RegExp(`^export .*\\b${name}\\b`), link);
      }
    });
  });
}

for (const path of [...Object.keys(GUIDES), OWN_SCRIPT]) {
  describe(path, () => {
    it("names only what is in the code", async () => {
      const source = await code();
      const names = new Set([...source.match(/[\w$]+/g)!, ...PYTHON]);
      const isKnown = (span: string) =>
        /^[\w$.]+$/.test(span)
          ? span.split(".").every((name) => names.has(name)) ||
            inRuntime(span) !== undefined
          : source.includes(span);
      const unknown = spans(await read(path)).filter((span) =>
        !isKnown(span) && !isFile(span) && !OTHER.has(span)
      );
      assertEquals(unknown, []);
    });
  });
}

describe("The guides", () => {
  it("have the same commands and code", async () => {
    const [english, korean] = await Promise.all(
      Object.keys(GUIDES).map(async (path) => blocks(await read(path))),
    );
    assert(english!.length > 5);
    assertEquals(english, korean);
  });

  it("say rightly that two scripts are the same from the loop on", async () => {
    const [threadpool, asyncio] = await Promise.all(
      ["threadpool", "asyncio"].map(async (script) => {
        const text = await read(`flags2_${script}.ts`);
        return text.slice(text.indexOf("  let doneIter"))
          .replace(/(?: \/\/)?(?: \(\d+\))+$/gm, "");
      }),
    );
    assertEquals(threadpool, asyncio);
    assertMatch(threadpool!, /^ +let doneIter[^]*await main/);
  });

  it("say rightly that a bad code is refused with -e and -a, too", () => {
    for (const option of ["-e", "-a"]) {
      assertThrows(() => processArgs([option, "100"], 5), UsageError);
    }
  });
});
