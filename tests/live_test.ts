import { assert, assertEquals } from "@std/assert";
import { delay } from "@std/async/delay";
import { describe, it } from "@std/testing/bdd";
import { pathToFileURL } from "node:url";
import type { LiveEvent } from "../site/live.ts";
import { serveSite } from "../site/serve.ts";
import { type Site, SITES } from "../site/sites.ts";
import { findChromium, openPage } from "./chromium.ts";
import {
  eventually,
  freePort,
  itIf,
  parseReport,
  projectAtFreePorts,
  replaced,
  run,
  SCRIPTS,
  TemporaryFolder,
} from "./testing.ts";

let stop: AbortController;
let url: string;

/** Serve a site until the block is left. */
function serve(
  site: Partial<Site>,
  port = freePort(),
  withCode = serveSite,
): Disposable {
  const end = stop = new AbortController();
  url = `http://localhost:${port}`;
  withCode({ ...SITES.LOCAL!, ...site, port }, stop.signal);
  return { [Symbol.dispose]: () => end.abort() };
}

/** The status of a path; 0 when the request is given up. */
async function get(path: string, signal = stop.signal): Promise<number> {
  try {
    const response = await fetch(url + path, { signal });
    await response.body?.cancel();
    return response.status;
  } catch {
    return 0;
  }
}

/** Ask for a flag. */
const ask = (cc: string, signal?: AbortSignal) =>
  get(`/flags/${cc}/${cc}.gif`, signal);

/** Seconds that pass on this thread when they are told to. */
const LONG = 3600;

/** Answers that are so late come when all are let go, and leave no timer. */
function lateAnswers(): Disposable & { letGo: () => void } {
  const { setTimeout } = globalThis;
  let waiting: (() => void)[] | undefined = [];
  const unlessLong = (done: () => void, ms: number) => {
    if (ms !== 1000 * LONG) return setTimeout(done, ms);
    return waiting ? waiting.push(done) : done();
  };
  const letGo = () => {
    waiting?.forEach((done) => done());
    waiting = undefined;
  };
  return { ...replaced(globalThis, "setTimeout", unlessLong), letGo };
}

/** The clock of this thread, which stands still until it is put on. */
function stoppedClock(): Disposable & { at: number } {
  const at = performance.now();
  const clock = { at, ...replaced(performance, "now", () => clock.at) };
  return clock;
}

/** `cc`, or `cc=status`, of each. */
const brief = (events: LiveEvent[]) =>
  events.map(({ cc, status }) => status === undefined ? cc : `${cc}=${status}`)
    .join(" ");

/** Watch a site until the block is left. */
async function watching(path = "/page/events") {
  const pictures: LiveEvent[][] = [[]];
  const source = new EventSource(url + path);
  source.addEventListener("picture", () => pictures.push([]));
  source.onmessage = ({ data }) => pictures.at(-1)!.push(JSON.parse(data));
  await eventually(() => source.readyState === EventSource.OPEN);
  /** See what the latest picture tells, once it is so much. */
  const tells = async (expected: string) => {
    const count = expected.split(" ").length;
    await eventually(() => pictures.at(-1)!.length >= count);
    assertEquals(brief(pictures.at(-1)!), expected);
    return pictures.at(-1)!;
  };
  return { pictures, tells, [Symbol.dispose]: () => source.close() };
}

