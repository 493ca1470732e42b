import { assert, assertEquals, assertMatch } from "@std/assert";
import { delay } from "@std/async/delay";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { expandCcArgs } from "../flags2_common.ts";
import { serveSite, type Site, SITES, startSite } from "../site/serve.ts";
import { FLAGS, freePort, outcome, ROOT } from "./testing.ts";

describe("flags/", () => {
  it("holds the codes of country_codes.txt, each a GIF with its name", async () => {
    const codes = expandCcArgs(false, true, []);
    const folders = await Array.fromAsync(Deno.readDir(FLAGS));
    assertEquals(
      folders.filter((entry) => entry.isDirectory).map(({ name }) => name)
        .sort(),
      codes.map((cc) => cc.toLowerCase()),
    );
    const images = new Set<string>();
    for (const cc of codes) {
      const folder = `${FLAGS}/${cc.toLowerCase()}`;
      const gif = await Deno.readFile(`${folder}/${cc.toLowerCase()}.gif`);
      assertMatch(new TextDecoder().decode(gif.subarray(0, 6)), /^GIF8[79]a$/);
      assertEquals(gif.at(-1), 0x3b, cc);
      images.add(gif.join());
      const { iso_cc, country } = JSON.parse(
        await Deno.readTextFile(`${folder}/metadata.json`),
      );
      assertEquals(iso_cc, cc);
      assertMatch(country, /^\p{L}/u);
    }
    assertEquals(images.size, codes.length);
  });
});

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
   * How often each status was the answer to `n` requests, and how many were
   * late.
   */
  async function tally(n: number, path = "/flags/br/br.gif") {
    const statuses: Record<number, number> = {};
    let late = 0;
    await Promise.all(Array.from({ length: n }, async () => {
      const start = performance.now();
      const response = await fetch(url + path);
      await response.body?.cancel();
      if (performance.now() - start > 1900) late++;
      statuses[response.status] = (statuses[response.status] ?? 0) + 1;
    }));
    return { statuses, late };
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
    assertEquals(await tally(100), { statuses: { 200: 100 }, late: 0 });
  });

  it("DELAY answers everything late, 404s and metadata, too", async () => {
    await serve({ ...SITES.DELAY!, delay: 2 });
    const paths = ["br/br.gif", "xx/xx.gif", "br/metadata.json"];
    const counts = await Promise.all(
      paths.map((path) => tally(20, `/flags/${path}`)),
    );
    assertEquals(counts.map(({ late }) => late), [20, 20, 20]);
    assertEquals(counts[1]!.statuses, { 404: 20 });
  });

  it("ERROR fails a quarter, with one of four errors, and delays half", async () => {
    assertEquals(SITES.ERROR, {
      port: 8003,
      errors: 0.25,
      late: 0.5,
      delay: 0.5,
    });
    await serve({ ...SITES.ERROR!, delay: 2 });
    // Chance is outside of six standard deviations once in 500 million runs.
    const n = 1000;
    const { statuses, late } = await tally(n);
    const within = (share: number, count = 0) =>
      Math.abs(count - n * share) < 6 * Math.sqrt(n * share * (1 - share));
    assert(within(0.75, statuses[200]), JSON.stringify(statuses));
    for (const status of [500, 501, 502, 503]) {
      assert(within(0.0625, statuses[status]), JSON.stringify(statuses));
    }
    assert(within(0.5, late), `${late} late`);
  });

  it("can be told other shares of errors and of late answers", async () => {
    await serve({ errors: 1, late: 0 });
    const { statuses } = await tally(50);
    assertEquals(statuses[200], undefined);
  });

  it("fails the same paths each time, with a seed", async () => {
    const codes = ["ad", "br", "cn", "de", "eg", "fr", "in", "jp", "kr", "us"];
    const fates: string[] = [];
    for (const seed of [1, 1, 2, 3, 4]) {
      port = freePort();
      url = `http://127.0.0.1:${port}`;
      await serve({ errors: 0.5, seed });
      const statuses = await Promise.all(codes.map(async (cc) => {
        const response = await fetch(`${url}/flags/${cc}/${cc}.gif`);
        await response.body?.cancel();
        return response.status;
      }));
      fates.push(statuses.join(" "));
    }
    assertEquals(fates[0], fates[1]);
    assertEquals(new Set(fates).size > 2, true);
  });

  it("runs on a thread of its own, for as long as it is used", async () => {
    {
      await using site = await startSite("LOCAL", port, stop.signal);
      assert(site);
      assertEquals(await tally(1), { statuses: { 200: 1 }, late: 0 });
      // A second one gives way to it.
      assertEquals(await startSite("LOCAL", port, stop.signal), undefined);
      assertEquals(await tally(1), { statuses: { 200: 1 }, late: 0 });
    }
    for (let tries = 0; tries < 100; tries++) {
      const gone = await fetch(url).then(() => false, () => true);
      if (gone) return;
      await delay(50);
    }
    throw new Error("the site is still there");
  });
});

describe("site/serve.ts", () => {
  const serve = (...args: string[]) =>
    new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--frozen", `${ROOT}/site/serve.ts`, ...args],
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
