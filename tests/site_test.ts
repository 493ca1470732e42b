import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { delay } from "@std/async/delay";
import { describe, it } from "@std/testing/bdd";
import { pathToFileURL } from "node:url";
import { serveSite } from "../site/serve.ts";
import { readCodes, type Site, SITES } from "../site/sites.ts";
import { freePort, ROOT, STD } from "../bench/scripts.ts";
import { outcome, spawn } from "./processes.ts";
import { FLAGS, project, sharedProject } from "./projects.ts";
import { eventually, hasIPv6, itOnPosix, replaced } from "./testing.ts";

/** Make `Deno.serve` throw at one address until the block ends. */
function withoutAddress(hostname: string, error: Error): Disposable {
  const { serve } = Deno;
  const fake = (options: Deno.ServeTcpOptions, handler: Deno.ServeHandler) => {
    if (options.hostname === hostname) throw error;
    return serve(options, handler);
  };
  return replaced(Deno, "serve", fake);
}

it("flags/ contains a flag and a name for each code of country_codes.txt", async () => {
  const names = [...Deno.readDirSync(FLAGS)]
    .filter((entry) => entry.isDirectory).map(({ name }) => name).sort();
  assertEquals(names.map((cc) => cc.toUpperCase()), readCodes());
  const images = new Set<string>();
  for (const cc of names) {
    images.add((await Deno.readFile(`${FLAGS}/${cc}/${cc}.gif`)).join());
    const json = await Deno.readTextFile(`${FLAGS}/${cc}/metadata.json`);
    const { iso_cc, country } = JSON.parse(json);
    assertEquals(iso_cc, cc.toUpperCase());
    assertMatch(country, /^\p{L}/u);
  }
  assertEquals(images.size, names.length);
});

