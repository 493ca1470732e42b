import { assert, assertEquals, assertRejects } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { isWholeGif } from "../lib/gif.ts";
import { ConnectionError, get } from "../lib/requests.ts";
import { FaultSite, flagOf } from "./fault_site.ts";
import {
  commandLine,
  FLAGS,
  itInTerminal,
  outcome,
  parseReport,
  quoted,
  ROOT,
  SCRIPTS,
  start,
  TemporaryFolder,
} from "./testing.ts";

/** A server on a free port. */
function serve(handler: (url: URL) => Response) {
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    (request) => handler(new URL(request.url)),
  );
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

/** An answer that leads elsewhere. */
function redirect(location: string, status = 302): Response {
  return new Response(null, { status, headers: { location } });
}

describe("a redirect", () => {
  const limits = { timeout: 60, signal: new AbortController().signal };

  for (const status of [301, 302, 303, 307, 308]) {
    it(`is followed: ${status}`, async () => {
      await using server = serve(({ pathname }) =>
        pathname === "/a/b" ? redirect("../c", status) : new Response(pathname)
      );
      const { content } = await get(`${server.url}/a/b`, limits);
      assertEquals(new TextDecoder().decode(content), "/c");
    });
  }

  for (const status of [300, 304, 305]) {
    it(`is none: ${status}`, async () => {
      await using server = serve(() => redirect("/", status));
      assertEquals((await get(server.url, limits)).status, status);
    });
  }

  it("may be the 20th, and not the 21st", async () => {
    await using server = serve(({ pathname }) => {
      const left = Number(pathname.slice(1));
      return left > 0 ? redirect(`/${left - 1}`) : new Response();
    });
    assertEquals((await get(`${server.url}/20`, limits)).status, 200);
    await assertRejects(() => get(`${server.url}/21`, limits), ConnectionError);
  });
});

describe("in a pseudo-terminal, a redirect", () => {
  /** Nothing else ends a thread that asks for a permission. */
  const KILL = "timeout --foreground -s KILL 60";
  const ELSEWHERE = [
    "http://example.com/flag.gif",
    "http://user:password@example.com/",
    "https://example.com/",
    "//example.com/",
    "http://127.0.0.1:1/",
    "http://[::1]:8001/",
    "http://localhost/",
    "http://a..b/",
    "file:///etc/hostname",
    "data:image/gif,GIF89a;",
    "blob:http://127.0.0.1/1",
    "ws://example.com/",
  ];
  for (const script of SCRIPTS) {
    itInTerminal(`asks for no permission: ${script}`, async () => {
      await using granted = serve(() => new Response(flagOf("OK")));
      await using site = serve(({ pathname }) => {
        const place = pathname.charCodeAt(2) - "a".charCodeAt(0);
        return redirect(ELSEWHERE[place] ?? granted.url);
      });
      await using folder = new TemporaryFolder();
      const hosts = [site, granted].map(({ url }) => new URL(url).host);
      const words = commandLine(script, ["-s", site.url, "a"], {
        permissions: [
          `--allow-net=${hosts}`,
          `--allow-read=${ROOT},downloads`,
          "--allow-write=downloads",
        ],
      });
      const { code, stdout } = await outcome(
        new Deno.Command("script", {
          args: ["-qec", `${KILL} ${quoted(words)}`, "/dev/null"],
          cwd: folder.path,
          stdin: "null",
          stdout: "piped",
          stderr: "piped",
        }).spawn(),
      );
      const text = stdout.replaceAll("\r\n", "\n");
      assert(!/allow\?|\[y\/n/i.test(text), text);
      const { flags, errors } = parseReport(text);
      assertEquals([code, errors], [0, ELSEWHERE.length], text);
      assertEquals(flags, 26 - ELSEWHERE.length);
    });
  }
});

describe("a body without end", () => {
  /** The most memory that a process has had so far, in megabytes. */
  const memory = async (pid: number) => {
    const args = [`/proc/${pid}/status`];
    const { stdout } = await new Deno.Command("cat", { args }).output();
    const status = new TextDecoder().decode(stdout);
    return Number(status.match(/^VmHWM:\s+(\d+) kB$/m)![1]) / 1024;
  };
  for (const fault of ["gzip bomb", "x-gzip bomb", "endless chunks"] as const) {
    const name = `takes no more memory than it needs: ${fault}`;
    if (Deno.build.os !== "linux") {
      it.skip(`${name} (left out: needs /proc)`, () => {});
      continue;
    }
    it(name, async () => {
      await using folder = new TemporaryFolder();
      await using site = new FaultSite({ AA: fault, AB: "no answer" });
      const args = ["-s", site.url, "-m", "1", "-t", "60", "AA", "AB"];
      const child = start("asyncio", args, { cwd: folder.path });
      const ended = outcome(child);
      await site.asked(2); // It is done with the first one then.
      const megabytes = await memory(child.pid);
      child.kill("SIGKILL");
      await ended;
      assert(megabytes < 400, `${megabytes} MB`);
    });
  }
});

describe("isWholeGif", () => {
  it("takes every flag of the project", async () => {
    let count = 0;
    for await (const { name, isDirectory } of Deno.readDir(FLAGS)) {
      if (!isDirectory) continue;
      assert(isWholeGif(await Deno.readFile(`${FLAGS}/${name}/${name}.gif`)));
      count += 1;
    }
    assertEquals(count, 194);
  });

  const table: [image: string, isWhole: boolean][] = [
    ["GIF87a...;", true],
    ["GIF89a...;", true],
    ["GIF89a...", false],
    ["GIF89a...;\n", false],
    ["GIF88a...;", false],
    ["gif89a...;", false],
    [" GIF89a...;", false],
    [";", false],
    ["", false],
  ];
  for (const [image, isWhole] of table) {
    it(`${isWhole ? "takes" : "refuses"} ${JSON.stringify(image)}`, () => {
      assertEquals(isWholeGif(new TextEncoder().encode(image)), isWhole);
    });
  }
});
