import { assert, assertEquals } from "@std/assert";
import { pooledMap } from "@std/async/pool";
import { describe, it } from "@std/testing/bdd";
import { existsSync } from "node:fs";
import { startNginx } from "../bench/bench.ts";
import { freePort, ROOT } from "../bench/scripts.ts";
import { runScript } from "./processes.ts";
import { has, hasIPv6, itIf } from "./testing.ts";

const CONF = await Deno.readTextFile(`${ROOT}/site/nginx.conf`);
const MODULE = CONF.match(/^load_module (.*);$/m)![1]!;
const hasNginx = await has("nginx", "-v") && existsSync(MODULE);
const itOnNginx = itIf(hasNginx, `nginx and ${MODULE}`);

/** Start nginx at free ports, with the fate of each request as a header. */
async function start() {
  await using stack = new AsyncDisposableStack();
  const ports = [freePort(), freePort(), freePort()];
  await startNginx(stack, ports, (conf) => {
    conf = conf.replace("server {", "$& add_header X-Fate $$fate always;");
    return hasIPv6 ? conf : conf.replace(/^.*\[::1\].*\n/gm, "");
  });
  return Object.assign(stack.move(), { ports });
}

/** Count the statuses and the late answers of requests for a URL. */
async function fates(url: string, requests: number) {
  const counts: Record<string, number> = {};
  const ask = async () => {
    const t0 = performance.now();
    const { body, status, headers } = await fetch(url);
    await body?.cancel();
    counts[status] = (counts[status] ?? 0) + 1;
    if (headers.get("X-Fate") !== "late") return;
    // The clock of nginx stops while it works, so half a second may be shorter.
    assert(performance.now() - t0 > 250);
    counts["late"] = (counts["late"] ?? 0) + 1;
  };
  for await (const _ of pooledMap(100, Array(requests).fill(0), ask));
  return counts;
}

describe("site/nginx.conf", () => {
  it("listens only at 127.0.0.1 and [::1]", () => {
    const listens = CONF.match(/(?<=^ *listen ).*(?=;$)/gm)!.join(" ");
    const ports = (host: string) => `${host}:8001 ${host}:8002 ${host}:8003`;
    assertEquals(listens, `${ports("127.0.0.1")} ${ports("[::1]")}`);
  });

  itOnNginx("serves only the flags, and a script downloads them", async () => {
    await using nginx = await start();
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

    const url = `http://localhost:${nginx.ports[0]}/flags`;
    const { code, report } = await runScript("asyncio", `-s ${url} a b`);
    assertEquals([code, report.flags, report.notFound], [0, 28, 24]);
  });

  itOnNginx("delays DELAY, fails 25% of ERROR and delays 50%", async () => {
    await using nginx = await start();
    const [, late, failing] = nginx.ports;
    for (const [cc, rest] of [["ad", 200], ["aa", 404]] as const) {
      const path = `flags/${cc}/${cc}.gif`;
      const counts = await fates(`http://localhost:${late}/${path}`, 2);
      assertEquals(counts, { [rest]: 2, late: 2 });
      const shares = { [rest]: 0.75, late: 0.5 };
      for (const error of [500, 501, 502, 503]) shares[error] = 0.0625;
      const met = await fates(`http://localhost:${failing}/${path}`, 400);
      for (const [fate, share] of Object.entries(shares)) {
        const [count = 0, mean] = [met[fate], 400 * share];
        // A larger difference is chance less than once in a million times.
        const most = 6 * Math.sqrt(mean * (1 - share));
        assert(Math.abs(count - mean) < most, `${cc}: ${count} ${fate}`);
      }
    }
  });
});
