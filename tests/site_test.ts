import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { delay } from "@std/async/delay";
import { afterEach, beforeEach, describe, it } from "@std/testing/bdd";
import { pathToFileURL } from "node:url";
import { expandCcArgs } from "../flags2_common.ts";
import { serveSite } from "../site/serve.ts";
import { type Site, SITES } from "../site/sites.ts";
import { startSite } from "../site/start.ts";
import {
  eventually,
  FLAGS,
  freePort,
  hasIPv6,
  itIf,
  itOnPosix,
  type Outcome,
  outcome,
  project,
  projectAtFreePorts,
  ROOT,
  spawn,
  STD,
} from "./testing.ts";

const CODES = "ad br cn de eg fr in jp kr lt mx ng om pk qa ru";

/** Timers of this thread that go off at once; `waits` are their milliseconds. */
function instantTimers(): Disposable & { waits: number[] } {
  const { setTimeout } = globalThis;
  const waits: number[] = [];
  const atOnce = (done: () => void, ms: number) => {
    waits.push(ms);
    return setTimeout(done, 0);
  };
  Object.assign(globalThis, { setTimeout: atOnce });
  const end = () => void Object.assign(globalThis, { setTimeout });
  return { waits, [Symbol.dispose]: end };
}

/** What is said on standard error meanwhile. */
function heard(talk: () => void): string {
  const { writeSync } = Deno.stderr;
  let said = "";
  Deno.stderr.writeSync = (bytes) => {
    said += new TextDecoder().decode(bytes);
    return bytes.length;
  };
  try {
    talk();
  } finally {
    Deno.stderr.writeSync = writeSync;
  }
  return said;
}

/** `Deno.serve`, but at one address it throws. */
function withoutAddress(hostname: string, error: Error): Disposable {
  const { serve } = Deno;
  const fake = (options: Deno.ServeTcpOptions, handler: Deno.ServeHandler) => {
    if (options.hostname === hostname) throw error;
    return serve(options, handler);
  };
  Object.assign(Deno, { serve: fake });
  return { [Symbol.dispose]: () => void Object.assign(Deno, { serve }) };
}

describe("flags/", () => {
  it("holds the codes of country_codes.txt, each a GIF with its name", async () => {
    const codes = expandCcArgs(false, true, []);
    const folders = await Array.fromAsync(Deno.readDir(FLAGS));
    const names = folders.filter((entry) => entry.isDirectory)
      .map(({ name }) => name.toUpperCase());
    assertEquals(names.sort(), codes);
    const images = new Set<string>();
    for (const cc of codes) {
      const folder = `${FLAGS}/${cc.toLowerCase()}`;
      const gif = await Deno.readFile(`${folder}/${cc.toLowerCase()}.gif`);
      assertMatch(new TextDecoder().decode(gif.subarray(0, 6)), /^GIF8[79]a$/);
      assertEquals(gif.at(-1), 0x3b, cc);
      images.add(gif.join());
      const json = await Deno.readTextFile(`${folder}/metadata.json`);
      const { iso_cc, country } = JSON.parse(json);
      assertEquals(iso_cc, cc);
      assertMatch(country, /^\p{L}/u);
    }
    assertEquals(images.size, codes.length);
  });
});

