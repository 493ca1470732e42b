import { assert, assertEquals, assertMatch } from "@std/assert";
import { delay } from "@std/async/delay";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { serveSite, type Site, SITES, startSite } from "../site/serve.ts";
import { FLAGS, freePort, outcome, ROOT, STD } from "./testing.ts";

/** Timers of this thread that go off at once, and are remembered. */
class InstantTimers implements Disposable {
  /** What each was set to, in milliseconds. */
  readonly waits: number[] = [];
  readonly #setTimeout = globalThis.setTimeout;

  constructor() {
    const setTimeout = (done: () => void, ms: number) => {
      this.waits.push(ms);
      return this.#setTimeout(done, 0);
    };
    Object.assign(globalThis, { setTimeout });
  }

  [Symbol.dispose](): void {
    globalThis.setTimeout = this.#setTimeout;
  }
}

describe("a site", () => {
  let stop: AbortController;
  let port: number;
  let url: string;

  beforeEach(() => {
    stop = new AbortController();
    port = freePort();
    url = `http://127.0.0.1:${port}`;
  });
  afterEach(() => stop.abort());

  const serve = (site: Partial<Site>) =>
    serveSite({ ...SITES.LOCAL!, ...site, port }, stop.signal);

  /**
   * How often each status was the answer to `n` requests, and how many
   * milliseconds the site waited before late ones.
   */
  async function tally(n: number, path = "/flags/br/br.gif") {
    using timers = new InstantTimers();
    const { waits } = timers;
    const statuses: Record<number, number> = {};
    await Promise.all(Array.from({ length: n }, async (_, i) => {
      const response = await fetch(`${url}${path}?${i}`);
      await response.body?.cancel();
      statuses[response.status] = (statuses[response.status] ?? 0) + 1;
    }));
    return { statuses, waits };
  }

  it("serves flags and their metadata, byte for byte", async () => {
    await serve({});
    for (
      const [path, type] of [
        ["ad/ad.gif", "image/gif"],
        ["zw/zw.gif", "image/gif"],
        ["kr/metadata.json", "application/json"],
      ]
    ) {
      const response = await fetch(`${url}/flags/${path}`);
      assertEquals(response.status, 200);
      assertEquals(response.headers.get("content-type"), type);
      assertEquals(
        await response.bytes(),
        await Deno.readFile(`${FLAGS}/${path}`),
      );
    }
  });

  it("is at 127.0.0.1 and at [::1]", async () => {
    await serve({});
    const hosts = ["127.0.0.1", "localhost"];
    const { state } = await Deno.permissions.query({ name: "sys" });
    const addresses = state === "granted" ? Deno.networkInterfaces() : [];
    if (addresses.some(({ address }) => address === "::1")) hosts.push("[::1]");
    for (const host of hosts) {
      const response = await fetch(`http://${host}:${port}/flags/br/br.gif`);
      assertEquals((await response.bytes()).length > 100, true);
    }
  });

  it("answers HEAD like GET, without a body", async () => {
    await serve({});
    const get = await fetch(`${url}/flags/br/br.gif`);
    const { length } = await get.bytes();
    const head = await fetch(`${url}/flags/br/br.gif`, { method: "HEAD" });
    assertEquals(head.status, 200);
    assertEquals(head.headers.get("content-length"), `${length}`);
    assertEquals(head.headers.get("content-type"), "image/gif");
    assertEquals(await head.text(), "");
  });

  it("refuses other methods with 405 and names those that it takes", async () => {
    await serve({});
    for (const method of ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "FOO"]) {
      const response = await fetch(`${url}/flags/br/br.gif`, { method });
      await response.body?.cancel();
      assertEquals(response.status, 405);
      assertEquals(response.headers.get("allow"), "GET, HEAD");
    }
  });

  it("answers 404 for what is no flag", async () => {
    await serve({});
    const paths = [
      "/",
      "/flags",
      "/flags/",
      "/flags/xx/xx.gif",
      "/flags/do/do.gif",
      "/flags/ad/ae.gif",
      "/flags/ad/ad.png",
      "/flags/AD/AD.gif",
      "/flags/ad/",
      "/deno.json",
      "/flags/../deno.json",
    ];
    for (const path of paths) {
      const response = await fetch(url + path);
      await response.body?.cancel();
      assertEquals(response.status, 404, path);
    }
  });

  it("LOCAL answers everything at once", async () => {
    await serve(SITES.LOCAL!);
    assertEquals(await tally(100), { statuses: { 200: 100 }, waits: [] });
  });

  it("DELAY answers everything half a second late, 404s and metadata, too", async () => {
    await serve(SITES.DELAY!);
    const waits = Array(20).fill(500);
    for (
      const [path, status] of [
        ["br/br.gif", 200],
        ["xx/xx.gif", 404],
        ["br/metadata.json", 200],
      ] as const
    ) {
      const counts = await tally(20, `/flags/${path}`);
      assertEquals(counts, { statuses: { [status]: 20 }, waits });
    }
    const t0 = performance.now();
    await (await fetch(`${url}/flags/br/br.gif`)).body?.cancel();
    const elapsed = performance.now() - t0;
    assert(elapsed > 490, `${elapsed} ms`);
  });

  it("ERROR fails a quarter, with one of four errors, and delays half", async () => {
    assertEquals(SITES.ERROR, {
      port: 8003,
      errors: 0.25,
      late: 0.5,
      delay: 0.5,
    });
    await serve({ ...SITES.ERROR!, seed: 1 });
    const n = 2000;
    const { statuses, waits } = await tally(n);
    const assertShare = (share: number, count = 0) =>
      assert(Math.abs(count / n - share) < 0.02, JSON.stringify(statuses));
    assertShare(0.75, statuses[200]);
    for (const status of [500, 501, 502, 503]) {
      assertShare(0.0625, statuses[status]);
    }
    assertShare(0.5, waits.length);
    assertEquals(new Set(waits), new Set([500]));
  });

  it("can be told other shares of errors and of late answers", async () => {
    await serve({ errors: 1, late: 0 });
    const { statuses } = await tally(50);
    assertEquals(statuses[200], undefined);
    port = freePort();
    url = `http://127.0.0.1:${port}`;
    await serve({ errors: 0, late: 1, delay: 7 });
    const waits = Array(50).fill(7000);
    assertEquals(await tally(50), { statuses: { 200: 50 }, waits });
  });

  it("fails the same paths each time, with a seed", async () => {
    const codes = ["ad", "br", "cn", "de", "eg", "fr", "in", "jp", "kr", "us"];
    const fates: string[] = [];
    for (const seed of [1, 1, 2, 3, 4, undefined]) {
      port = freePort();
      url = `http://127.0.0.1:${port}`;
      await serve({ errors: 0.5, seed });
      const ask = async (cc: string) => {
        const response = await fetch(`${url}/flags/${cc}/${cc}.gif`);
        await response.body?.cancel();
        return response.status;
      };
      // Without one, chance gives a path always the same less than once in
      // 10^30 runs.
      const asked = seed ? codes : Array(100).fill("br");
      fates.push((await Promise.all(asked.map(ask))).join(" "));
    }
    assertEquals(fates[0], fates[1]);
    assertEquals(new Set(fates.slice(0, 5)).size > 2, true);
    assertEquals(new Set(fates[5]!.split(" ")).size > 1, true);
  });

  it("runs on a thread of its own, for as long as it is used", async () => {
    {
      await using site = await startSite("LOCAL", port, stop.signal);
      assert(site);
      assertEquals((await tally(1)).statuses, { 200: 1 });
      // A second one gives way to it.
      assertEquals(await startSite("LOCAL", port, stop.signal), undefined);
      assertEquals((await tally(1)).statuses, { 200: 1 });
    }
    for (let tries = 0; tries < 1000; tries++) {
      try {
        (await Deno.connect({ hostname: "127.0.0.1", port })).close();
      } catch {
        return;
      }
      await delay(50);
    }
    throw new Error("the site is still there");
  });
});

