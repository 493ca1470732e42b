import { assert, assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { ROOT } from "./testing.ts";

/** Each numbered script, with how many steps it has. */
const STEPS = {
  "flags2_common.ts": 6,
  "flags2_sequential.ts": 12,
  "flags2_threadpool.ts": 16,
  "flags2_asyncio.ts": 8,
};

/** The guides, each with its words for a step that the code does not have. */
const GUIDES = {
  "docs/reading-guide.md": "_No counterpart._",
  "docs/reading-guide.ko.md": "_대응 없음._",
};

/** Names that the guides take from Python. */
const PYTHON = new Set([
  "ConnectionError",
  "Enum",
  "Semaphore",
  "as_completed",
  "except",
  "namedtuple",
  "raise_for_status",
  "requests",
  "with",
]);

const read = (path: string) => Deno.readTextFile(`${ROOT}/${path}`);

/** The callouts of a file, sorted. */
function callouts(text: string): number[] {
  return [...text.matchAll(/\/\/((?: \(\d+\))+)$/gm)]
    .flatMap(([, numbers]) => numbers!.match(/\d+/g)!.map(Number))
    .sort((a, b) => a - b);
}

/** What a guide says of a script, by number; numbers in the guide's order. */
function explained(guide: string, script: string): [number, string][] {
  const section = guide.split(/^##+ /m).find((part) =>
    part.startsWith(`${script}\n`)
  );
  if (!section) throw new Error(`no section ${script}`);
  return section.split(/^(?=\d+\. )/m).slice(1).map((step) => {
    const [, number, text] = step.match(/^(\d+)\. +(.*)/s)!;
    return [Number(number), text!];
  });
}

/** The words in the code of the project. */
async function codeNames(): Promise<Set<string>> {
  const names = new Set<string>();
  for (const folder of [".", "lib", "site"]) {
    for await (const { name } of Deno.readDir(`${ROOT}/${folder}`)) {
      if (!name.endsWith(".ts")) continue;
      const text = (await read(`${folder}/${name}`))
        .replace(/\/\*[^]*?\*\/|\/\/ .*$/gm, "");
      for (const [word] of text.matchAll(/[\w$]+/g)) names.add(word);
    }
  }
  return names;
}

for (const [path, without] of Object.entries(GUIDES)) {
  describe(path, () => {
    for (const [script, steps] of Object.entries(STEPS)) {
      it(`explains each step of ${script} once, and the code has it`, async () => {
        const all = explained(await read(path), script);
        const numbers = Array.from({ length: steps }, (_, i) => i + 1);
        assertEquals(all.map(([number]) => number), numbers);
        assertEquals(
          callouts(await read(script)),
          all.filter(([_, text]) => !text.startsWith(without)).map(([n]) => n),
        );
      });
    }

    it("names only what is in the code", async () => {
      const prose = (await read(path)).replace(/^```.*?^```$/gms, "");
      const names = await codeNames();
      const spans = [...prose.matchAll(/`([^`]+)`/g)].map(([, span]) => span!);
      const identifiers = spans.filter((span) => /^[\w$.]+$/.test(span));
      assert(identifiers.length > 40);
      for (const identifier of identifiers) {
        if (/\.ts$/.test(identifier)) {
          await Deno.stat(`${ROOT}/${identifier}`);
          continue;
        }
        for (const name of identifier.split(".")) {
          assert(names.has(name) || PYTHON.has(name), `no ${name} in the code`);
        }
      }
    });
  });
}

describe("The guides", () => {
  it("have the same steps without a counterpart, and the same commands", async () => {
    const [english, korean] = await Promise.all(
      Object.entries(GUIDES).map(async ([path, without]) => {
        const guide = await read(path);
        return {
          missing: Object.keys(STEPS).map((script) =>
            explained(guide, script)
              .filter(([_, text]) => text.startsWith(without))
              .map(([number]) => number)
          ),
          commands: guide.match(/^```.*?^```$/gms),
        };
      }),
    );
    assertEquals(english, korean);
  });
});
