import { assert, assertEquals } from "@std/assert";
import { pooledMap } from "@std/async/pool";
import { describe, it } from "@std/testing/bdd";
import { cp } from "node:fs/promises";
import {
  eventually,
  freePort,
  has,
  hasIPv6,
  itIf,
  parseReport,
  ROOT,
  run,
  siteAtFreePort,
  TemporaryFolder,
} from "./testing.ts";

const CONF = await Deno.readTextFile(`${ROOT}/site/nginx.conf`);
const NOBODY = 65534;

const MODULE = CONF.match(/^load_module (.*);$/m)![1]!;
const isThere = await has("nginx", "-v") &&
  await Deno.stat(MODULE).then(() => true, () => false);
const onNginx = itIf(isThere, `nginx and ${MODULE}`);

/** A real nginx, as an ordinary user; its sites' `host:port` by their labels. */
async function startNginx() {
  await using stack = new AsyncDisposableStack();
  const { path } = stack.use(new TemporaryFolder());
  await Deno.mkdir(`${path}/site`);
  await cp(`${ROOT}/flags`, `${path}/flags`, { recursive: true });
  const ports = [freePort(), freePort(), freePort()] as const;
  let conf = CONF.replace(/\b800[123]\b/g, (port) => `${ports[+port - 8001]}`);
  // Each answer says which fate it met.
  conf = conf.replace("server {", "$& add_header X-Fate $$fate always;");
  if (!hasIPv6) conf = conf.replace(/^.*\[::1\].*\n/gm, "");
  await Deno.writeTextFile(`${path}/site/nginx.conf`, conf);
  const isRoot = Deno.uid() === 0;
  for (const folder of isRoot ? [path, `${path}/site`] : []) {
    await Deno.chown(folder, NOBODY, NOBODY);
  }
  const nginx = new Deno.Command("nginx", {
    args: ["-p", ".", "-c", "site/nginx.conf"],
    cwd: path,
    ...isRoot ? { uid: NOBODY, gid: NOBODY } : {},
  }).spawn();
  stack.defer(async () => {
    nginx.kill();
    await nginx.status;
  });
  const address = { hostname: "localhost", port: ports[2] };
  await eventually(() =>
    Deno.connect(address).then((conn) => conn.close() ?? true, () => false)
  );
  const [LOCAL, DELAY, ERROR] = ports.map((port) => `localhost:${port}`);
  const all = stack.move();
  const end = () => all.disposeAsync();
  return { LOCAL, DELAY, ERROR, ports, [Symbol.asyncDispose]: end };
}

/** What a script reports, and the files that it leaves. */
async function downloaded(url: string) {
  await using folder = new TemporaryFolder();
  const words = ["-s", url, "a", "b", "c"];
  const options = { cwd: folder.path };
  const { code, stdout, stderr } = await run("asyncio", words, options);
  assertEquals(code, 0, stdout + stderr);
  const { elapsed: _, ...counts } = parseReport(stdout);
  const files = new Map<string, Uint8Array>();
  for (const name of await folder.list()) {
    files.set(name, await Deno.readFile(`${folder.path}/downloads/${name}`));
  }
  return { counts, files };
}

/**
 * How many requests for a path were answered with which status, and how many
 * late: half as late at least, as the clock of nginx stands still while it works.
 */
async function fates(url: string, requests: number) {
  const counts: Record<string, number> = {};
  const ask = async () => {
    const t0 = performance.now();
    const { body, status, headers } = await fetch(url);
    await body?.cancel();
    counts[status] = (counts[status] ?? 0) + 1;
    if (headers.get("X-Fate") !== "late") return;
    assert(performance.now() - t0 > 250);
    counts["late"] = (counts["late"] ?? 0) + 1;
  };
  for await (const _ of pooledMap(100, Array(requests).fill(0), ask));
  return counts;
}

describe("site/nginx.conf", () => {
  it("listens on the loopback only, on both its addresses", () => {
    const listens = [...CONF.matchAll(/^ *listen (.*);$/gm)].map((m) => m[1]!);
    assertEquals(
      listens.sort(),
      ["127.0.0.1", "[::1]"].flatMap((host) =>
        [8001, 8002, 8003].map((port) => `${host}:${port}`)
      ),
    );
  });

  onNginx("serves the flags with their types, and nothing else", async () => {
    await using nginx = await startNginx();
    for (const name of hasIPv6 ? ["127.0.0.1", "[::1]"] : ["127.0.0.1"]) {
      const answer = async (path: string) => {
        const url = `http://${name}:${nginx.ports[0]}${path}`;
        const { status, headers, body } = await fetch(url);
        await body?.cancel();
        return [status, headers.get("content-type")];
      };
      assertEquals(await answer("/flags/ad/ad.gif"), [200, "image/gif"]);
      const json = await answer("/flags/ad/metadata.json");
      assertEquals(json, [200, "application/json"]);
      const paths = "/ /flags/ /flags/ad /flags/aa/aa.gif /site/nginx.conf " +
        "/flags/%2e%2e/site/nginx.conf /events";
      for (const path of paths.split(" ")) {
        assertEquals((await answer(path))[0], 404, path);
      }
    }
  });

  onNginx("gives a script what the built-in sites give", async () => {
    await using nginx = await startNginx();
    const real = await downloaded(`http://${nginx.LOCAL}/flags`);
    await using site = await siteAtFreePort("LOCAL");
    assertEquals(real, await downloaded(site.url));
    assertEquals([real.counts.flags, real.files.size], [43, 43]);
  });

  onNginx(
    "delays DELAY, fails 25% of ERROR's requests and delays 50%",
    async () => {
      await using nginx = await startNginx();
      const requests = 400;
      for (const [cc, rest] of [["ad", 200], ["aa", 404]] as const) {
        const path = `flags/${cc}/${cc}.gif`;
        const late = await fates(`http://${nginx.DELAY}/${path}`, 2);
        assertEquals(late, { [rest]: 2, late: 2 });
        const counts = await fates(`http://${nginx.ERROR}/${path}`, requests);
        const errors = [500, 501, 502, 503].map((error) => [error, 0.0625]);
        for (
          const [fate, share] of [...errors, [rest, 0.75], [
            "late",
            0.5,
          ]] as const
        ) {
          const [count = 0, mean] = [counts[fate], requests * share];
          // More than that is chance less than once in a million times.
          const most = 6 * Math.sqrt(mean * (1 - share));
          assert(Math.abs(count - mean) < most, `${cc}: ${count} ${fate}`);
        }
      }
    },
  );
});
