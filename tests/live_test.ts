import { assert, assertEquals, assertMatch } from "@std/assert";
import { delay } from "@std/async/delay";
import { describe, it } from "@std/testing/bdd";
import { pathToFileURL } from "node:url";
import { Live, type LiveEvent } from "../site/live.ts";
import { serveSite } from "../site/serve.ts";
import { type Site, SITES } from "../site/sites.ts";
import { itInChromium, openPage } from "./chromium.ts";
import { freePort, SCRIPTS } from "../bench/scripts.ts";
import { runScript } from "./processes.ts";
import { project } from "./projects.ts";
import { eventually, replaced } from "./testing.ts";

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
function heldTimers(held = 1000 * LONG) {
  const { setTimeout } = globalThis;
  const { promise, resolve: letGo } = Promise.withResolvers<void>();
  const unlessHeld = (done: () => void, ms: number) =>
    ms === held ? promise.then(done) : setTimeout(done, ms);
  return { ...replaced(globalThis, "setTimeout", unlessHeld), letGo };
}

/** The clock of this thread, which stands still until it is put on. */
function stoppedClock() {
  const clock = { at: performance.now() };
  return Object.assign(clock, replaced(performance, "now", () => clock.at));
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
  it("report each request for a flag and its end once, even to late watchers", async () => {
    using late = heldTimers();
    using _site = serve({ lateShare: 1, delay: LONG });
    assertEquals([await get("/"), await get("/page/br.gif")], [200, 200]);
    const metadata = get("/flags/br/metadata.json");
    const given = new AbortController();
    const br = ask("br", given.signal);
    await delay(50); // The requests have arrived.
    given.abort();
    assertEquals(await br, 0);
    using first = await watching();
    await first.tells("br br=0");
    const us = ask("us");
    await first.tells("br br=0 us");
    {
      using second = await watching();
      await second.tells("br br=0 us");
    }
    using third = await watching();
    const xx = ask("xx");
    await first.tells("br br=0 us xx");
    await delay(50);
    late.letGo();
    assertEquals(await Promise.all([metadata, us, xx]), [200, 200, 404]);
    const events = await first.tells("br br=0 us xx us=200 xx=404");
    assertEquals(await third.tells("br br=0 us xx us=200 xx=404"), events);
    const [, , begin, other, end] = events;
    assertEquals(begin!.id, end!.id);
    assert(end!.id !== other!.id);
    assert(end!.at - begin!.at > 45, `${begin!.at} to ${end!.at}`);
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
    const [, before, ...later] = watcher.pictures.map(brief);
    assertMatch(before!, /^us br br=200 br br=200 us=200/);
    const runs = Array(15).fill("in in=200 br br=200");
    assertEquals(later, [...runs, "us us=200"]);
  });

  it("are sent at once when no request is in flight", async () => {
    using _site = serve({});
    using watcher = await watching();
    await delay(50);
    using _ = heldTimers(40); // Those that gather events.
    await ask("br");
    await watcher.tells("br br=200");
  });

  it("reach a late watcher once, also if the others still wait for them", async () => {
    using _ = heldTimers(40);
    const live = new Live("");
    const early = live.watch();
    for (const cc of ["br", "us"]) {
      await live.track(cc, new Request(url), () => new Response());
    }
    const late = live.watch();
    await live.end();
    for (const watcher of [early, late]) {
      const events = (await watcher.text()).match(/"cc":"us"/g);
      assertEquals(events?.length, 2); // The request and its end.
    }
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
      const urls = (await response.text()).match(pattern)!.join(" ");
      return `${response.headers.get("content-type")} ${urls}`;
    };
    for (const path of ["/", "/flags", "/flags/", "/flags/?x"]) {
      const urls = await loaded(path, /(?<=(?:src=|href=|url\()"?)[^")]+/g);
      assertEquals(urls, "text/html; charset=utf-8 data:, /page/page.js");
    }
    assertEquals(
      await loaded("/page/page.js", /(?<=["`])\.?\/[^"`]*(?=["`])/g),
      "text/javascript; charset=utf-8 " +
        "./lanes.js /page/facts /page/${cc}.gif /page/events",
    );
  });

  it("describes the site, is never late and never fails", async () => {
    const atOnce = "Most answers are sent before the next request arrives, " +
      "so fewer requests are in flight than -m allows.";
    const all = "Of all requests, this site";
    const sites: [Partial<Site>, string][] = [
      [{}, `This site answers every request at once. ${atOnce}`],
      [SITES.DELAY!, "This site answers every request after 0.5 s."],
      [{ errorShare: 1 }, "This site fails every request."],
      [
        { ...SITES.ERROR!, delay: LONG },
        `${all} fails 25%, answers 50% after 3600 s, and answers 25% at once.`,
      ],
      [{ errorShare: 0.125 }, `${all} fails 12.5% and answers 87.5% at once.`],
    ];
    for (const [site, expected] of sites) {
      using _site = serve(site);
      using watcher = await watching();
      assertEquals(await eventually(() => watcher.site()), expected);
      for (const path of ["page.js", "lanes.js", "facts", "br.gif"]) {
        assertEquals(await get(`/page/${path}`), 200);
      }
    }
  });

  it("knows the names of the three sites and of the countries", async () => {
    await using copy = await project();
    const metadata = (cc: string) => `${copy.path}/flags/${cc}/metadata.json`;
    for (const cc of ["ad", "ae"]) await Deno.remove(metadata(cc));
    await Deno.mkdir(metadata("ad"));
    await Deno.writeTextFile(metadata("af"), "{");
    await Deno.writeTextFile(metadata("ag"), '{"country": 1}');
    const program = pathToFileURL(`${copy.path}/site/serve.ts`).href;
    const there: typeof import("../site/serve.ts") = await import(program);
    using _site = serve({}, freePort(), there.serveSite);
    const facts = await fetch(`${url}/page/facts`);
    const { deno, sites, countries } = await facts.json();
    assertEquals(deno, Deno.version.deno);
    assertEquals(sites, { 8001: "LOCAL", 8002: "DELAY", 8003: "ERROR" });
    const names = Object.entries(countries).join(" ");
    assertMatch(names, /^AD, AE, AF, AG,1 AL,Albania/);
  });
});

