import { assert, assertEquals } from "@std/assert";
import { pathToFileURL } from "node:url";
import { delay } from "@std/async/delay";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import type { LiveEvent } from "../site/live.ts";
import { serveSite } from "../site/serve.ts";
import { type Site, SITES } from "../site/sites.ts";
import { Chromium, findChromium } from "./chromium.ts";
import {
  eventually,
  freePort,
  itIf,
  parseReport,
  projectAtFreePorts,
  run,
  type Script,
  SCRIPTS,
  TemporaryFolder,
} from "./testing.ts";

let stop: AbortController;
let url: string;

/** What is served in a test of this block ends with it. */
function endServing(): void {
  beforeEach(() => {
    stop = new AbortController();
  });
  afterEach(() => stop.abort());
}

function serve(site: Partial<Site>, port = freePort()): void {
  url = `http://localhost:${port}`;
  serveSite({ ...SITES.LOCAL!, ...site, port }, stop.signal);
}

async function download(
  script: Script,
  args: string[],
): Promise<ReturnType<typeof parseReport>> {
  await using folder = new TemporaryFolder();
  const words = ["-s", `${url}/flags`, ...args];
  const { stdout } = await run(script, words, { cwd: folder.path });
  return parseReport(stdout);
}

/** The status of an answer to a request for a flag. */
async function ask(cc: string, signal?: AbortSignal): Promise<number> {
  const init = signal ? { signal } : {};
  const response = await fetch(`${url}/flags/${cc}/${cc}.gif`, init);
  await response.body?.cancel();
  return response.status;
}

/** Seconds that pass on this thread when they are told to. */
const LONG = 3600;

/** Answers that are so late come when they are let go, and leave no timer. */
class LateAnswers implements Disposable {
  readonly #setTimeout = globalThis.setTimeout;
  readonly #waiting: (() => void)[] = [];

  constructor() {
    const { setTimeout } = globalThis;
    const unlessLong = (done: () => void, ms: number) =>
      ms === 1000 * LONG ? this.#waiting.push(done) : setTimeout(done, ms);
    Object.assign(globalThis, { setTimeout: unlessLong });
  }

  letGo(): void {
    for (const done of this.#waiting.splice(0)) done();
  }

  [Symbol.dispose](): void {
    globalThis.setTimeout = this.#setTimeout;
  }
}

/** Somebody who watches a site. */
class Watcher implements AsyncDisposable {
  /** What was told, by pictures. */
  readonly pictures: LiveEvent[][] = [[]];
  #reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  #reading: Promise<void> | undefined;

  /** What was told of the latest picture. */
  get events(): LiveEvent[] {
    return this.pictures.at(-1)!;
  }

  /** Begin to watch. */
  async watch(path = "/page/events"): Promise<this> {
    const { body, headers } = await fetch(url + path);
    assertEquals(headers.get("content-type"), "text/event-stream");
    this.#reader = body!.getReader();
    this.#reading = this.#read(this.#reader);
    return this;
  }

  async #read(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
    let text = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const messages = (text + new TextDecoder().decode(value)).split("\n\n");
      text = messages.pop()!;
      for (const message of messages) {
        const [, data] = message.match(/^data: (.*)$/m) ?? [];
        if (/^event: picture$/m.test(message)) this.pictures.push([]);
        else if (data) this.events.push(JSON.parse(data));
      }
    }
  }

  /** What was told, once it is so many events. */
  async until(count: number): Promise<LiveEvent[]> {
    await eventually(() => this.events.length >= count);
    return this.events;
  }

  /** Ceases to watch. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reader?.cancel();
    await this.#reading;
  }
}

/** `cc`, or `cc=status`, of each. */
const brief = (events: LiveEvent[]) =>
  events.map(({ cc, status }) => status === undefined ? cc : `${cc}=${status}`)
    .join(" ");

/** The clock of this thread, which stands still until it is put on. */
class Clock implements Disposable {
  readonly #now = performance.now;

  constructor(public at: number = performance.now()) {
    performance.now = () => this.at;
  }

  [Symbol.dispose](): void {
    performance.now = this.#now;
  }
}

