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
import {
  FLAGS,
  freePort,
  hasIPv6,
  itIf,
  itOnPosix,
  outcome,
  project,
  replaced,
  ROOT,
  sharedProject,
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
  return { waits, ...replaced(globalThis, "setTimeout", atOnce) };
}

/** What is said on standard error meanwhile. */
function heard(talk: () => void): string {
  let said = "";
  using _ = replaced(Deno.stderr, "writeSync", (bytes: Uint8Array) => {
    said += new TextDecoder().decode(bytes);
    return bytes.length;
  });
  talk();
  return said;
}

/** `Deno.serve`, but at one address it throws. */
function withoutAddress(hostname: string, error: Error): Disposable {
  const { serve } = Deno;
  const fake = (options: Deno.ServeTcpOptions, handler: Deno.ServeHandler) => {
    if (options.hostname === hostname) throw error;
    return serve(options, handler);
  };
  return replaced(Deno, "serve", fake);
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
  async function get(path: string): Promise<[number, Uint8Array]> {
    const response = await fetch(`http://127.0.0.1:${port}${path}`);
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

  it("serves flags and metadata as they are, at 127.0.0.1 and [::1], HEAD like GET", async () => {
    serve();
    const hosts = ["127.0.0.1", "localhost", ...hasIPv6 ? ["[::1]"] : []];
    for (const path of ["ad/ad.gif", "kr/metadata.json"]) {
      const type = path.endsWith("gif") ? "image/gif" : "application/json";
      const file = await Deno.readFile(`${FLAGS}/${path}`);
      for (const method of ["GET", "HEAD"]) {
        for (const host of hosts) {
          const url = `http://${host}:${port}/flags/${path}`;
          const response = await fetch(url, { method });
          const { status, headers } = response;
          assertEquals([status, headers.get("content-type")], [200, type]);
          assertEquals(headers.get("content-length"), `${file.length}`);
          const body = await response.bytes();
          assertEquals(body, method === "GET" ? file : new Uint8Array());
        }
      }
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
    await using folder = await project();
    const flags = `${folder.path}/flags`;
    const remove = (path: string) => Deno.remove(path, { recursive: true });
    for (
      const [break_, expected] of [
        [() => remove(`${flags}/br`), "lacks 1 of the 194 flags: they belong"],
        [() => remove(flags), "lacks 194 of the 194 flags: they belong"],
        [() => Deno.writeTextFile(flags, ""), "cannot list flags/: "],
      ] as const
    ) {
      await break_();
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
    { // What was read is old, and known.
      const later = Date.now() + 10_000;
      using _ = replaced(Date, "now", () => later);
      assertEquals(await get(path), [200, brazil]);
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
    for (const method of ["POST", "OPTIONS", "FOO"]) {
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
    serve({ ...SITES.ERROR!, seed: 12 });
    const n = 400;
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

  it("fails the same paths each time, with a seed only", async () => {
    const fates = async (seed?: number) => {
      port = freePort();
      serve({ errors: 0.5, seed });
      const answers = Array.from(
        { length: 100 },
        (_, i) => get(`/flags/br/br.gif?${i}`),
      );
      return (await Promise.all(answers)).map(([status]) => status).join();
    };
    const first = await fates(1);
    assertEquals(await fates(1), first);
    assert(await fates(2) !== first);
    // By chance they are the same less than once in 10^30 runs.
    assert(await fates() !== await fates());
  });
});

describe("site/serve.ts", () => {
  const serve = (root: string, args: string) =>
    spawn([
      ...[Deno.execPath(), "run", "-A", ...STD],
      `${root}/site/serve.ts`,
      ...args.split(" "),
    ]);

  /** Serve at free ports while `use` goes on, then press Ctrl-C. */
  async function serving(
    args: string,
    use: (ports: readonly number[]) => Promise<void>,
  ): Promise<void> {
    const { path, ports } = await sharedProject();
    const site = serve(path, args);
    const lines = Object.keys(SITES).map((label, i) =>
      `${label} site: http://localhost:${ports[i]}/flags\n`
    ).filter((line) => args.toUpperCase().includes(line.split(" ")[0]!));
    const reader = site.stdout.getReader();
    let said = "";
    while (said.length < lines.join("").length) {
      const { value, done } = await reader.read();
      if (done) break;
      said += new TextDecoder().decode(value);
    }
    reader.releaseLock();
    try {
      await use(ports);
    } finally {
      site.kill("SIGINT");
    }
    const { code, stdout, stderr } = await outcome(site);
    assertEquals([code, said + stdout, stderr], [130, lines.join(""), ""]);
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
    const help = await outcome(serve(ROOT, "-h"));
    assertEquals([help.code, help.stderr], [0, ""]);
    assertMatch(help.stdout, /^usage: serve\.ts \[-h\]/);
    for (
      const [args, message] of [
        ["-l -1", "--late SHARE must be >= 0, not -1"],
        ["--seed 1.5", "--seed N must be a whole number, not 1.5"],
        ["remote", "LABEL must be one of LOCAL, DELAY, ERROR, not remote"],
      ] as const
    ) {
      const { code, stdout, stderr } = await outcome(serve(ROOT, args));
      assertEquals([code, stdout], [2, ""]);
      const [first, second, ...rest] = stderr.split("\n");
      assertEquals([first, ...rest], [`*** Usage error: ${message}`, ""]);
      assertMatch(second!, /^usage: serve\.ts /);
    }
  });

  it("names the port that is in use, in one line, and exits with 1", async () => {
    const { path, ports } = await sharedProject();
    using _ = Deno.listen({ hostname: "127.0.0.1", port: ports[1] });
    // The site that was started first must not keep the program alive.
    const { code, stdout, stderr } = //
      await outcome(serve(path, "LOCAL DELAY"));
    assertEquals([code, stderr], [1, `*** Port ${ports[1]} is in use\n`]);
    assertMatch(stdout, /^LOCAL site: .*\n$/);
  });

  itOnPosix(
    "serves all three until Ctrl-C, which waits for no late answer, and for no browser",
    async () => {
      let ends: PromiseLike<PromiseSettledResult<unknown>[]> | undefined;
      await serving("-d 60 local Delay ERROR", async ([local, late]) => {
        const events = await fetch(`http://localhost:${late}/events`);
        ends = Promise.allSettled([events.text(), ask(late!, "br")]);
        assertEquals((await ask(local!, "br"))[0]![0], 200);
        await delay(200);
      });
      const statuses = (await ends!).map(({ status }) => status);
      assertEquals(statuses, ["rejected", "rejected"]);
    },
  );

  itOnPosix("takes a delay, and a share of errors", async () => {
    await serving("-d 1 -e 1 DELAY ERROR", async ([, late, failing]) => {
      const [[status, seconds]] = await ask(late!, "br") as [[number, number]];
      assertEquals(status, 200);
      assert(seconds > 0.95, `${seconds} s`);
      for (const [status] of await ask(failing!, CODES)) {
        assertMatch(`${status}`, /^50[0-3]$/);
      }
    });
  });

  itOnPosix(
    "takes a share of late answers, and a seed: a path has the same answer each time",
    async () => {
      await serving("--seed 1 -e 0.25 -l 1 ERROR", async ([, , port]) => {
        const answers = await ask(port!, CODES);
        const statuses = answers.map(([status]) => status);
        const again = await ask(port!, CODES);
        assertEquals(again.map(([status]) => status), statuses);
        for (const [status, seconds] of answers) {
          assert(status !== 200 || seconds > 0.45, `${seconds} s`);
        }
      });
    },
  );
});
