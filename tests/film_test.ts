import { assert, assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { film, type Race, screens } from "../bench/film.ts";
import { lanes, watch } from "../bench/lanes.ts";
import { layOut, toBars } from "../site/lanes.js";
import type { LiveEvent } from "../site/live.ts";

const race: Race = {
  setup: ["asyncio", 5],
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
  const tags = svg.matchAll(/<(\/?)(\w+)[^<>]*?(\/?)>/g);
  for (const [, end, name, empty] of tags) {
    if (end) assertEquals(open.pop(), name);
    else if (!empty) open.push(name!);
  }
  assertEquals(open, []);
  const text = svg.replace(/<\/?\w+[^<>]*>/g, "");
  assert(!/[<>]|&(?!lt;|amp;)/.test(text), text);
}

describe("the film", () => {
  it("shows the bar and the lines after it, within 16 seconds", () => {
    const bar = " 75%|███ | 3/4 [00:01<00:00, 3.00it/s]";
    const late = { at: 16, text: "\r100%|████| 4/4\x1b[K" };
    assertEquals(screens([...race.output, late]), [
      { at: 0.2, lines: ["  0%|    | 0/4 [00:00<?, ?it/s]"] },
      { at: 0.8, lines: [" 50%|██▌ | 2/4 [00:00<00:00, 2.50it/s]"] },
      { at: 1, lines: [`${bar}^C`] },
      { at: 1.6, lines: [`${bar}^C`, "-".repeat(20), "4 flags & more"] },
    ]);
  });

  const svg = film([race]);

  it("moves to each screen at its time", () => {
    const steps = svg.matchAll(/([\d.]+%) { transform: translateY\((.*?)px\)/g);
    const moves = Array.from(steps, ([, at, y]) => `${at} ${y}`);
    const expected = "0.00% 54,1.25% 0,5.00% -54,6.25% -108,10.00% -162";
    assertEquals(moves.join(), expected);
  });

  it("shows the last screen under prefers-reduced-motion", () => {
    const [still, moving, elements] = svg
      .split(/@media \(prefers-reduced-motion: no-preference\) |<\/style>/);
    assertMatch(moving!, /{ animation: asyncio 16s step-end infinite; }/);
    assert(!(still! + elements!).includes("animation"));
    assertMatch(elements!, /<g class="asyncio".*="translate\(0 -162\)">/);
  });

  it("is well-formed, with cells of eight pixels and the reports in its description", () => {
    assertWellFormed(svg);
    assertMatch(svg, /<rect class="bar" x="40" y="56" width="20" height="15"/);
    assertMatch(svg, /flags2_asyncio\.ts a &lt; b 4 flags &amp; more<\/desc>/);
  });
});

/** The events of requests, from the milliseconds of their begins and ends. */
function eventsOf(
  requests: [cc: string, from: number, to?: number, status?: number][],
): LiveEvent[] {
  return requests.flatMap(([cc, from, to, status], id) => [
    { id, cc, at: from },
    ...to === undefined ? [] : [{ id, cc, at: to, status: status! }],
  ]).sort((a, b) => a.at - b.at);
}

describe("the layout", () => {
  it("puts each request on the next free lane", () => {
    const events = eventsOf([
      ["aa", 1000, 1020, 503],
      ["ab", 1010, 1510, 404],
      ["ac", 1030, 1530, 0],
      ["ad", 1040, 1500, 200],
      ["ae", 1505],
      ["af", 1525, 1526, 200],
    ]);
    const stray = { id: 9, cc: "zz", at: 1030, status: 200 };
    const { requests, lanes, counts } = layOut([...events, stray]);
    assertEquals(lanes, 3);
    assertEquals(counts, { waiting: 1, flag: 2, none: 1, error: 1, gone: 1 });
    const laid = requests.map(({ cc, kind, lane, from, to }) =>
      `${cc} ${kind} ${lane} ${from}-${to ?? ""}`
    );
    const expected = "aa error 0 0-20, ab none 1 10-510, ac gone 0 30-530, " +
      "ad flag 2 40-500, ae waiting 2 505-, af flag 1 525-526";
    assertEquals(laid.join(", "), expected);
  });

  /** The edges of the bars of requests on one lane. */
  function edges(times: [from: number, to: number][], width: number) {
    const events = eventsOf(times.map(([from, to]) => ["br", from, to, 200]));
    const now = events.at(-1)!.at;
    return toBars(layOut(events).requests, now, width / now, width)
      .map(({ left, right }) => [left, right]);
  }

  it("leaves every bar visible, even a short one", () => {
    const early = edges([[0, 1], [2, 3], [4, 100]], 100);
    assertEquals(early, [[0, 3], [4, 7], [8, 100]]);
    const late = edges([[0, 98], [98.5, 99], [99.5, 100]], 100);
    assertEquals(late, [[0, 92], [93, 96], [97, 100]]);
  });

  it("fits 676 bars on one lane of a telephone", () => {
    const times = Array.from({ length: 676 }, (_, i): [number, number] => {
      const from = i > 600 ? i + 1000 : i;
      return [from, from + 0.5];
    });
    let end = 0;
    for (const [left, right] of edges(times, 358)) {
      assert(left! >= end - 1e-9 && right! - left! > 0.35, `${left} ${right}`);
      end = right!;
    }
    assert(end <= 358 + 1e-9, `${end}`);
  });
});

describe("the lanes", () => {
  it("show each request of a real run once, on as many lanes as -m", async () => {
    const { signal } = new AbortController();
    const run = await watch(["threadpool", "DELAY", 3], signal, 7);
    const codes = run.requests.map(({ cc }) => cc).sort();
    assertEquals(codes, ["aa", "ab", "ac", "ad", "ae", "af", "ag"]);
    assertEquals(run.lanes, 3);
    assert(run.requests.every(({ from, to }) => to! - from > 450));
    const svg = lanes([run]);
    assertWellFormed(svg);
    // One is that of the legend.
    assertEquals(svg.match(/<rect class="flag" .*? height="15"/g)?.length, 5);
    assertMatch(svg, /on DELAY, 3 at a time: [\d.]+ s, 4 flags, 3 not found</);
    assertMatch(svg, /3 not found\. 2 to 3 bars on each of 3 lanes\.<\/desc>/);
    for (const cc of codes) assert(svg.includes(`>${cc.toUpperCase()}</text>`));
  });

  it("show requests that were answered at once", () => {
    const run = layOut(eventsOf([
      ["br", 0, 1, 500],
      ["br", 2, 3, 200],
      ["br", 4, 10_000, 200],
    ]));
    const svg = lanes([{ setup: ["asyncio", "ERROR", 1], ...run }]);
    const bars = svg.matchAll(/class="(\w+)" x="(\S+)" y="94" width="(\S+)"/g);
    const shown = Array.from(bars, ([, ...bar]) => bar.join(" ")).join(", ");
    assertEquals(shown, "error 12 3, flag 16 3, flag 20 668");
  });
});
