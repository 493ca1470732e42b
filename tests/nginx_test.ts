import { assert, assertEquals } from "@std/assert";
import { pooledMap } from "@std/async/pool";
import { describe, it } from "@std/testing/bdd";
import { cp } from "node:fs/promises";
import {
  freePort,
  parseReport,
  ROOT,
  TemporaryFolder,
} from "../bench/scripts.ts";
import { runScript, spawn } from "./processes.ts";
import { eventually, has, hasIPv6, itIf } from "./testing.ts";

const CONF = await Deno.readTextFile(`${ROOT}/site/nginx.conf`);
const NOBODY = 65534;

const MODULE = CONF.match(/^load_module (.*);$/m)![1]!;
const isThere = await has("nginx", "-v") &&
  await Deno.stat(MODULE).then(() => true, () => false);
const onNginx = itIf(isThere, `nginx and ${MODULE}`);

/** A real nginx, as an ordinary user, with the ports of its sites. */
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
  const user = isRoot ? { uid: NOBODY, gid: NOBODY } : {};
  const words = ["nginx", "-p", ".", "-c", "site/nginx.conf"];
  const shown = { stdout: "inherit", stderr: "inherit" } as const;
  stack.use(spawn(words, { cwd: path, ...user, ...shown }));
  const address = { hostname: "localhost", port: ports[2] };
  await eventually(() =>
    Deno.connect(address).then((conn) => conn.close() ?? true, () => false)
  );
  return Object.assign(stack.move(), { ports });
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
    const listens = [...CONF.matchAll(/^ *listen (.*);$/gm)].map((m) => m[1]);
    const ports = [8001, 8002, 8003];
    const expected = ["127.0.0.1", "[::1]"]
      .flatMap((host) => ports.map((port) => `${host}:${port}`));
    assertEquals(listens.sort(), expected);
  });

  onNginx("serves the flags, to a script too, and nothing else", async () => {
    await using nginx = await startNginx();
    for (const host of hasIPv6 ? ["127.0.0.1", "[::1]"] : ["127.0.0.1"]) {
      const answer = async (path: string) => {
        const response = await fetch(`http://${host}:${nginx.ports[0]}${path}`);
        const body = await response.bytes();
        return [response.status, response.headers.get("content-type"), body];
      };
      for (const file of ["/flags/ad/ad.gif", "/flags/ad/metadata.json"]) {
        const type = file.endsWith("gif") ? "image/gif" : "application/json";
        const body = await Deno.readFile(ROOT + file);
        assertEquals(await answer(file), [200, type, body]);
      }
      const paths = "/ /flags/ /flags/ad /flags/aa/aa.gif /site/nginx.conf " +
        "/flags/%2e%2e/site/nginx.conf /events";
      for (const path of paths.split(" ")) {
        assertEquals((await answer(path))[0], 404, path);
      }
    }

    await using folder = new TemporaryFolder();
    const words = ["-s", `http://localhost:${nginx.ports[0]}/flags`, "a", "b"];
    const { code, stdout } = await runScript("asyncio", words, {
      cwd: folder.path,
    });
    const { flags, notFound } = parseReport(stdout);
    assertEquals([code, flags, notFound], [0, 28, 24]);
  });

  onNginx("delays DELAY, fails 25% of ERROR and delays 50%", async () => {
    await using nginx = await startNginx();
    const [, late, failing] = nginx.ports;
    const requests = 400;
    for (const [cc, rest] of [["ad", 200], ["aa", 404]] as const) {
      const path = `flags/${cc}/${cc}.gif`;
      const counts = await fates(`http://localhost:${late}/${path}`, 2);
      assertEquals(counts, { [rest]: 2, late: 2 });
      const shares = { [rest]: 0.75, late: 0.5 };
      for (const error of [500, 501, 502, 503]) shares[error] = 0.0625;
      const url = `http://localhost:${failing}/${path}`;
      const met = await fates(url, requests);
      for (const [fate, share] of Object.entries(shares)) {
        const [count = 0, mean] = [met[fate], requests * share];
        // More than that is chance less than once in a million times.
        const most = 6 * Math.sqrt(mean * (1 - share));
        assert(Math.abs(count - mean) < most, `${cc}: ${count} ${fate}`);
      }
    }
  });
});