describe("a site", () => {
  let stop: AbortController;
  let port: number;

  beforeEach(() => {
    stop = new AbortController();
    port = freePort();
  });
  afterEach(() => stop.abort());

  const serve = (site: Partial<Site> = {}) =>
    serveSite({ ...SITES.LOCAL!, ...site, port }, stop.signal);

  /** Serve a copy of the project. */
  async function serveCopy(path: string): Promise<string> {
    const program = pathToFileURL(`${path}/site/serve.ts`).href;
    const there: typeof import("../site/serve.ts") = await import(program);
    const site = { ...SITES.LOCAL!, port };
    return heard(() => there.serveSite(site, stop.signal));
  }

  /** Status of a path, and bytes of what comes. */
  async function get(
    path: string,
    host = "127.0.0.1",
  ): Promise<[number, Uint8Array]> {
    const response = await fetch(`http://${host}:${port}${path}`);
    return [response.status, await response.bytes()];
  }

  /**
   * How often each status was the answer to `n` requests, and how many
   * milliseconds the site waited before late ones.
   */
  async function tally(n: number, path = "/flags/br/br.gif") {
    using timers = instantTimers();
    const statuses: Record<number, number> = {};
    await Promise.all(Array.from({ length: n }, async (_, i) => {
      const [status] = await get(`${path}?${i}`);
      statuses[status] = (statuses[status] ?? 0) + 1;
    }));
    return { statuses, waits: timers.waits };
  }

  it("serves flags and their metadata, byte for byte, and HEAD like GET", async () => {
    serve();
    const paths = ["ad/ad.gif", "zw/zw.gif", "kr/metadata.json"];
    for (const path of paths) {
      const type = path.endsWith("gif") ? "image/gif" : "application/json";
      const file = await Deno.readFile(`${FLAGS}/${path}`);
      for (const method of ["GET", "HEAD"]) {
        const url = `http://localhost:${port}/flags/${path}`;
        const response = await fetch(url, { method });
        const { status, headers } = response;
        assertEquals([status, headers.get("content-type")], [200, type]);
        assertEquals(headers.get("content-length"), `${file.length}`);
        const body = await response.bytes();
        assertEquals(body, method === "GET" ? file : new Uint8Array());
      }
    }
  });

  it("is at 127.0.0.1 and at [::1]", async () => {
    serve();
    const hosts = ["127.0.0.1", "localhost", ...hasIPv6 ? ["[::1]"] : []];
    for (const host of hosts) {
      assertEquals((await get("/flags/br/br.gif", host))[1].length, 3402);
    }
  });

  itIf(hasIPv6, "IPv6")("says so when another has [::1]", async () => {
    using _other = Deno.listen({ hostname: "::1", port });
    const here = "this site is at 127.0.0.1 only";
    assertEquals(
      heard(serve),
      `*** Another program has [::1]:${port}: ${here}\n`,
    );
    assertEquals((await get("/flags/br/br.gif"))[0], 200);
  });

  it("is at 127.0.0.1 where the kernel knows no IPv6", async () => {
    const message = "Address family not supported by protocol (os error 97)";
    using _ = withoutAddress("::1", new Error(message));
    assertEquals(heard(serve), "");
    assertEquals((await get("/flags/br/br.gif"))[0], 200);
  });

  it("names the port that Windows keeps for others", () => {
    const text = "액세스 권한에 의해 숨겨진 소켓 (os error 10013)";
    const error = new Deno.errors.PermissionDenied(text);
    using _ = withoutAddress("127.0.0.1", error);
    const message = `Port ${port} is reserved by the system: `;
    assertThrows(serve, Deno.errors.PermissionDenied, message);
  });

  it("says what is wrong with flags/", async () => {
    const remove = (path: string) => Deno.remove(path, { recursive: true });
    const noFolder = async (path: string) => {
      await remove(path);
      await Deno.writeTextFile(path, "");
    };
    for (
      const [path, break_, expected] of [
        ["/br", remove, "lacks 1 of the 194 flags: they belong in flags/"],
        ["", remove, "lacks 194 of the 194 flags: they belong in flags/"],
        ["", noFolder, "cannot list flags/: "],
      ] as const
    ) {
      await using folder = await project();
      await break_(`${folder.path}/flags${path}`);
      port = freePort();
      const said = await serveCopy(folder.path);
      assertStringIncludes(said, `*** localhost:${port} ${expected}`);
      assertEquals(said.split("\n").length, 2);
    }
  });

  it("serves a file as it is now", async () => {
    await using folder = await project();
    const path = "/flags/br/br.gif";
    const file = folder.path + path;
    const brazil = await Deno.readFile(file);
    await serveCopy(folder.path);
    assertEquals(await get(path), [200, brazil]);
    const { now } = Date;
    Date.now = () => now() + 10_000; // What was read is old, and known.
    try {
      assertEquals(await get(path), [200, brazil]);
    } finally {
      Date.now = now;
    }
    for (const byte of [1, 2, 3]) { // As long, and within a tick.
      const other = new Uint8Array(brazil.length).fill(byte);
      await Deno.writeFile(file, other);
      assertEquals(await get(path), [200, other]);
    }
    await Deno.remove(file);
    assertEquals((await get(path))[0], 404);
    await Deno.writeFile(file, brazil);
    assertEquals(await get(path), [200, brazil]);
    await Deno.remove(`${folder.path}/flags`, { recursive: true });
    assertEquals((await get(path))[0], 404);
  });

  itOnPosix("follows no link that leads out of flags/", async () => {
    await using folder = await project();
    const { path } = folder;
    await Deno.rename(`${path}/flags/fr`, `${path}/flags.else`);
    await Deno.symlink(`${path}/flags.else`, `${path}/flags/fr`);
    await Deno.remove(`${path}/flags/br/br.gif`);
    await Deno.symlink("../../deno.json", `${path}/flags/br/br.gif`);
    await Deno.remove(`${path}/flags/eg/eg.gif`);
    await Deno.symlink("../in/in.gif", `${path}/flags/eg/eg.gif`);
    await Deno.symlink(path, `${path}/link`);
    await serveCopy(`${path}/link`);
    const statuses = [];
    for (const cc of ["br", "fr", "eg"]) {
      statuses.push((await get(`/flags/${cc}/${cc}.gif`))[0]);
    }
    assertEquals(statuses, [404, 404, 200]);
  });

  it("refuses other methods with 405 and names those that it takes", async () => {
    serve();
    for (const method of ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "FOO"]) {
      for (const path of ["flags/br/br.gif", "", "events"]) {
        const url = `http://localhost:${port}/${path}`;
        const response = await fetch(url, { method });
        await response.body?.cancel();
        assertEquals(response.status, 405);
        assertEquals(response.headers.get("allow"), "GET, HEAD");
      }
    }
  });

  it("LOCAL answers everything at once, DELAY half a second late", async () => {
    const answers = [["br/br.gif", 200], ["xx/xx.gif", 404]] as const;
    for (const [label, ...waits] of [["LOCAL"], ["DELAY", 500, 500]]) {
      port = freePort();
      serve(SITES[label!]!);
      for (const [path, status] of [...answers, ["br/metadata.json", 200]]) {
        const counts = { statuses: { [status!]: 2 }, waits };
        assertEquals(await tally(2, `/flags/${path}`), counts);
      }
    }
    const t0 = performance.now();
    await get("/flags/br/br.gif");
    const elapsed = performance.now() - t0;
    assert(elapsed > 490, `${elapsed} ms`);
  });

  it("ERROR fails a quarter, with one of four errors, and delays half", async () => {
    const { errors, late, delay } = SITES.ERROR!;
    assertEquals([errors, late, delay], [0.25, 0.5, 0.5]);
    serve({ ...SITES.ERROR!, seed: 1 });
    const n = 1000;
    const { statuses, waits } = await tally(n);
    const assertShare = (share: number, count = 0) =>
      assert(Math.abs(count / n - share) < 0.03, JSON.stringify(statuses));
    assertShare(0.75, statuses[200]);
    for (const status of [500, 501, 502, 503]) {
      assertShare(0.0625, statuses[status]);
    }
    assertShare(0.5, waits.length);
    assertEquals(new Set(waits), new Set([500]));
  });

  it("fails the same paths each time, with a seed", async () => {
    const fates = async (seed?: number, codes = CODES) => {
      port = freePort();
      serve({ errors: 0.5, seed });
      const answers = codes.split(" ").map((cc) =>
        get(`/flags/${cc}/${cc}.gif`)
      );
      return (await Promise.all(answers)).map(([status]) => status);
    };
    const [first, ...others] = [
      await fates(1),
      await fates(1),
      await fates(2),
      await fates(3),
    ];
    assertEquals(first, others[0]);
    assert(others.some((other) => other.join() !== first!.join()));
    // By chance a path has the same less than once in 10^30 runs.
    const statuses = await fates(undefined, "br ".repeat(100).trim());
    assert(new Set(statuses).size > 1, `${statuses}`);
  });

  it("runs on a thread of its own, for as long as it is used", async () => {
    {
      await using site = await startSite("LOCAL", port, stop.signal);
      assert(site);
      // A second one gives way to it.
      assertEquals(await startSite("LOCAL", port, stop.signal), undefined);
      assertEquals((await get("/flags/br/br.gif"))[0], 200);
    }
    await eventually(() =>
      Deno.connect({ hostname: "127.0.0.1", port })
        .then((connection) => connection.close(), () => "it has gone")
    );
  });
});