describe("a site", () => {
  let port: number;

  /** Serve a site until the block ends, and return its lines on standard error. */
  function serve(site: Partial<Site> = {}, serveIt = serveSite) {
    const stop = new AbortController();
    port = freePort();
    let stderr = "";
    using _ = replaced(Deno.stderr, "writeSync", (bytes: Uint8Array) => {
      stderr += new TextDecoder().decode(bytes);
      return bytes.length;
    });
    serveIt({ ...SITES.LOCAL!, ...site, port }, stop.signal);
    return { stderr, [Symbol.dispose]: () => stop.abort() };
  }

  /** Serve a site of a copy of the project. */
  async function serveCopy(path: string) {
    const program = pathToFileURL(`${path}/site/serve.ts`).href;
    const copy: typeof import("../site/serve.ts") = await import(program);
    return serve({}, copy.serveSite);
  }

  /** Request a path, and return the status and the body. */
  async function get(path: string): Promise<[number, Uint8Array]> {
    const response = await fetch(`http://127.0.0.1:${port}${path}`);
    return [response.status, await response.bytes()];
  }

  /** Return the statuses of `n` requests, and the delays in milliseconds. */
  async function fates(n: number, path = "br/br.gif") {
    const waits: number[] = [];
    const { setTimeout } = globalThis;
    const atOnce = (done: () => void, ms: number) => {
      waits.push(ms);
      return setTimeout(done, 0);
    };
    using _ = replaced(globalThis, "setTimeout", atOnce);
    const request = async (_: unknown, i: number) =>
      (await get(`/flags/${path}?${i}`))[0];
    const statuses = await Promise.all(Array.from({ length: n }, request));
    return { statuses, waits };
  }

  it("serves flags and metadata to GET and HEAD, only at 127.0.0.1 and [::1]", async () => {
    using _ = serve();
    const hosts = ["127.0.0.1", "localhost", ...hasIPv6 ? ["[::1]"] : []];
    for (const path of ["ad/ad.gif", "kr/metadata.json"]) {
      const type = path.endsWith("gif") ? "image/gif" : "application/json";
      const file = await Deno.readFile(`${FLAGS}/${path}`);
      const bodies = { GET: file, HEAD: new Uint8Array() };
      for (const [method, expected] of Object.entries(bodies)) {
        for (const host of hosts) {
          const url = `http://${host}:${port}/flags/${path}`;
          const response = await fetch(url, { method });
          const { headers } = response;
          assertEquals(headers.get("content-type"), type);
          assertEquals(headers.get("content-length"), `${file.length}`);
          assertEquals(await response.bytes(), expected);
        }
      }
    }
    const others = Deno.networkInterfaces().map(({ address }) => address)
      .filter((address) => !/^(127\.|::1$|fe80:)/.test(address));
    for (const hostname of [...others, "127.0.0.2"]) {
      const signal = AbortSignal.timeout(2000); // Some systems do not refuse.
      const connected = await Deno.connect({ hostname, port, signal })
        .then((connection) => connection.close() ?? true, () => false);
      assertEquals(connected, false, hostname);
    }
  });

  it("reports that it serves only at 127.0.0.1 if another program uses [::1]", async () => {
    const inUse = (port: number) =>
      `*** [::1]:${port} is in use by another program; serving on 127.0.0.1 only\n`;
    const unknown = "Address family not supported by protocol (os error 97)";
    const table = [
      [new Deno.errors.AddrInUse(), inUse],
      [new Error(unknown), () => ""], // The kernel has no IPv6.
    ] as const;
    for (const [error, expected] of table) {
      using _ = withoutAddress("::1", error);
      using site = serve();
      assertEquals(site.stderr, expected(port));
      assertEquals((await get("/flags/br/br.gif"))[0], 200);
    }
  });

  it("reports a port that Windows reserves", () => {
    const text = "액세스 권한에 의해 숨겨진 소켓 (os error 10013)";
    const error = new Deno.errors.PermissionDenied(text);
    using _ = withoutAddress("127.0.0.1", error);
    const { message } = assertThrows(serve, Deno.errors.PermissionDenied);
    assert(message.startsWith(`Port ${port} is reserved by the system: `));
  });

  it("reports that flags/ is incomplete or cannot be listed", async () => {
    await using folder = await project();
    const flags = `${folder.path}/flags`;
    const remove = (path: string) => Deno.remove(path, { recursive: true });
    const table = [
      [() => remove(`${flags}/br`), "is missing 1 of the 194 flags; add them"],
      [() => remove(flags), "cannot list flags/: "],
      [() => Deno.writeTextFile(flags, ""), "cannot list flags/: "],
    ] as const;
    for (const [break_, expected] of table) {
      await break_();
      using site = await serveCopy(folder.path);
      assert(site.stderr.startsWith(`*** localhost:${port} ${expected}`));
      assertEquals(site.stderr.split("\n").length, 2);
    }
  });

  it("serves files as they are now", async () => {
    await using folder = await project();
    const path = "/flags/br/br.gif";
    const file = folder.path + path;
    const brazil = await Deno.readFile(file);
    using _ = await serveCopy(folder.path);
    assertEquals(await get(path), [200, brazil]);
    { // The file is old enough for the site to keep its content.
      const later = Date.now() + 10_000;
      using _ = replaced(Date, "now", () => later);
      assertEquals(await get(path), [200, brazil]);
    }
    for (const byte of [1, 2, 3]) { // The length does not change.
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

  itOnPosix("does not follow links out of flags/", async () => {
    await using folder = await project();
    const { path } = folder;
    await Deno.rename(`${path}/flags/fr`, `${path}/flags.else`);
    await Deno.symlink(`${path}/flags.else`, `${path}/flags/fr`);
    await Deno.remove(`${path}/flags/br/br.gif`);
    await Deno.symlink("../../deno.json", `${path}/flags/br/br.gif`);
    await Deno.remove(`${path}/flags/eg/eg.gif`);
    await Deno.symlink("../in/in.gif", `${path}/flags/eg/eg.gif`);
    await Deno.symlink(path, `${path}/link`);
    using _ = await serveCopy(`${path}/link`);
    for (const [cc, status] of [["br", 404], ["fr", 404], ["eg", 200]]) {
      assertEquals((await get(`/flags/${cc}/${cc}.gif`))[0], status, `${cc}`);
    }
  });

  it("answers with 500 if it cannot read a file", async () => {
    using _site = serve();
    using _disk = replaced(Deno, "statSync", () => {
      throw new Error("Too many open files (os error 24)");
    });
    for (const path of ["/flags/br/br.gif", "/", "/page/br.gif"]) {
      assertEquals((await get(path))[0], 500);
    }
  });

  it("answers with 405 to other methods, and names GET and HEAD", async () => {
    using _ = serve();
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

  it("answers at once if it is LOCAL, and half a second late if it is DELAY", async () => {
    for (const [label, ...waits] of [["LOCAL"], ["DELAY", 500, 500]]) {
      using _ = serve(SITES[label!]!);
      for (const path of ["br/br.gif", "br/metadata.json", "xx/xx.gif"]) {
        const statuses = Array(2).fill(path.startsWith("xx") ? 404 : 200);
        assertEquals(await fates(2, path), { statuses, waits });
      }
    }
  });

  it("fails a quarter of the requests and delays half if it is ERROR", async () => {
    const { errorShare, lateShare, delay } = SITES.ERROR!;
    assertEquals([errorShare, lateShare, delay], [0.25, 0.5, 0.5]);
    using _ = serve({ ...SITES.ERROR!, seed: 12 });
    const { statuses, waits } = await fates(400);
    const assertNear = (expected: number, all: number[], one: number) => {
      const { length } = all.filter((item) => item === one);
      assert(Math.abs(length - expected) < 12, `${length} times ${one}`);
    };
    assertNear(300, statuses, 200);
    for (const status of [500, 501, 502, 503]) assertNear(25, statuses, status);
    assertNear(200, waits, 500);
    assertEquals(new Set(waits), new Set([500]));
  });

  it("fails the same requests each time only if it has a seed", async () => {
    const run = async (seed?: number) => {
      using _ = serve({ errorShare: 0.5, seed });
      return (await fates(100)).statuses.join();
    };
    const first = await run(1);
    assertEquals(await run(1), first);
    assert(await run(2) !== first);
    // Two runs without a seed are equal less than once in 10^30 times.
    assert(await run() !== await run());
  });
});

describe("site/serve.ts", () => {
  function serve(root: string, args: string): Deno.ChildProcess {
    const words = [...STD, `${root}/site/serve.ts`, ...args.split(" ")];
    return spawn([Deno.execPath(), "run", "-A", ...words]);
  }

  it("prints its help, and rejects an invalid command line", async () => {
    const help = await outcome(serve(ROOT, "-h"));
    assertEquals([help.code, help.stderr], [0, ""]);
    assertMatch(help.stdout, /^usage: serve\.ts \[-h\]/);
    const table = [
      ["-l=-1", "--late SHARE must be a number from 0 to 1, not -1"],
      ["-s 1e99", "--seed N must be a whole number < 2 ** 53, not 1e99"],
      ["remote", "LABEL must be one of LOCAL, DELAY, ERROR, not remote"],
    ] as const;
    for (const [args, message] of table) {
      const { code, stdout, stderr } = await outcome(serve(ROOT, args));
      assertEquals([code, stdout], [2, ""]);
      const [first, usage] = stderr.split("usage: serve.ts ");
      assertEquals(first, `*** Usage error: ${message}\n`);
      assertEquals(usage?.split("\n").length, 2);
    }
  });

  it("reports a port in use in one line, with exit status 1", async () => {
    const { path, ports } = await sharedProject();
    using _ = Deno.listen({ hostname: "127.0.0.1", port: ports[1] });
    // LOCAL is serving by then, but must not keep the program alive.
    const result = await outcome(serve(path, "LOCAL DELAY"));
    const { code, stdout, stderr } = result;
    assertEquals([code, stderr], [1, `*** Port ${ports[1]} is in use\n`]);
    assertMatch(stdout, /^LOCAL site: .*\n$/);
  });

  itOnPosix("serves until Ctrl-C, which aborts all requests", async () => {
    const { path, ports } = await sharedProject();
    const [local, late, failing] = ports;
    const args = "-d 60 -e 0.3 -l 1 --seed 5 local Delay ERROR";
    await using site = serve(path, args);
    const answers: string[] = [];
    const request = async (port: number, cc: string) => {
      const url = `http://localhost:${port}/flags/${cc}/${cc}.gif`;
      const response = await fetch(url);
      await response.body?.cancel();
      return answers.push(`${cc} ${response.status}`);
    };
    await eventually(() => request(local, "us").catch(() => 0));
    const events = await fetch(`http://localhost:${late}/page/events`);
    const requests: Promise<unknown>[] = [events.text(), request(late, "us")];
    const codes = "ad br cn de eg fr in jp".split(" ");
    requests.push(...codes.map((cc) => request(failing, cc)));
    await eventually(() => answers.length >= 4);
    await delay(1000); // The default delay is half a second.
    site.kill("SIGINT");
    const ends = await Promise.allSettled(requests);
    assertEquals(ends[0]!.status, "rejected");
    assertEquals(answers.sort(), ["cn 501", "de 503", "fr 502", "us 200"]);
    const { code, stdout, stderr } = await outcome(site);
    const lines = ["LOCAL", "DELAY", "ERROR"].map((label, i) =>
      `${label} site: http://localhost:${ports[i]}/flags\n`
    );
    assertEquals([code, stdout, stderr], [130, lines.join(""), ""]);
  });
});
