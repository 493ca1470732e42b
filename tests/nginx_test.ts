import { assert, assertEquals } from "@std/assert";
import { delay } from "@std/async/delay";
import { pooledMap } from "@std/async/pool";
import { describe, it } from "@std/testing/bdd";
import {
  freePort,
  parseReport,
  ROOT,
  run,
  type Script,
  SCRIPTS,
  siteAtFreePort,
  TemporaryFolder,
} from "./testing.ts";

const CONF = await Deno.readTextFile(`${ROOT}/site/nginx.conf`);
const NOBODY = 65534;

const why = await whyNot();
const onNginx = (name: string, test: () => Promise<void>) =>
  why ? it.skip(`${name} (${why})`, test) : it(name, test);

/** Why this machine cannot serve with site/nginx.conf, if it cannot. */
async function whyNot(): Promise<string | undefined> {
  try {
    await new Deno.Command("nginx", { args: ["-v"], stderr: "null" }).output();
  } catch {
    return "no nginx here";
  }
  const module = CONF.match(/^load_module (.*);$/m)![1]!;
  const found = await Deno.stat(module).catch(() => undefined);
  return found ? undefined : `no ${module} here`;
}

/** A real nginx with the three sites on free ports, as an ordinary user. */
class Nginx implements AsyncDisposable {
  /** `host:port` of each site. */
  readonly hosts = {
    LOCAL: `localhost:${freePort()}`,
    DELAY: `localhost:${freePort()}`,
    ERROR: `localhost:${freePort()}`,
  };
  readonly #folder = new TemporaryFolder();
  #process: Deno.ChildProcess | undefined;

  async start(): Promise<void> {
    const { path } = this.#folder;
    await Deno.mkdir(`${path}/site`);
    await copy(`${ROOT}/flags`, `${path}/flags`);
    const ports = Object.values(this.hosts).map((host) => host.split(":")[1]!);
    let conf = CONF.replace(/\b800[123]\b/g, (port) => ports[+port - 8001]!);
    // Each answer says which fate it met.
    conf = conf.replace("server {", "$& add_header X-Fate $$fate always;");
    if (!hasIPv6()) conf = conf.replace(/^.*\[::1\].*\n/gm, "");
    await Deno.writeTextFile(`${path}/site/nginx.conf`, conf);
    const user = Deno.uid() === 0 ? { uid: NOBODY, gid: NOBODY } : {};
    if (user.uid) {
      for (const folder of [path, `${path}/site`]) {
        await Deno.chown(folder, NOBODY, NOBODY);
      }
    }
    this.#process = new Deno.Command("nginx", {
      args: ["-p", ".", "-c", "site/nginx.conf"],
      cwd: path,
      ...user,
    }).spawn();
    for (const host of Object.values(this.hosts)) await this.#answers(host);
  }

  async #answers(host: string): Promise<void> {
    const [hostname, port] = host.split(":") as [string, string];
    for (let tries = 0; tries < 200; tries++) {
      try {
        return (await Deno.connect({ hostname, port: Number(port) })).close();
      } catch {
        await delay(50);
      }
    }
    throw new Error(`nginx does not listen on ${host}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#process?.kill("SIGTERM");
    } catch { /* It has ended by itself. */ }
    await this.#process?.status;
    await this.#folder[Symbol.asyncDispose]();
  }
}

function hasIPv6(): boolean {
  try {
    Deno.listen({ hostname: "::1", port: 0 }).close();
    return true;
  } catch {
    return false;
  }
}

async function copy(from: string, to: string): Promise<void> {
  await Deno.mkdir(to);
  for await (const { name, isDirectory } of Deno.readDir(from)) {
    const paths = [`${from}/${name}`, `${to}/${name}`] as const;
    await (isDirectory ? copy(...paths) : Deno.copyFile(...paths));
  }
}

/** What a script reports, and the files that it leaves. */
async function downloaded(
  script: Script,
  args: string[],
  host: string,
) {
  await using folder = new TemporaryFolder();
  const words = ["-s", `http://${host}/flags`, ...args];
  const options = { cwd: folder.path };
  const { code, stdout, stderr } = await run(script, words, options);
  assertEquals(code, 0, stdout + stderr);
  const { elapsed: _, ...counts } = parseReport(stdout);
  const files = new Map<string, Uint8Array>();
  for (const name of await folder.list()) {
    files.set(name, await Deno.readFile(`${folder.path}/downloads/${name}`));
  }
  return { counts, files };
}

