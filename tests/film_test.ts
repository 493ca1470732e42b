import { assert, assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { film, type Race, screens } from "../bench/film.ts";
import { ROOT } from "./testing.ts";
import { inLanes, lanes, watch } from "../bench/lanes.ts";

const race: Race = {
  of: ["asyncio", 5],
  command: "deno run -A flags2_asyncio.ts a < b",
  output: [
    { at: 0.1, text: "DELAY site: http://localhost:8002/flags\r\n" },
    { at: 0.2, text: "\r  0%|    | 0/4 [00:00<?, ?it/s]\x1b[K" },
    { at: 0.8, text: "\r 50%|██▌ | 2/4 [00:00<00:00, 2.50it/s]\x1b[K" },
    { at: 1, text: "^C\r 75%|███ | 3/4 [00:01<00:00, 3.00it/s]\x1b[K\r" },
    { at: 1.6, text: "\n--------------------\r\n4 flags & more\r\n" },
  ],
  report: { flags: 4, notFound: 0, errors: 0, notFinished: 0, elapsed: 1.4 },
};

/** Fails unless an SVG is well-formed, without scripts and links. */
function assertWellFormed(svg: string): void {
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
}

describe("the film", () => {
  it("has what the terminal showed in 16 s, from the bar on, when it did", () => {
    const bar = " 75%|███ | 3/4 [00:01<00:00, 3.00it/s]";
    const late = { at: 16, text: "\r100%|████| 4/4\x1b[K" };
    assertEquals(screens([...race.output, late]), [
      { at: 0.2, lines: ["  0%|    | 0/4 [00:00<?, ?it/s]"] },
      { at: 0.8, lines: [" 50%|██▌ | 2/4 [00:00<00:00, 2.50it/s]"] },
      { at: 1, lines: [bar] },
      { at: 1.6, lines: [bar, "-".repeat(20), "4 flags & more"] },
    ]);
  });

  const svg = film([race]);

  it("moves from screen to screen, each where its time is", () => {
    const steps = svg.matchAll(/([\d.]+)% { transform: translateY\((.*?)px\)/g);
    assertEquals(Array.from(steps, ([, at, y]) => `${at}% ${y}`), [
      "0.00% 54",
      "1.25% 0",
      "5.00% -54",
      "6.25% -108",
      "10.00% -162",
    ]);
    // A cell of the bar is eight pixels wide.
    assertMatch(
      svg,
      /<rect class="bar" x="40" y="56" width="20" height="15"\/>/,
    );
  });

  it("stands at the last screen for who prefers reduced motion", () => {
    const [still, moving, elements] = svg
      .split(/@media \(prefers-reduced-motion: no-preference\) |<\/style>/);
    assertMatch(moving!, /{ animation: asyncio 16s step-end infinite; }/);
    assert(!(still! + elements!).includes("animation"));
    assertMatch(
      elements!,
      /<g class="asyncio".*transform="translate\(0 -162\)">/,
    );
  });

  it("is well-formed, and tells the end to who does not see it", () => {
    assertWellFormed(svg);
    assertMatch(svg, /flags2_asyncio\.ts a &lt; b 4 flags &amp; more<\/desc>/);
  });
});

describe("the lanes", () => {
  it("are as many as requests are in flight, the one free for longest first", () => {
    const events = [
      { id: 7, cc: "aa", at: 1000 },
      { id: 8, cc: "ab", at: 1010 },
      { id: 7, cc: "aa", at: 1020, status: 503 },
      { id: 9, cc: "ac", at: 1030 },
      { id: 10, cc: "ad", at: 1040 },
      { id: 10, cc: "ad", at: 1500, status: 200 },
      { id: 8, cc: "ab", at: 1510, status: 404 },
      { id: 9, cc: "ac", at: 1530, status: 404 },
    ];
    assertEquals(inLanes(events, 2), [
      { cc: "aa", status: 503, lane: 0, from: 0, to: 0.02 },
      { cc: "ad", status: 200, lane: 2, from: 0.04, to: 0.5 },
      { cc: "ab", status: 404, lane: 1, from: 0.01, to: 0.51 },
      { cc: "ac", status: 404, lane: 0, from: 0.03, to: 0.53 },
    ]);
  });

  it("show a real run, each request once, no more at a time than -m", async () => {
    const { signal } = new AbortController();
    const run = await watch(["threadpool", "DELAY", 3], signal, 7);
    const codes = run.requests.map(({ cc }) => cc).sort();
    assertEquals(codes, ["aa", "ab", "ac", "ad", "ae", "af", "ag"]);
    const used = new Set(run.requests.map(({ lane }) => lane));
    assertEquals(used, new Set([0, 1, 2]));
    assert(run.requests.every(({ from, to }) => to - from > 0.45));
    const svg = lanes([run]);
    assertWellFormed(svg);
    assertEquals(svg.match(/<rect class="flags" .*? height="11"/g)?.length, 5);
    assertMatch(svg, /on DELAY, 3 at a time: [\d.]+ s, 4 flags, 3 not found</);
    for (const cc of codes) assert(svg.includes(`>${cc.toUpperCase()}</text>`));
  });

  it("show what was answered at once, too", () => {
    const requests =
      ([[0, 0.001, 500], [0.002, 0.003, 200], [0.004, 10, 200]] as const)
        .map(([from, to, status]) => ({ cc: "br", lane: 0, from, to, status }));
    const svg = lanes([{ of: ["asyncio", "ERROR", 1], requests }]);
    const bars = svg.matchAll(/class="(\w+)" x="(\S+)" y="86" width="(\S+)"/g);
    assertEquals(
      Array.from(bars, ([, ...bar]) => bar.join(" ")),
      ["errors 16 3", "flags 20 3", "flags 24 860"],
    );
  });
});

for (const name of ["race.svg", "lanes.svg"]) {
  it(`docs/${name} is well-formed and has less than 100 KB`, async () => {
    const svg = await Deno.readTextFile(`${ROOT}/docs/${name}`);
    assertWellFormed(svg);
    assert(svg.length < 100_000, `${svg.length}`);
  });
}