describe("the events of a site", () => {
  endServing();

  for (const path of ["/events", "/page/events"]) {
    it(`are at ${path}, as flags are asked for and answered`, async () => {
      serve({ late: 1, delay: 0.2 });
      await using watcher = await new Watcher().watch(path);
      const br = ask("br");
      const [begin] = await watcher.until(1);
      assertEquals([await ask("xx"), await br], [404, 200]);
      const events = await watcher.until(4);
      assertEquals(brief(events), "br xx br=200 xx=404");
      assertEquals(watcher.pictures.length > 1, path !== "/events");
      const [, , end, last] = events;
      assertEquals([begin!.id === end!.id, end!.id === last!.id], [
        true,
        false,
      ]);
      assert(end!.at - begin!.at > 190, `${begin!.at} to ${end!.at}`);
    });
  }

  for (const script of SCRIPTS) {
    it(`show what flags2_${script}.ts has in flight at -m 10`, async () => {
      serve(SITES.DELAY!);
      await using watcher = await new Watcher().watch("/events");
      const isSequential = script === "sequential";
      const args = ["-m", "10", "-l", isSequential ? "4" : "30", "a", "b"];
      const { flags, notFound } = await download(script, args);
      const events = await watcher.until(2 * (flags + notFound));
      let inFlight = 0;
      const counts = events.map(({ status }) =>
        status === undefined ? ++inFlight : --inFlight
      );
      assertEquals(Math.max(...counts), isSequential ? 1 : 10);
      const with_ = (value?: number) =>
        events.filter(({ status }) => status === value).length;
      assertEquals([with_(200), with_(404)], [flags, notFound]);
      assertEquals(new Set(events.map(({ cc }) => cc)).size, flags + notFound);
    });
  }

  it("tell that a client gave up, once", async () => {
    using late = new LateAnswers();
    serve({ late: 1, delay: LONG });
    await using watcher = await new Watcher().watch();
    const given = new AbortController();
    const asked = ask("br", given.signal).catch(() => "given up");
    await watcher.until(1);
    given.abort();
    assertEquals(await asked, "given up");
    assertEquals(brief(await watcher.until(2)), "br br=0");
    late.letGo();
    const next = ask("us");
    await watcher.until(3);
    late.letGo();
    await next;
    assertEquals(brief(await watcher.until(4)), "br br=0 us us=200");
  });

  it("are none of the page's own, and none of metadata", async () => {
    serve({});
    await using watcher = await new Watcher().watch();
    const paths = ["/", "/page/page.js", "/page/br.gif", "/flags/"];
    for (const path of [...paths, "/flags/br/metadata.json"]) {
      await (await fetch(url + path)).body?.cancel();
    }
    await ask("us");
    assertEquals(brief(await watcher.until(2)), "us us=200");
  });

  it("are not made when nobody watches", async () => {
    serve({});
    using clock = new Clock();
    let seen: LiveEvent[] = [];
    // As soon as the site sees that the one before has gone:
    await eventually(async () => {
      clock.at += 10_000;
      await ask("in");
      await using watcher = await new Watcher().watch();
      if (seen.length === 0) await ask("us");
      const before = JSON.stringify(seen);
      seen = await watcher.until(2);
      return JSON.stringify(seen) === before;
    });
    assertEquals(brief(seen), "us us=200");
  });

  it("are told to all, who come late have the picture so far", async () => {
    serve({});
    await using first = await new Watcher().watch();
    await ask("br");
    {
      await using second = await new Watcher().watch();
      assertEquals(brief(await second.until(2)), "br br=200");
    }
    await using plain = await new Watcher().watch("/events");
    await ask("us");
    assertEquals(brief(await plain.until(2)), "us us=200");
    assertEquals(brief(await first.until(4)), "br br=200 us us=200");
  });

  it("are not lost to who loads the page again", async () => {
    serve({});
    using _ = new Clock();
    await (await new Watcher().watch())[Symbol.asyncDispose]();
    await delay(100); // The site may see now that nobody is there.
    await ask("br");
    await using watcher = await new Watcher().watch();
    assertEquals(brief(await watcher.until(2)), "br br=200");
  });

  it("begin a new picture with a new run, and not within one", async () => {
    using _ = new LateAnswers();
    serve({ late: 1, delay: LONG });
    await using watcher = await new Watcher().watch();
    using clock = new Clock();
    let told = 0;
    const isTold = async () => {
      await eventually(() => watcher.pictures.flat().length > told);
      told++;
    };
    /** After some milliseconds a flag is asked for, until this is called. */
    const askAfter = async (ms: number, cc: string) => {
      clock.at += ms;
      const given = new AbortController();
      const asked = ask(cc, given.signal).catch(() => {});
      await isTold();
      return async () => {
        given.abort();
        await asked;
        await isTold();
      };
    };
    await (await askAfter(0, "br"))();
    const giveUp = await askAfter(500, "us"); // What came was long to save.
    await (await askAfter(5000, "br"))(); // Two scripts run at once.
    await giveUp();
    await (await askAfter(500, "br"))(); // The next run,
    await (await askAfter(5000, "us"))(); // and another, of other codes.
    assertEquals(watcher.pictures.map(brief).filter(Boolean), [
      "br br=0 us br br=0 us=0",
      "br br=0",
      "us us=0",
    ]);
  });
});