/**
 * How many requests for a path were answered with which status, and late: as
 * nginx says, whose clock stands still while it works, and half as late at
 * least.
 */
async function fates(url: string, requests: number) {
  const counts = { late: 0, status: {} as Record<number, number> };
  let quickest = Infinity;
  const ask = async () => {
    const t0 = performance.now();
    const response = await fetch(url);
    await response.body?.cancel();
    const elapsed = performance.now() - t0;
    const { status, headers } = response;
    counts.status[status] = (counts.status[status] ?? 0) + 1;
    if (headers.get("X-Fate") === "late") {
      assert(elapsed > 250, `late after ${elapsed} ms`);
      counts.late++;
    } else quickest = Math.min(quickest, elapsed);
  };
  for await (const _ of pooledMap(100, Array(requests).fill(0), ask));
  assert(quickest < 250, `at once after ${quickest} ms`);
  return counts;
}

/**
 * See that `n` of `requests` is what a share comes to, within six standard
 * deviations: chance alone misses that less than once in a million times.
 */
function assertShare(n = 0, requests: number, share: number, what: string) {
  const deviation = Math.sqrt(requests * share * (1 - share));
  const off = Math.abs(n - requests * share) / deviation;
  assert(off < 6, `${n} of ${requests} ${what}, not about ${100 * share}%`);
}

describe("site/nginx.conf", () => {
  it("listens on the loopback alone, on both its addresses", () => {
    const listens = [...CONF.matchAll(/^ *listen (.*);$/gm)].map((m) => m[1]!);
    assertEquals(
      listens.sort(),
      ["127.0.0.1", "[::1]"].flatMap((host) =>
        [8001, 8002, 8003].map((port) => `${host}:${port}`)
      ),
    );
  });

  onNginx("serves the flags with their types, and nothing else", async () => {
    await using nginx = new Nginx();
    await nginx.start();
    const port = nginx.hosts.LOCAL.split(":")[1];
    for (const name of hasIPv6() ? ["127.0.0.1", "[::1]"] : ["127.0.0.1"]) {
      const answer = async (path: string) => {
        const response = await fetch(`http://${name}:${port}${path}`);
        await response.body?.cancel();
        return [response.status, response.headers.get("content-type")];
      };
      assertEquals(await answer("/flags/ad/ad.gif"), [200, "image/gif"]);
      assertEquals(await answer("/flags/ad/metadata.json"), [
        200,
        "application/json",
      ]);
      for (
        const path of ["/", "/flags/", "/flags/ad", "/flags/aa/aa.gif"]
          .concat("/site/nginx.conf", "/flags/%2e%2e/site/nginx.conf")
      ) {
        assertEquals((await answer(path))[0], 404, path);
      }
    }
  });

  for (const script of SCRIPTS) {
    onNginx(
      `gives flags2_${script}.ts what the built-in sites give`,
      async () => {
        await using nginx = new Nginx();
        await nginx.start();
        for (
          const [label, flags, ...args] of [
            ["LOCAL", 43, "a", "b", "c"],
            ["DELAY", 1, "aa", "ad"],
          ] as const
        ) {
          const real = await downloaded(
            script,
            args,
            nginx.hosts[label],
          );
          await using site = await siteAtFreePort(label);
          const { host } = new URL(site.url);
          assertEquals(real, await downloaded(script, args, host));
          assertEquals([real.counts.flags, real.files.size], [flags, flags]);
        }
      },
    );
  }

  onNginx("fails 25% of ERROR's requests and delays 50%", async () => {
    await using nginx = new Nginx();
    await nginx.start();
    const requests = 600;
    for (const [cc, rest] of [["ad", 200], ["aa", 404]] as const) {
      const url = `http://${nginx.hosts.ERROR}/flags/${cc}/${cc}.gif`;
      const { late, status } = await fates(url, requests);
      for (const error of [500, 501, 502, 503]) {
        assertShare(status[error], requests, 0.0625, `${cc} with ${error}`);
      }
      assertShare(status[rest], requests, 0.75, `${cc} with ${rest}`);
      assertShare(late, requests, 0.5, `${cc} late`);
    }
  });
});