describe("the events of a site", () => {
  it("are told at /events and /page/events, as flags are asked for and answered", async () => {
    using late = lateAnswers();
    using _site = serve({ late: 1, delay: LONG });
    using plain = await watching("/events");
    using page = await watching();
    const br = ask("br");
    await plain.tells("br");
    const xx = ask("xx");
    await plain.tells("br xx");
    await delay(50);
    late.letGo();
    assertEquals(await Promise.all([br, xx]), [200, 404]);
    const events = await plain.tells("br xx br=200 xx=404");
    assertEquals(await page.tells("br xx br=200 xx=404"), events);
    assertEquals([plain, page].map(({ pictures }) => pictures.length), [1, 3]);
    const [begin, , end, last] = events;
    assertEquals(begin!.id, end!.id);
    assert(end!.id !== last!.id);
    assert(end!.at - begin!.at > 45, `${begin!.at} to ${end!.at}`);
  });

  it("tell that a client gave up, once", async () => {
    using late = lateAnswers();
    using _site = serve({ late: 1, delay: LONG });
    using watcher = await watching();
    const given = new AbortController();
    const asked = ask("br", given.signal);
    await watcher.tells("br");
    given.abort();
    assertEquals(await asked, 0);
    await watcher.tells("br br=0");
    late.letGo();
    await ask("us");
    await watcher.tells("br br=0 us us=200");
  });

  it("are not made when nobody watches", async () => {
    using _site = serve({});
    using clock = stoppedClock();
    const seen: string[] = [];
    // As soon as the site sees that the one before has gone:
    await eventually(async () => {
      clock.at += 10_000;
      await ask("in");
      using watcher = await watching();
      if (seen.length === 0) await ask("us");
      await eventually(() => watcher.pictures.at(-1)!.length > 1);
      seen.push(JSON.stringify(watcher.pictures.at(-1)));
      return seen.at(-1) === seen.at(-2);
    });
    assertEquals(brief(JSON.parse(seen[0]!)), "us us=200");
  });

  it("are told of flags only, and to all: who come late have the picture so far", async () => {
    using _site = serve({});
    using first = await watching();
    for (const path of ["/", "/page/br.gif", "/flags/br/metadata.json"]) {
      assertEquals(await get(path), 200);
    }
    await ask("br");
    {
      using second = await watching();
      await second.tells("br br=200");
    }
    using plain = await watching("/events");
    await ask("us");
    await plain.tells("us us=200");
    await first.tells("br br=200 us us=200");
  });

  it("are not lost to who loads the page again", async () => {
    using _site = serve({});
    using _ = stoppedClock();
    (await watching())[Symbol.dispose]();
    await delay(100); // The site may see now that nobody is there.
    await ask("br");
    using watcher = await watching();
    await watcher.tells("br br=200");
  });

  it("begin a new picture with a new run, and not within one", async () => {
    using late = lateAnswers(); // Of this seed, those for US are late.
    using _site = serve({ late: 0.5, delay: LONG, seed: 2 });
    using watcher = await watching();
    using clock = stoppedClock();
    await ask("br");
    clock.at += 500; // What came was long to save.
    const us = ask("us");
    await watcher.tells("br br=200 us");
    clock.at += 5000; // Two scripts run at once.
    await ask("br");
    late.letGo();
    await us;
    clock.at += 500; // The next run,
    await ask("br");
    clock.at += 5000; // and another, of other codes.
    await ask("us");
    await eventually(() => watcher.pictures.flat().length === 10);
    assertEquals(watcher.pictures.map(brief).filter(Boolean), [
      "br br=200 us br br=200 us=200",
      "br br=200",
      "us us=200",
    ]);
  });
});

describe("the page of a site", () => {
  /** What it is told of the site. */
  async function told(): Promise<Record<string, unknown>> {
    const html = await (await fetch(url)).text();
    return JSON.parse(html.match(/id="site">([^<]*)<\/script>/)![1]!);
  }

  it("is at /, /flags and /flags/, and loads nothing from elsewhere", async () => {
    using _site = serve({});
    const loaded = async (path: string, pattern: RegExp) => {
      const response = await fetch(url + path);
      const urls = (await response.text()).matchAll(pattern);
      return [response.headers.get("content-type"), ...urls.map((m) => m[1])];
    };
    for (const path of ["/", "/flags", "/flags/", "/flags/?x"]) {
      assertEquals(
        await loaded(path, /(?:src|href|url\()="?([^")]*)/g),
        ["text/html; charset=utf-8", "data:,", "/page/page.js"],
      );
    }
    assertEquals(await loaded("/page/page.js", /["`](\/[^"`]*)["`]/g), [
      "text/javascript; charset=utf-8",
      "/page/${request.cc}.gif",
      "/page/events",
    ]);
  });

  it("says what becomes of requests, and is neither failed nor late itself", async () => {
    const fates: [Partial<Site>, string][] = [
      [{}, "All requests are answered at once, one after the other."],
      [SITES.DELAY!, "All requests are answered 0.5 s late."],
      [{ errors: 1 }, "All requests fail."],
      [
        { ...SITES.ERROR!, delay: LONG },
        "Of all requests, 25% fail, 50% are answered 3600 s late, " +
        "25% are answered at once.",
      ],
      [
        { errors: 0.125 },
        "Of all requests, 12.5% fail, 87.5% are answered at once.",
      ],
    ];
    for (const [site, expected] of fates) {
      using _site = serve(site);
      assertEquals((await told()).fates, expected);
      for (const path of ["/page/page.js", "/page/br.gif"]) {
        assertEquals(await get(path), 200);
      }
    }
  });

  it("knows its label, and a country for each code that has one", async () => {
    await using copy = await projectAtFreePorts();
    const metadata = (cc: string) => `${copy.path}/flags/${cc}/metadata.json`;
    for (const cc of ["ad", "ae"]) await Deno.remove(metadata(cc));
    await Deno.mkdir(metadata("ad"));
    await Deno.writeTextFile(metadata("af"), "{");
    await Deno.writeTextFile(metadata("ag"), '{"country": "</script>"}');
    const program = pathToFileURL(`${copy.path}/site/serve.ts`).href;
    const there: typeof import("../site/serve.ts") = await import(program);
    using _site = serve({}, copy.ports[0], there.serveSite);
    const { label, host, countries } = await told();
    assertEquals([label, `http://${host}`], ["LOCAL", url]);
    const names = Object.entries(countries as object).join(" ");
    assert(names.startsWith("AD, AE, AF, AG,</script> AL,Albania"), names);
  });
});

