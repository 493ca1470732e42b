import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { delay } from "@std/async/delay";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { expandCcArgs } from "../flags2_common.ts";
import { serveSite } from "../site/serve.ts";
import { type Site, SITES } from "../site/sites.ts";
import { startSite } from "../site/start.ts";
import { flagsPage } from "../site/page.ts";
import type { Plan, Served } from "./serve_in_network.ts";
import {
  FLAGS,
  freePort,
  outcome,
  parseReport,
  project,
  projectAtFreePorts,
  ROOT,
  run,
  STD,
} from "./testing.ts";

const hasIPv6 = (() => {
  try {
    Deno.listen({ hostname: "::1", port: 0 }).close();
    return true;
  } catch {
    return false;
  }
})();
/** Whether that is where a script would find another program's server. */
const localhostIsIPv6 = hasIPv6 && await (async () => {
  using listener = Deno.listen({ hostname: "::1", port: 0 });
  const { port } = listener.addr;
  try {
    (await Deno.connect({ hostname: "localhost", port })).close();
    return true;
  } catch {
    return false;
  }
})();
const itWithIPv6 = (name: string, test: () => Promise<void>) =>
  hasIPv6 ? it(name, test) : it.skip(`${name} (left out: no IPv6 here)`, test);

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

  it("shows a page of its flags with their names at /, /flags and /flags/", async () => {
    await serve({});
    const pages = new Set<string>();
    for (const path of ["/", "/flags", "/flags/", "/flags/?x"]) {
      const response = await fetch(url + path);
      assertEquals(response.status, 200, path);
      assertEquals(
        response.headers.get("content-type"),
        "text/html; charset=utf-8",
      );
      pages.add(await response.text());
    }
    const [page, ...others] = pages;
    assertEquals(others, []);

    const flags = [...page!.matchAll(/<img src="([^"]*)"/g)].map((m) => m[1]);
    assertEquals(flags.length, 194);
    for (const path of flags) {
      const response = await fetch(url + path);
      await response.body?.cancel();
      assertEquals(response.headers.get("content-type"), "image/gif");
    }
    for await (const { name, isDirectory } of Deno.readDir(FLAGS)) {
      if (!isDirectory) continue;
      const { country } = JSON.parse(
        await Deno.readTextFile(`${FLAGS}/${name}/metadata.json`),
      );
      assertStringIncludes(page!.replaceAll("&#38;", "&"), `${country}</a>`);
    }
    // All that a browser loads: no script, nothing from elsewhere.
    const loaded = [...page!.matchAll(/(?:src|href|url\()="?([^")]*)/g)];
    assertEquals(
      loaded.map((m) => m[1]!).filter((path) => !/^\/flags\//.test(path)),
      ["data:,"],
    );
    assert(!/<script|@import|\son\w+=/.test(page!));
  });

  it("escapes the names on its page, and shows a flag without a name", () => {
    const page = flagsPage(SITES.ERROR!, [["xx", '<b a="&">'], ["yy", ""]]);
    assertStringIncludes(page, "<b>XX</b> &#60;b a=&#34;&#38;&#34;&#62;</a>");
    assertStringIncludes(page, "<b>YY</b> </a>");
    assertStringIncludes(page, "<h1>2 flags at localhost:8003</h1>");
  });

  it("is at 127.0.0.1 and at [::1]", async () => {
    await serve({});
    const hosts = ["127.0.0.1", "localhost", ...hasIPv6 ? ["[::1]"] : []];
    for (const host of hosts) {
      const response = await fetch(`http://${host}:${port}/flags/br/br.gif`);
      assertEquals((await response.bytes()).length > 100, true);
    }
  });

  const unlessIPv6 = localhostIsIPv6 ? it.skip : itWithIPv6;
  const why = localhostIsIPv6 ? " (left out: localhost is [::1] here)" : "";
  unlessIPv6(
    "is at 127.0.0.1 when another has [::1], and says so" + why,
    async () => {
      await using copy = await projectAtFreePorts();
      const [port] = copy.ports;
      using _other = Deno.listen({ hostname: "::1", port });
      const { stdout, stderr } = await run("sequential", [], {
        cwd: copy.path,
        root: copy.path,
      });
      assertEquals(parseReport(stdout).flags, 20);
      assertStringIncludes(stderr, `*** Another program has [::1]:${port}: `);
    },
  );

  it("is at 127.0.0.1 where the kernel knows no IPv6", async () => {
    const { serve: serveThere } = Deno;
    const serveV4 = (
      options: Deno.ServeTcpOptions,
      handler: () => Response,
    ) => {
      if (options.hostname !== "::1") return serveThere(options, handler);
      throw new Error("Address family not supported by protocol (os error 97)");
    };
    Object.assign(Deno, { serve: serveV4 });
    try {
      await serve({});
    } finally {
      Object.assign(Deno, { serve: serveThere });
    }
    assertEquals(await tally(1), { statuses: { 200: 1 }, waits: [] });
  });

  it("says how many flags it lacks, and shows those that are there", async () => {
    await using folder = await project();
    const flags = `${folder.path}/flags`;
    await Deno.writeTextFile(`${flags}/.DS_Store`, "");
    for (const cc of ["br", "de", "eg"]) {
      await Deno.remove(`${flags}/${cc}`, { recursive: true });
    }
    await Deno.remove(`${flags}/cn/cn.gif`);
    await Deno.truncate(`${flags}/us/us.gif`);
    await Deno.remove(`${flags}/ad/metadata.json`);
    await Deno.truncate(`${flags}/ae/metadata.json`);

    const program = `file://${folder.path}/site/serve.ts`;
    const there: typeof import("../site/serve.ts") = await import(program);
    const { writeSync } = Deno.stderr;
    let said = "";
    Deno.stderr.writeSync = (bytes) => {
      said += new TextDecoder().decode(bytes);
      return bytes.length;
    };
    try {
      there.serveSite({ ...SITES.LOCAL!, port }, stop.signal);
    } finally {
      Deno.stderr.writeSync = writeSync;
    }
    assertEquals(
      said,
      `*** localhost:${port} lacks 3 of the 194 flags: they belong in flags/\n`,
    );
    // A folder may lack its file all the same: the page looks at each.
    const page = await (await fetch(url)).text();
    assertStringIncludes(page, "<h1>189 flags ");
    assertStringIncludes(page, "<b>AD</b> </a>");
    assertStringIncludes(page, "<b>AE</b> </a>");
    assert(!/<b>(BR|CN|DE|EG|US)</.test(page));
  });

  it("answers HEAD like GET, without a body", async () => {
    await serve({});
    const types = [["/flags/br/br.gif", "image/gif"], ["/", "text/html"]];
    for (const [path, type] of types) {
      const get = await fetch(url + path);
      const { length } = await get.bytes();
      const head = await fetch(url + path, { method: "HEAD" });
      assertEquals(head.status, 200);
      assertEquals(head.headers.get("content-length"), `${length}`);
      assertEquals(head.headers.get("content-type")?.split(";")[0], type);
      assertEquals(await head.text(), "");
    }
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
      "//",
      "/flags//",
      "/flags/index.html",
      "/index.html",
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

  it("DELAY answers everything half a second late, 404s, metadata and the page, too", async () => {
    await serve(SITES.DELAY!);
    const waits = Array(20).fill(500);
    for (
      const [path, status] of [
        ["br/br.gif", 200],
        ["xx/xx.gif", 404],
        ["br/metadata.json", 200],
        ["", 200],
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
    for (const path of ["/flags/br/br.gif", "/"]) {
      const { statuses } = await tally(50, path);
      assertEquals(statuses[200], undefined, path);
    }
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

/** Whether a program can be given a network of its own. */
const hasNetworks = await (async () => {
  try {
    const args = ["-rn", "ip", "link", "set", "lo", "up"];
    return (await new Deno.Command("unshare", { args }).output()).success;
  } catch {
    return false;
  }
})();

describe("site/serve.ts, in a network of its own,", () => {
  const itThere = (name: string, test: () => Promise<void>) =>
    !hasNetworks
      ? it.skip(`${name} (left out: needs unshare -rn and ip)`, test)
      : STD[0] !== "--frozen"
      ? it.skip(`${name} (left out: JSR is not in that network)`, test)
      : it(name, test);

  async function serve(plan: Plan): Promise<Served> {
    const program = `${ROOT}/tests/serve_in_network.ts`;
    const words = [Deno.execPath(), "run", "-A", ...STD, program];
    const command = 'ip link set lo up && exec "$@"';
    const child = new Deno.Command("unshare", {
      args: ["-rn", "sh", "-c", command, "sh", ...words, JSON.stringify(plan)],
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const { stdout, stderr } = await outcome(child);
    assertEquals(stderr, "");
    return JSON.parse(stdout);
  }

  const url = (port: number, path: string) =>
    `http://localhost:${port}/${path}`;
  const flag = (cc: string) => `flags/${cc}/${cc}.gif`;
  const CODES = "ad br cn de eg fr in jp kr lt mx ng om pk qa ru".split(" ");
  const ERROR_FLAGS = CODES.map((cc) => url(8003, flag(cc)));

  itThere("serves all three, and Ctrl-C ends them with 130", async () => {
    const { stdout, stderr, answers, code } = await serve({
      options: [],
      labels: ["local", "Delay", "ERROR"],
      urls: [url(8001, flag("br")), url(8002, flag("br")), url(8001, "")],
    });
    assertEquals(
      stdout,
      [["LOCAL", 8001], ["DELAY", 8002], ["ERROR", 8003]].map(([name, port]) =>
        `${name} site: http://localhost:${port}/flags\n`
      ).join(""),
    );
    assertEquals([code, stderr], [130, ""]);
    assertEquals(answers.map(([status]) => status), [200, 200, 200]);
    assert(answers[1]![1] > 0.45, "DELAY was not late");
  });

  itThere("does not wait for late answers after Ctrl-C", async () => {
    const { pending, code, stderr } = await serve({
      options: ["-d", "60"],
      labels: ["DELAY"],
      urls: [],
      pending: [url(8002, flag("br")), url(8002, "flags/")],
    });
    assertEquals([code, stderr], [130, ""]);
    assertEquals(pending, ["TypeError", "TypeError"]);
  });

  itThere("-d 2 makes late answers 2 s late", async () => {
    const { answers } = await serve({
      options: ["-d", "2"],
      labels: ["DELAY"],
      urls: [url(8002, flag("br")), url(8002, flag("xx"))],
    });
    assertEquals(answers.map(([status]) => status), [200, 404]);
    assert(answers.every(([, seconds]) => seconds > 1.9), `${answers}`);
  });

  itThere("-e 1 fails all of ERROR's requests, and no other's", async () => {
    const { answers } = await serve({
      options: ["-e", "1"],
      labels: ["LOCAL", "ERROR"],
      urls: [...ERROR_FLAGS, url(8001, flag("br"))],
    });
    const local = answers.pop()!;
    assertEquals(local[0], 200);
    assert(answers.every(([status]) => status >= 500), `${answers}`);
  });

  itThere("-e 0 -l 1 answers all of ERROR's requests late", async () => {
    const { answers } = await serve({
      options: ["-e", "0", "-l", "1", "-d", "1"],
      labels: ["ERROR"],
      urls: ERROR_FLAGS,
    });
    assert(answers.every(([status]) => status === 200), `${answers}`);
    assert(answers.every(([, seconds]) => seconds > 0.95), `${answers}`);
  });

  itThere("--seed fails the same paths in each run", async () => {
    const fates: string[] = [];
    for (const seed of ["1", "1", "2", "3"]) {
      const { answers } = await serve({
        options: ["--seed", seed, "-e", "0.5", "-d", "0"],
        labels: ["ERROR"],
        urls: ERROR_FLAGS,
      });
      fates.push(answers.map(([status]) => status).join(" "));
    }
    assertEquals(fates[0], fates[1]);
    assert(new Set(fates).size > 2, `${fates}`);
  });
});
