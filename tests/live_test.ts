import { assert, assertEquals, assertMatch } from "@std/assert";
import { delay } from "@std/async/delay";
import { describe, it } from "@std/testing/bdd";
import { pathToFileURL } from "node:url";
import { Live, type LiveEvent } from "../site/live.ts";
import { serveSite } from "../site/serve.ts";
import { type Site, SITES } from "../site/sites.ts";
import { findChromium, openPage } from "./chromium.ts";
import {
  freePort,
  parseReport,
  SCRIPTS,
  TemporaryFolder,
} from "../bench/scripts.ts";
import { runScript } from "./processes.ts";
import { projectAtFreePorts } from "./projects.ts";
import { eventually, itIf, replaced } from "./testing.ts";

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

/** Hold the timers of so many milliseconds until they are let go, or for good. */
function heldTimers(held = 1000 * LONG): Disposable & { letGo: () => void } {
  const { setTimeout } = globalThis;
  let waiting: (() => void)[] | undefined = [];
  const unlessHeld = (done: () => void, ms: number) => {
    if (ms !== held) return setTimeout(done, ms);
    return waiting ? waiting.push(done) : done();
  };
  const letGo = () => {
    waiting?.forEach((done) => done());
    waiting = undefined;
  };
  return { ...replaced(globalThis, "setTimeout", unlessHeld), letGo };
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
async function watching() {
  const pictures: LiveEvent[][] = [[]];
  const source = new EventSource(`${url}/page/events`);
  let site = "";
  source.addEventListener("picture", ({ data }) => {
    pictures.push([]);
    ({ site } = JSON.parse(data));
  });
  source.onmessage = ({ data }) => pictures.at(-1)!.push(JSON.parse(data));
  await eventually(() => source.readyState === EventSource.OPEN);
  /** See what the latest picture tells, once it is so much. */
  const tells = async (expected: string) => {
    const count = expected.split(" ").length;
    await eventually(() => pictures.at(-1)!.length >= count);
    assertEquals(brief(pictures.at(-1)!), expected);
    return pictures.at(-1)!;
  };
  return {
    pictures,
    site: () => site,
    tells,
    [Symbol.dispose]: () => source.close(),
  };
}

describe("the events of a site", () => {
  it("report each request and its answer to all watchers", async () => {
    using late = heldTimers();
    using _site = serve({ lateShare: 1, delay: LONG });
    using first = await watching();
    using second = await watching();
    const br = ask("br");
    await first.tells("br");
    const xx = ask("xx");
    await first.tells("br xx");
    await delay(50);
    late.letGo();
    assertEquals(await Promise.all([br, xx]), [200, 404]);
    const events = await first.tells("br xx br=200 xx=404");
    assertEquals(await second.tells("br xx br=200 xx=404"), events);
    const [begin, , end, last] = events;
    assertEquals(begin!.id, end!.id);
    assert(end!.id !== last!.id);
    assert(end!.at - begin!.at > 45, `${begin!.at} to ${end!.at}`);
  });

  it("report an aborted request once, even before a watcher arrives", async () => {
    using late = heldTimers();
    using _site = serve({ lateShare: 1, delay: LONG });
    const given = new AbortController();
    const asked = ask("br", given.signal);
    await delay(50); // The request has arrived.
    given.abort();
    assertEquals(await asked, 0);
    using watcher = await watching();
    await watcher.tells("br br=0");
    late.letGo();
    await ask("us");
    await watcher.tells("br br=0 us us=200");
  });

  it("report only requests for flags, and late watchers get all of them", async () => {
    using _site = serve({});
    for (const path of ["/", "/page/br.gif", "/flags/br/metadata.json"]) {
      assertEquals(await get(path), 200);
    }
    await ask("br");
    using first = await watching();
    await first.tells("br br=200");
    {
      using second = await watching();
      await second.tells("br br=200");
    }
    await ask("us");
    await first.tells("br br=200 us us=200");
  });

  it("begin a new picture with each run, but not within a run", async () => {
    using late = heldTimers();
    // Of this seed, the answers for US are late.
    using _site = serve({ lateShare: 0.5, delay: LONG, seed: 2 });
    using watcher = await watching();
    using clock = stoppedClock();
    const us = ask("us");
    await watcher.tells("us");
    await ask("br");
    clock.at += 5000;
    await ask("br"); // Another script runs at the same time.
    late.letGo();
    await us;
    for (let run = 0; run < 15; run++) {
      clock.at += 20;
      for (const cc of ["in", "br"]) { // The requests of a run, in any order.
        clock.at += 10;
        await ask(cc);
      }
    }
    clock.at += 1001; // The next run has other codes.
    await ask("us");
    await eventually(() => brief(watcher.pictures.at(-1)!) === "us us=200");
    const before = brief(watcher.pictures[1]!);
    const expected = "us br br=200 br br=200 us=200";
    assert(before.startsWith(expected), before);
    const run = "in in=200 br br=200";
    assertEquals(watcher.pictures.slice(2).map(brief), [
      ...Array(15).fill(run),
      "us us=200",
    ]);
  });

  it("are sent at once when no request is in flight", async () => {
    using _site = serve({});
    using watcher = await watching();
    await delay(50);
    using _ = heldTimers(40); // Those that gather events.
    await ask("br");
    await watcher.tells("br br=200");
  });

  it("are all sent when the site ends", async () => {
    using _ = heldTimers(40);
    const live = new Live("");
    const address = { hostname: "127.0.0.1", port: 0, onListen() {} };
    const server = Deno.serve(address, () => live.watch());
    const { body } = await fetch(`http://127.0.0.1:${server.addr.port}`);
    for (const cc of ["br", "us", "xx"]) {
      await live.track(cc, new Request(url), () => new Response());
    }
    live.watch(); // A client that does not read is not waited for.
    await live.end();
    await server.shutdown();
    const expected = /"br".*"br".*200.*"us".*"us".*200.*"xx".*"xx".*200/s;
    assertMatch(await new Response(body).text(), expected);
    assertMatch(await live.watch().text(), expected);
  });
});

describe("the page of a site", () => {
  it("is at /, /flags and /flags/, and loads only files of the site", async () => {
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
    assertEquals(await loaded("/page/page.js", /["`](\.?\/[^"`]*)["`]/g), [
      "text/javascript; charset=utf-8",
      "./lanes.js",
      "/page/facts",
      "/page/${cc}.gif",
      "/page/events",
    ]);
  });

  it("describes the site, is never late and never fails", async () => {
    const atOnce = "Most answers are sent before the next request arrives, " +
      "so fewer requests are in flight than -m allows.";
    const sites: [Partial<Site>, string][] = [
      [{}, `This site answers every request at once. ${atOnce}`],
      [SITES.DELAY!, "This site answers every request after 0.5 s."],
      [{ errorShare: 1 }, "This site fails every request."],
      [
        { ...SITES.ERROR!, delay: LONG },
        "Of all requests, this site fails 25%, answers 50% after 3600 s, " +
        "and answers 25% at once.",
      ],
      [
        { errorShare: 0.125 },
        "Of all requests, this site fails 12.5% and answers 87.5% at once.",
      ],
    ];
    for (const [site, expected] of sites) {
      using _site = serve(site);
      using watcher = await watching();
      await eventually(() => watcher.site());
      assertEquals(watcher.site(), expected);
      for (const path of ["page.js", "lanes.js", "facts", "br.gif"]) {
        assertEquals(await get(`/page/${path}`), 200);
      }
    }
  });

  it("knows the names of the three sites and of the countries", async () => {
    await using copy = await projectAtFreePorts();
    const metadata = (cc: string) => `${copy.path}/flags/${cc}/metadata.json`;
    for (const cc of ["ad", "ae"]) await Deno.remove(metadata(cc));
    await Deno.mkdir(metadata("ad"));
    await Deno.writeTextFile(metadata("af"), "{");
    await Deno.writeTextFile(metadata("ag"), '{"country": 1}');
    const program = pathToFileURL(`${copy.path}/site/serve.ts`).href;
    const there: typeof import("../site/serve.ts") = await import(program);
    using _site = serve({}, copy.ports[0], there.serveSite);
    const facts = await fetch(`${url}/page/facts`);
    const { deno, sites, countries } = await facts.json();
    assertEquals(deno, Deno.version.deno);
    const [local, late, failing] = copy.ports;
    const expected = { [local]: "LOCAL", [late]: "DELAY", [failing]: "ERROR" };
    assertEquals(sites, expected);
    const names = Object.entries(countries as object).join(" ");
    assert(names.startsWith("AD, AE, AF, AG,1 AL,Albania"), names);
  });
});

const chromium = await findChromium();
const itInChromium = itIf(chromium !== undefined, "Chromium");

type Shown = {
  site: string;
  counts: Record<string, number>;
  tiles: string[];
  flags: string[];
  lanes: number;
  errorBars: number;
};

/** What the page shows: its words, counts and tiles, and the first lane's bars. */
const SHOWN = `(() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const text = (selector) => all(selector).map((each) => each.textContent);
  const numbers = text("dd").map(Number);
  const canvas = document.querySelector("canvas");
  const middle = canvas.width &&
    canvas.getContext("2d").getImageData(0, 13, canvas.width, 1).data;
  const pixels = Array.from({ length: canvas.width }, (_, x) =>
    "rgb(" + middle.slice(4 * x, 4 * x + 3).join(", ") + ")");
  const red = getComputedStyle(document.querySelector(".error i")).color;
  return {
    site: document.querySelector("#site").textContent,
    status: document.querySelector("#status").textContent,
    counts: Object.fromEntries(text("dt").map((what, i) => [what, numbers[i]])),
    tiles: text("#codes li"),
    flags: all("#codes .flag").filter((tile) =>
      tile.querySelector("img").naturalWidth === 320).map((tile) => tile.title),
    lanes: (canvas.clientHeight - 20) / 26,
    errorBars: pixels.filter((color, x) =>
      color === red && pixels[x - 1] !== red).length,
  };
})()`;

describe("the page of a site in Chromium", () => {
  itInChromium("explains itself before the first request", async () => {
    using _site = serve({});
    await using page = await openPage(chromium!, url);
    const text = await page.until<string>(
      'document.querySelector("#status").textContent && document.body.innerText',
    );
    for (
      const part of [
        "\nThis site answers every request at once. Most answers are sent",
        "\nNo request has arrived yet.\n",
        "\nA bar is one request, from its arrival to its answer. " +
        "Requests whose bars overlap in time are in flight together.\n",
        "\nin flight\nflag\nnot found\nerror\ngiven up\n",
        `\ndeno run -A flags2_asyncio.ts a -s ${url}/flags\n`,
        `\nnpx -y deno@${Deno.version.deno} run -A flags2_asyncio.ts a -s `,
      ]
    ) assert(text.includes(part), `${part} is not in ${text}`);
    assert(!text.includes("seconds"), text); // There is nothing to count.
    const links = await page.until<string>(
      '[...document.querySelectorAll("nav a")].join(" ")',
    );
    const ports = Object.values(SITES).map(({ port }) => port);
    const urls = ports.map((port) => `http://localhost:${port}/`);
    assertEquals(links, urls.join(" "));
    assertEquals(page.errors, []);
  });

  itInChromium("shows each run and a site that starts again", async () => {
    using _site = serve({
      errorShare: 0.25,
      lateShare: 0.75,
      delay: LONG,
      seed: 5,
    });
    await using page = await openPage(chromium!, url);
    const shown = (condition: string) =>
      page.until<Shown>(
        `(({ status, counts, flags, errorBars }) => ${condition})` +
          `(shown = ${SHOWN}) && shown`,
      );
    const says = (text: string) => `status.startsWith("${text}")`;
    const count = (inFlight: number, what: string, n: number) =>
      `counts["in flight"] === ${inFlight} && counts["${what}"] === ${n}`;
    assertEquals((await shown(says("No request has"))).tiles, []);

    for (const script of SCRIPTS) {
      using late = heldTimers();
      await using folder = new TemporaryFolder();
      const most = script === "sequential" ? 1 : 10;
      const args = `-s ${url}/flags -t 60 -m 10 -l ${2 * most + 2} a`;
      const running = runScript(script, args.split(" "), {
        cwd: folder.path,
      });
      const isMost = count(most, "most at once", most);
      await shown(`${says("Requests are arriving.")} && ${isMost}`);
      late.letGo();
      const report = parseReport((await running).stdout);
      const { flags, notFound, errors, elapsed } = report;
      const flagsAre = `${
        count(0, "flags", flags)
      } && flags.length === ${flags}`;
      const over = await shown(
        `/^Done: ${flags} flags?, .*; at most ${most} at once\.$/.test(status)` +
          ` && ${flagsAre}`,
      );
      const { seconds, ...counts } = over.counts;
      assertEquals(counts, {
        "in flight": 0,
        "most at once": most,
        flags,
        "not found": notFound,
        errors,
        "given up": 0,
      });
      assert(seconds! > 0 && seconds! < elapsed + 0.015, `${seconds} s`);
      assertEquals(over.lanes, most);
      if (most === 1) { // The narrower the lane is, the closer are its bars.
        await page.until('document.body.style.width = "60px"');
        await page.until("dispatchEvent(new Event('resize'))");
        await shown(
          `errorBars === ${errors} && document.querySelector("canvas").width === 60`,
        );
        await page.until('document.body.removeAttribute("style") ?? true');
      }
      assert(over.flags.includes("Andorra"), over.flags.join());
      assertEquals(over.tiles.length, flags + notFound + errors);
      assert(over.tiles.includes("404AA"), over.tiles.join());
    }

    using _ = heldTimers();
    const given = new AbortController();
    const codes = "ad br cn de eg fr in jp kr us".split(" ");
    const asked = codes.map((cc, i) => ask(cc, (i < 5 ? given : stop).signal));
    await shown(count(8, "errors", 2));
    given.abort();
    await shown(count(4, "given up", 4));
    stop.abort();
    const gone = await shown(
      `status.endsWith("The site has ended. This page will reconnect.") && ${
        count(0, "given up", 8)
      }`,
    );
    const statuses = await Promise.all(asked);
    assertEquals(
      gone.tiles.toSorted(),
      codes.map((cc, i) => `${statuses[i] || "–"}${cc.toUpperCase()}`).sort(),
    );
    using _again = serve(
      { lateShare: 1, delay: 0.1 },
      Number(new URL(url).port),
    );
    await ask("br"); // The page has not connected again yet.
    assertEquals((await shown(count(0, "flags", 1))).tiles, ["BR"]);
    const { site } = await shown(says("Done: 1 flag; at most 1 at once."));
    assertEquals(site, "This site answers every request after 0.1 s.");
    assertEquals(page.errors, []);
  });
});