interface Shown {
  site: string;
  status: string;
  counts: Record<string, number>;
  tiles: string[];
  flags: string[];
  lanes: number;
  width: number;
  errorBars: number;
}

/** What the page shows: its words, counts and tiles, and the first lane's bars. */
const SHOWN = `(() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const text = (selector) => all(selector).map((each) => each.textContent);
  const numbers = text("dd").map(Number);
  const canvas = document.querySelector("canvas");
  const { clientHeight, width } = canvas;
  const middle = width &&
    canvas.getContext("2d").getImageData(0, 13, width, 1).data;
  const pixels = Array.from({ length: width }, (_, x) =>
    "rgb(" + middle.slice(4 * x, 4 * x + 3).join(", ") + ")");
  const red = getComputedStyle(document.querySelector(".error i")).color;
  return {
    site: text("#site")[0],
    status: text("#status")[0],
    counts: Object.fromEntries(text("dt").map((what, i) => [what, numbers[i]])),
    tiles: text("#codes li"),
    flags: all("#codes .flag").filter((tile) =>
      tile.querySelector("img").naturalWidth === 320).map((tile) => tile.title),
    lanes: (clientHeight - 20) / 26,
    width,
    errorBars: pixels.filter((color, x) =>
      color === red && pixels[x - 1] !== red).length,
  };
})()`;