/** What {@linkcode SHOWN} is. */
interface Shown {
  status: string;
  counts: Record<string, number>;
  tiles: string[];
  flags: string[];
  lanes: number;
}

const chromium = await findChromium();
const inChromium = itIf(chromium !== undefined, "Chromium");

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

describe("the page of a site", () => {
  endServing();

  /** What it is told of the site. */
  async function told(): Promise<Record<string, unknown>> {
    const html = await (await fetch(url)).text();
    return JSON.parse(html.match(/id="site">([^<]*)<\/script>/)![1]!);
  }

  it("is at /, /flags and /flags/, and loads nothing from elsewhere", async () => {
    serve({});
    const loaded = async (path: string, pattern: RegExp) => {
      const response = await fetch(url + path);
      assertEquals(response.status, 200, path);
      const urls = [...(await response.text()).matchAll(pattern)];
      return [response.headers.get("content-type"), ...urls.map((m) => m[1])];
    };
    for (const path of ["/", "/flags", "/flags/", "/flags/?x"]) {
      assertEquals(await loaded(path, /(?:src|href|url\()="?([^")]*)/g), [
        "text/html; charset=utf-8",
        "data:,",
        "/page/page.js",
      ]);
    }
    assertEquals(await loaded("/page/page.js", /["`](\/[^"`]*)["`]/g), [
      "text/javascript; charset=utf-8",
      "/page/${request.cc}.gif",
      "/page/events",
    ]);
  });

  it("says what becomes of requests, and is neither failed nor late itself", async () => {
    const errors = { ...SITES.ERROR!, delay: LONG, seed: 1 };
    const fates: [Partial<Site>, string][] = [
      [SITES.LOCAL!, "All requests are answered at once, one after the other."],
      [SITES.DELAY!, "All requests are answered 0.5 s late."],
      [
        errors,
        "Of all requests, 25% fail, 50% are answered 3600 s late, 25% are answered at once.",
      ],
      [{ errors: 1 }, "All requests fail."],
      [
        { errors: 0.125 },
        "Of all requests, 12.5% fail, 87.5% are answered at once.",
      ],
    ];
    for (const [site, expected] of fates) {
      serve(site);
      const { fates, countries } = await told();
      assertEquals(fates, expected);
      assertEquals((countries as Record<string, string>)["BR"], "Brazil");
      for (const path of ["/flags/", "/page/page.js", "/page/br.gif"]) {
        const response = await fetch(url + path);
        await response.body?.cancel();
        assertEquals(response.status, 200);
      }
    }
  });

  it("knows its label, and a country for each code that has one", async () => {
    await using copy = await projectAtFreePorts();
    const metadata = (cc: string) => `${copy.path}/flags/${cc}/metadata.json`;
    await Deno.remove(metadata("ad"));
    await Deno.mkdir(metadata("ad"));
    await Deno.remove(metadata("ae"));
    await Deno.writeTextFile(metadata("af"), "{");
    await Deno.writeTextFile(metadata("ag"), '{"country": "</script>"}');
    const program = pathToFileURL(`${copy.path}/site/serve.ts`).href;
    const there: typeof import("../site/serve.ts") = await import(program);
    const [port] = copy.ports;
    there.serveSite({ ...SITES.LOCAL!, port }, stop.signal);
    url = `http://localhost:${port}`;
    const { label, host, countries } = await told();
    assertEquals([label, host], ["LOCAL", `localhost:${port}`]);
    const names = Object.entries(countries as object);
    assertEquals([names.length, names.slice(0, 5)], [
      194,
      [["AD", ""], ["AE", ""], ["AF", ""], ["AG", "</script>"], [
        "AL",
        "Albania",
      ]],
    ]);
  });
});

