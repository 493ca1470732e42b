import { assert, assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { barAt, film, type Recording } from "../bench/film.ts";

const sequential: Recording = {
  script: "sequential",
  codes: 676,
  connections: 1,
  done: [0.5, 1, 1.52, 2.05],
  report: ["never shown"],
};
const asyncio: Recording = {
  script: "asyncio",
  codes: 4,
  connections: 2,
  done: [0.51, 0.52, 1.04, 1.11],
  report: ["-".repeat(20), "4 flags downloaded.", "Elapsed time: 1.11s"],
};

/** The counts that the pictures of a class show, in their order. */
function counts(svg: string, pictures: RegExp): string[] {
  return [...svg.matchAll(pictures)].map(([, picture]) =>
    picture!.match(/\d+\/\d+ \[.*?\]/)![0].replace("&lt;", "<")
  );
}

describe("the film", () => {
  for (
    const [recording, seconds, percentage, eighths, counts] of [
      [sequential, 0, "0%", 0, "0/676 [00:00<?, ?it/s]"],
      [sequential, 0.4, "0%", 0, "0/676 [00:00<?, ?it/s]"],
      [sequential, 1, "0%", 0, "2/676 [00:01<05:37, 2.00it/s]"],
      [sequential, 2, "0%", 1, "3/676 [00:02<07:28, 1.50it/s]"],
      [asyncio, 0.5, "0%", 0, "0/4 [00:00<?, ?it/s]"],
      [asyncio, 0.8, "50%", 160, "2/4 [00:00<00:00, 2.50it/s]"],
      [asyncio, 1.1, "75%", 240, "3/4 [00:01<00:00, 2.73it/s]"],
      [asyncio, 1.2, "100%", 320, "4/4 [00:01<00:00, 3.60it/s]"],
      [asyncio, 9, "100%", 320, "4/4 [00:01<00:00, 3.60it/s]"],
    ] as const
  ) {
    it(`has ${recording.script} at ${counts} after ${seconds} s`, () => {
      const expected = { percentage, eighths, counts };
      assertEquals(barAt(recording, seconds), expected);
    });
  }

  it("has a frame for each tenth of a second, and stands at the last", () => {
    const svg = film([sequential, asyncio]);
    const frames = (terminal: string) =>
      counts(terminal, /<g class="frame" style="--at:\d+">(.*?)<\/g>/g);
    const [, first, second] = svg.split('<g transform="translate(0 ');
    const at = (recording: Recording) => (_: unknown, i: number) =>
      barAt(recording, i / 10).counts;
    assertEquals(frames(first!), Array.from({ length: 19 }, at(sequential)));
    assertEquals(frames(second!), Array.from({ length: 12 }, at(asyncio)));
    assertEquals(
      counts(first!, /<g class="sequential">(.*?)<\/g>/gs),
      ["3/676 [00:01<07:06, 1.58it/s]"],
    );
    assertEquals(
      counts(second!, /<g class="asyncio">(.*?)<\/g>/gs),
      ["4/4 [00:01<00:00, 3.60it/s]"],
    );
  });

  it("shows each frame in its tenth of a second, then the last", () => {
    const svg = film([sequential, asyncio]); // Of two seconds.
    assert(svg.includes(".frame { visibility: hidden; }"));
    assertMatch(
      svg,
      /@keyframes frame { from { visibility: visible; } 5\.000%, to { visibility: hidden; } }/,
    );
    assertMatch(
      svg,
      /animation: frame 2s step-end infinite; animation-delay: calc\(var\(--at\) \* 0\.1s\);/,
    );
    for (const [script, share] of [["sequential", 95], ["asyncio", 60]]) {
      assert(svg.includes(
        `@keyframes ${script} { from { visibility: hidden; } ` +
          `${share}.000% { visibility: visible; } }`,
      ));
    }
  });

  it("ends when nobody watched any longer, after 12 s at most", () => {
    const lasting = (done: number[]) =>
      film([{ ...sequential, done }]).match(/frame ([\d.]+)s /)?.[1];
    assertEquals(lasting([0.5, 2.05]), "2");
    assertEquals(lasting([0.5, 13.2]), "12");
    assertEquals(film([asyncio]).match(/frame ([\d.]+)s /)?.[1], "12");
  });

  it("shows the report of a script that came to its end, and only of it", () => {
    const svg = film([sequential, asyncio]);
    for (const line of asyncio.report) assert(svg.includes(`>${line}</text>`));
    assert(!svg.includes("never shown"));
    const late = { ...asyncio, done: [0.5, 1, 13, 14] };
    assert(!film([late]).includes("downloaded"));
  });

  it("stands still for who prefers reduced motion", () => {
    const [still, moving, pictures] = film([sequential, asyncio])
      .split(/@media \(prefers-reduced-motion: no-preference\) |<\/style>/);
    assertMatch(moving!, /animation: frame /);
    assert(!(still! + pictures!).includes("animation"));
  });

  it("is well-formed, and has neither script nor link", () => {
    const report = ["a < b & c"];
    const svg = film([sequential, { ...asyncio, report }]);
    assert(svg.includes("a &lt; b &amp; c"));
    assert(!/<script|href|url\(|@import/.test(svg));
    const open: string[] = [];
    for (
      const [, end, name, empty] of svg.matchAll(/<(\/?)(\w+)[^<>]*?(\/?)>/g)
    ) {
      if (end) assertEquals(open.pop(), name);
      else if (!empty) open.push(name!);
    }
    assertEquals(open, []);
    const text = svg.replace(/<\/?\w+[^<>]*>/g, "");
    assert(!/[<>]|&(?!lt;|amp;)/.test(text), text);
  });

  it("of all codes has less than 100 KB", () => {
    const done = Array.from({ length: 676 }, (_, i) => (i + 1) / 60);
    const long = { ...asyncio, codes: 676, done };
    assert(film([long, long, long]).length < 100_000);
  });
});