const chromium = await findChromium();
const inChromium = itIf(chromium !== undefined, "Chromium");

type Shown = {
  counts: Record<string, number>;
  tiles: string[];
  flags: string[];
  lanes: number;
};

/** What the page shows: its counts by their words, and the tiles. */
const SHOWN = `(() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const text = (selector) => all(selector).map((each) => each.textContent);
  const numbers = text("dd").map(Number);
  return {
    status: document.querySelector("#status").textContent,
    counts: Object.fromEntries(text("dt").map((what, i) => [what, numbers[i]])),
    tiles: text("li"),
    flags: all("li.flag").filter((tile) =>
      tile.querySelector("img").naturalWidth === 320).map((tile) => tile.title),
    lanes: (document.querySelector("canvas").clientHeight - 20) / 26,
  };
})()`;

describe("the page of a site, in Chromium,", () => {
  inChromium("shows each run, and a site that goes and comes", async () => {
    using _site = serve({ errors: 0.25, late: 0.75, delay: LONG, seed: 5 });
    await using page = await openPage(chromium!, url);
    const shown = (condition: string) =>
      page.until<Shown>(
        `(({ status, counts, flags }) => ${condition})(shown = ${SHOWN}) && shown`,
      );
    const says = (text: string) => `status.startsWith("${text}")`;
    const count = (inFlight: number, what: string, n: number) =>
      `counts["in flight"] === ${inFlight} && counts["${what}"] === ${n}`;
    assertEquals((await shown(says("Run a script"))).tiles, []);

    for (const script of SCRIPTS) {
      using late = lateAnswers();
      await using folder = new TemporaryFolder();
      const most = script === "sequential" ? 1 : 10;
      const args = `-s ${url}/flags -t 60 -m 10 -l ${2 * most + 2} a`;
      const running = run(script, args.split(" "), { cwd: folder.path });
      const isMost = count(most, "the most at a time", most);
      await shown(`${says("A script is asking")} && ${isMost}`);
      late.letGo();
      const report = parseReport((await running).stdout);
      const { flags, notFound, errors, elapsed } = report;
      const flagsAre = `${
        count(0, "flags", flags)
      } && flags.length === ${flags}`;
      const over = await shown(`${says("Over")} && ${flagsAre}`);
      const { "seconds since the first": seconds, ...counts } = over.counts;
      assertEquals(counts, {
        "in flight": 0,
        "the most at a time": most,
        flags,
        "not found": notFound,
        errors,
        "given up": 0,
      });
      assert(seconds! > 0 && seconds! < elapsed + 0.015, `${seconds} s`);
      assertEquals(over.lanes, most);
      assert(over.flags.includes("Andorra"), over.flags.join());
      assertEquals(over.tiles.length, flags + notFound + errors);
      assert(over.tiles.includes("404AA"), over.tiles.join());
    }

    using _ = lateAnswers();
    const given = new AbortController();
    const codes = "ad br cn de eg fr in jp kr us".split(" ");
    const asked = codes.map((cc, i) => ask(cc, (i < 5 ? given : stop).signal));
    await shown(count(8, "errors", 2));
    given.abort();
    await shown(count(4, "given up", 4));
    stop.abort();
    const gone = await shown(
      `${says("The site is gone")} && ${count(0, "given up", 8)}`,
    );
    const statuses = await Promise.all(asked);
    assertEquals(
      gone.tiles.toSorted(),
      codes.map((cc, i) => `${statuses[i] || "–"}${cc.toUpperCase()}`).sort(),
    );
    using _again = serve({}, Number(new URL(url).port));
    assertEquals((await shown(says("Run a script"))).tiles.length, 10);
    await ask("br");
    assertEquals((await shown(count(0, "flags", 1))).tiles, ["BR"]);
    assertEquals(page.errors, []);
  });
});