describe("site/serve.ts", () => {
  const serve = (root: string, args: string[]) =>
    spawn([
      ...[Deno.execPath(), "run", "-A", ...STD],
      `${root}/site/serve.ts`,
      ...args,
    ]);

  /** Serve a copy of the project while `use` goes on, then press Ctrl-C. */
  async function serving(
    args: string[],
    use: (ports: readonly number[]) => Promise<void>,
    sites = 1,
  ): Promise<Outcome> {
    await using copy = await projectAtFreePorts();
    const site = serve(copy.path, args);
    const reader = site.stdout.getReader();
    let said = "";
    while (said.split("\n").length <= sites) {
      const { value, done } = await reader.read();
      if (done) break;
      said += new TextDecoder().decode(value);
    }
    reader.releaseLock();
    try {
      await use(copy.ports);
    } finally {
      site.kill("SIGINT");
    }
    const { code, stdout, stderr } = await outcome(site);
    return { code, stdout: said + stdout, stderr };
  }

  /** Status and seconds of the answers to requests for flags. */
  const ask = (port: number, codes: string) =>
    Promise.all(
      codes.split(" ").map(async (cc) => {
        const t0 = performance.now();
        const url = `http://localhost:${port}/flags/${cc}/${cc}.gif`;
        const { status, body } = await fetch(url);
        await body?.cancel();
        return [status, (performance.now() - t0) / 1000] as const;
      }),
    );

  it("shows its help, and refuses a command line that it cannot run", async () => {
    const help = await outcome(serve(ROOT, ["-h"]));
    assertEquals([help.code, help.stderr], [0, ""]);
    assertMatch(help.stdout, /^usage: serve\.ts \[-h\]/);
    for (
      const [args, message] of [
        ["-d x", "--delay SECONDS must be a number, not x"],
        ["--errors=2", "--errors SHARE must be <= 1, not 2"],
        ["-l -1", "--late SHARE must be >= 0, not -1"],
        ["--seed 1.5", "--seed N must be a whole number, not 1.5"],
        ["remote", "LABEL must be one of LOCAL, DELAY, ERROR, not remote"],
      ] as const
    ) {
      const child = serve(ROOT, args.split(" "));
      const { code, stdout, stderr } = await outcome(child);
      assertEquals([code, stdout], [2, ""]);
      const [first, second, ...rest] = stderr.split("\n");
      assertEquals([first, ...rest], [`*** Usage error: ${message}`, ""]);
      assertMatch(second!, /^usage: serve\.ts /);
    }
  });

  it("names the port that is in use, in one line, and exits with 1", async () => {
    await using copy = await projectAtFreePorts();
    const [, used] = copy.ports;
    using _listener = Deno.listen({ hostname: "127.0.0.1", port: used });
    // The site that was started first must not keep the program alive.
    for (const [labels, lines] of [["DELAY", 0], ["LOCAL DELAY", 1]] as const) {
      const child = serve(copy.path, labels.split(" "));
      const { code, stdout, stderr } = await outcome(child);
      assertEquals(stderr, `*** Port ${used} is in use\n`);
      assertEquals([code, stdout.split("\n").length - 1], [1, lines]);
    }
  });

  itOnPosix("serves all three, and Ctrl-C ends them with 130", async () => {
    let lines = "";
    const args = ["local", "Delay", "ERROR"];
    const { code, stdout, stderr } = await serving(args, async (ports) => {
      const [local] = (await ask(ports[0]!, "br"))[0]!;
      const [status, seconds] = (await ask(ports[1]!, "br"))[0]!;
      assertEquals([local, status], [200, 200]);
      assert(seconds > 0.45, "DELAY was not late");
      lines = Object.keys(SITES).map((label, i) =>
        `${label} site: http://localhost:${ports[i]}/flags\n`
      ).join("");
    }, 3);
    assertEquals([code, stdout, stderr], [130, lines, ""]);
  });

  itOnPosix(
    "waits after Ctrl-C for no late answer, and for no browser",
    async () => {
      let ends: PromiseLike<PromiseSettledResult<unknown>[]> | undefined;
      const args = ["-d", "60", "DELAY"];
      const { code, stderr } = await serving(args, async ([, port]) => {
        const events = await fetch(`http://localhost:${port}/events`);
        ends = Promise.allSettled([events.text(), ask(port!, "br")]);
        await delay(200);
      });
      assertEquals([code, stderr], [130, ""]);
      const statuses = (await ends!).map(({ status }) => status);
      assertEquals(statuses, ["rejected", "rejected"]);
    },
  );

  const options: [args: string, status: RegExp, seconds: number][] = [
    ["-d 2 DELAY", /^200$/, 1.9],
    ["-e 1 ERROR", /^50[0-3]$/, 0],
    ["-e 0 -l 1 -d 1 ERROR", /^200$/, 0.95],
  ];
  for (const [args, expected, atLeast] of options) {
    itOnPosix(`takes ${args}`, async () => {
      await serving(args.split(" "), async ([, late, failing]) => {
        const port = args.endsWith("DELAY") ? late : failing;
        for (const [status, seconds] of await ask(port!, CODES)) {
          assertMatch(`${status}`, expected);
          assert(seconds > atLeast, `${seconds} s`);
        }
      });
    });
  }

  itOnPosix("takes --seed: a path has the same answer each time", async () => {
    const args = "--seed 1 -e 0.5 -d 0 ERROR".split(" ");
    await serving(args, async ([, , port]) => {
      const statuses = async () =>
        (await ask(port!, CODES)).map(([status]) => status);
      assertEquals(await statuses(), await statuses());
    });
  });
});