describe("site/serve.ts", () => {
  const serve = (...args: string[]) =>
    new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", ...STD, `${ROOT}/site/serve.ts`, ...args],
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();

  it("shows its help on stdout", async () => {
    const { code, stdout, stderr } = await outcome(serve("-h"));
    assertEquals([code, stderr], [0, ""]);
    assertMatch(stdout, /^usage: serve\.ts \[-h\]/);
  });

  const bad: [args: string[], message: string][] = [
    [["-d", "x"], "--delay SECONDS must be a number, not x"],
    [["--errors=2"], "--errors SHARE must be <= 1, not 2"],
    [["-l", "-1"], "--late SHARE must be >= 0, not -1"],
    [["--seed", "1.5"], "--seed N must be a whole number, not 1.5"],
    [["remote"], "LABEL must be one of LOCAL, DELAY, ERROR, not remote"],
  ];
  for (const [args, message] of bad) {
    it(`refuses ${args.join(" ")}`, async () => {
      const { code, stdout, stderr } = await outcome(serve(...args));
      assertEquals([code, stdout], [2, ""]);
      const [first, second, ...rest] = stderr.split("\n");
      assertEquals(first, `*** Usage error: ${message}`);
      assertMatch(second!, /^usage: serve\.ts /);
      assertEquals(rest, [""]);
    });
  }
});