describe("the page of a site, in Chromium,", () => {
  endServing();

  const shown = (page: Chromium, condition: string) =>
    page.until<Shown>(
      `(({ status, counts }) => ${condition})(${SHOWN}) && ${SHOWN}`,
    );
  const says = (text: string) => `status.startsWith("${text}")`;

  inChromium("shows the run of each script, one after the other", async () => {
    serve(SITES.DELAY!);
    await using page = new Chromium(chromium!);
    await page.open(url);
    assertEquals((await shown(page, says("Run a script"))).tiles, []);
    for (const script of SCRIPTS) {
      const most = script === "sequential" ? 1 : 10;
      const args = ["-m", "10", "-l", most === 1 ? "4" : "30", "a", "b"];
      const running = download(script, args);
      await shown(
        page,
        `${says("A script")} && counts["in flight"] === ${most}`,
      );
      const { flags, notFound } = await running;
      const over = await shown(page, says("Over"));
      const { "seconds since the first": seconds, ...counts } = over.counts;
      assertEquals(counts, {
        "in flight": 0,
        "the most at a time": most,
        "flags": flags,
        "not found": notFound,
        "errors": 0,
        "given up": 0,
      });
      assert(seconds! > 1.45, `${seconds} s`); // Three waves, or four.
      assertEquals([over.lanes, over.flags.length], [most, flags]);
      assert(over.flags.includes("Andorra"), over.flags.join());
      assertEquals(over.tiles.length, flags + notFound);
      assert(over.tiles.includes("404AA"), over.tiles.join());
    }
    assertEquals(page.errors, []);
  });

  inChromium(
    "shows errors, who gave up, and that a site goes and comes",
    async () => {
      using _ = new LateAnswers();
      serve({ errors: 0.5, late: 0.5, delay: LONG, seed: 1 });
      await using page = new Chromium(chromium!);
      await page.open(url);
      await shown(page, says("Run a script"));
      const given = new AbortController();
      const codes = "ad br cn de eg fr in jp kr us".split(" ");
      const asked = codes.map((cc, i) =>
        ask(cc, i < 5 ? given.signal : stop.signal).catch(() => "–")
      );
      await shown(page, 'counts["errors"] === 5 && counts["in flight"] === 5');
      given.abort();
      await shown(
        page,
        'counts["given up"] === 2 && counts["in flight"] === 3',
      );
      stop.abort();
      const isGone = says("The site is gone");
      const gone = await shown(page, `${isGone} && counts["in flight"] === 0`);
      assertEquals(gone.counts["given up"], 5);
      const statuses = await Promise.all(asked);
      const tiles = codes.map((cc, i) => `${statuses[i]}${cc.toUpperCase()}`);
      assertEquals(gone.tiles.toSorted(), tiles.toSorted());
      stop = new AbortController();
      serve(SITES.LOCAL!, Number(new URL(url).port));
      const there = await shown(page, says("Run a script"));
      assertEquals(there.tiles.length, 10);
      await ask("br");
      const next = await shown(page, 'counts["flags"] === 1');
      assertEquals(next.tiles, ["BR"]);
      assertEquals(page.errors, []);
    },
  );
});