describe("the page of a site in Chromium", () => {
  itInChromium("explains itself before the first request", async () => {
    using _site = serve({});
    await using page = await openPage(url);
    const text = await page.until<string>(
      'document.querySelector("#status").textContent && document.body.innerText',
    );
    const parts = [
      "\nThis site answers every request at once. Most answers are sent",
      "\nNo request has arrived yet.\n",
      "\nA bar is one request, from its arrival to its answer. " +
      "Requests whose bars overlap in time are in flight together.\n",
      "\nin flight\nflag\nnot found\nerror\ngiven up\n",
      `\ndeno run -A flags2_asyncio.ts a -s ${url}/flags\n`,
      `\nnpx -y deno@${Deno.version.deno} run -A flags2_asyncio.ts a -s `,
    ];
    for (const part of parts) assert(text.includes(part), `${part}: ${text}`);
    assert(!text.includes("seconds"), text); // There is nothing to count.
    const links = "Array.from(document.querySelectorAll('nav a'), String)";
    const urls = [8001, 8002, 8003].map((port) => `http://localhost:${port}/`);
    assertEquals(await page.until(links), urls);
    assertEquals(page.errors, []);
  });

  itInChromium("shows each run and a site that starts again", async () => {
    const shares = { errorShare: 0.25, lateShare: 0.75 };
    using _site = serve({ ...shares, delay: LONG, seed: 5 });
    await using page = await openPage(url);
    const shown = (isDone: (now: Shown) => boolean) =>
      eventually(async () => {
        const now = await page.until<Shown>(SHOWN);
        return isDone(now) ? now : undefined;
      });
    const count = (inFlight: number, what: string, n: number) =>
      shown(({ counts }) =>
        counts["in flight"] === inFlight && counts[what] === n
      );
    const says = (text: string) => shown(({ status }) => status.includes(text));
    assertEquals((await says("No request has arrived yet.")).tiles, []);

    for (const script of SCRIPTS) {
      using late = heldTimers();
      const most = script === "sequential" ? 1 : 10;
      const args = `-s ${url}/flags -t 60 -m 10 -l ${2 * most + 2} a`;
      const running = runScript(script, args);
      const { status } = await count(most, "most at once", most);
      assertEquals(status, "Requests are arriving.");
      late.letGo();
      const { flags, notFound, errors, elapsed } = (await running).report;
      const done = `^Done: ${flags} flags?, .*; at most ${most} at once\\.$`;
      const over = await shown((now) =>
        now.status.match(done) !== null && now.flags.length === flags
      );
      const { seconds, ...counts } = over.counts;
      const others = { "in flight": 0, "most at once": most, "given up": 0 };
      assertEquals(counts, { ...others, flags, "not found": notFound, errors });
      assert(seconds! > 0 && seconds! < elapsed + 0.015, `${seconds} s`);
      assertEquals(over.lanes, most);
      if (most === 1) { // The narrower the lane is, the closer are its bars.
        const resize = "; dispatchEvent(new Event('resize'))";
        await page.until(`document.body.style.width = "60px"${resize}`);
        await shown((now) => now.width === 60 && now.errorBars === errors);
        await page.until(`document.body.removeAttribute("style")${resize}`);
      }
      assert(over.flags.includes("Andorra"), over.flags.join());
      assertEquals(over.tiles.length, flags + notFound + errors);
      assert(over.tiles.includes("404AA"), over.tiles.join());
    }

    using _ = heldTimers();
    const given = new AbortController();
    const codes = "ad br cn de eg fr in jp kr us".split(" ");
    const asked = codes.map((cc, i) => ask(cc, (i < 5 ? given : stop).signal));
    await count(8, "errors", 2);
    given.abort();
    await count(4, "given up", 4);
    stop.abort();
    await says(" The site has ended. This page will reconnect.");
    const { tiles } = await count(0, "given up", 8);
    const statuses = await Promise.all(asked);
    const expected = codes.map((cc, i) =>
      (statuses[i] || "–") + cc.toUpperCase()
    );
    assertEquals(tiles.sort(), expected.sort());
    using _again = serve({ lateShare: 1, delay: 0.1 }, +new URL(url).port);
    await ask("br"); // The page has not connected again yet.
    const again = await says("Done: 1 flag; at most 1 at once.");
    assertEquals(again.tiles, ["BR"]);
    assertEquals(again.site, "This site answers every request after 0.1 s.");
    assertEquals(page.errors, []);
  });
});
