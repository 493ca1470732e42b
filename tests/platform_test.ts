import { assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { commandLine, ROOT, STD, TemporaryFolder } from "../bench/scripts.ts";
import { outcome, runScript, spawn } from "./processes.ts";
import { projectAtFreePorts, serve, sharedProject } from "./projects.ts";
import { itIf } from "./testing.ts";

it("a script runs beside the package.json of npm install deno", async () => {
  await using folder = await projectAtFreePorts();
  const { path } = folder;
  await Deno.mkdir(`${path}/node_modules/deno`, { recursive: true });
  const text = '{ "dependencies": { "deno": "^2.9.6" } }\n';
  await Deno.writeTextFile(`${path}/package.json`, text);
  // The runtime adds the package.json to the lock, so the lock is not frozen.
  const words = commandLine("threadpool", ["br"], { root: path })
    .filter((word) => word !== "--frozen");
  const { code, stderr } = await outcome(spawn(words, { cwd: path }));
  assertEquals([code, await folder.list()], [0, ["br.gif"]], stderr);
});

const imports = (file: string): Record<string, string> =>
  JSON.parse(Deno.readTextFileSync(`${ROOT}/${file}`)).imports;
const npm = imports("deno.json");
const jsr = imports("imports.jsr.json");

/** Matches the parts of `jsr:@std/async@1.2.3/delay`. */
const TARGET = /^jsr:@std\/(\w+)@(\d+\.\d+\.\d+)(?:\/(.+))?$/;

/** Return JSR's answers for the modules that the scripts import, by path. */
async function jsrAnswers(): Promise<Map<string, string>> {
  const answers = new Map<string, string>();
  const packages: Record<string, { exports: object; manifest: object }> = {};
  for (const name of Object.keys(npm)) {
    const [, folder, version, entry] = jsr[name]!.match(TARGET)!;
    // The scripts do not import @std/assert, which has no entry, or @std/testing.
    if (!entry || entry === "bdd") continue;
    const code = await Deno.readTextFile(new URL(import.meta.resolve(name)));
    const file = `/${entry}.js`;
    const bytes = new TextEncoder().encode(code);
    const digest = await crypto.subtle.digest("SHA-256", bytes);
    const checksum = `sha256-${new Uint8Array(digest).toHex()}`;
    const about = packages[folder!] ??= { exports: {}, manifest: {} };
    Object.assign(about.exports, { [`./${entry}`]: `.${file}` });
    Object.assign(about.manifest, { [file]: { size: bytes.length, checksum } });
    const root = `/@std/${folder}`;
    const all = { latest: version, versions: { [version!]: {} } };
    answers.set(`${root}/meta.json`, JSON.stringify(all));
    answers.set(`${root}/${version}_meta.json`, JSON.stringify(about));
    answers.set(`${root}/${version}${file}`, code);
  }
  return answers;
}

describe("imports.jsr.json", () => {
  it("maps each @std import to a pinned package of JSR", () => {
    assertEquals(Object.keys(jsr), Object.keys(npm));
    for (const [name, target] of Object.entries(jsr)) {
      assertMatch(target, TARGET);
      assertEquals(target.replace(/^jsr:|@[\d.]+/g, ""), name);
    }
  });

  // On Windows the cache contains a link to the running Deno and cannot be removed.
  const canRun = STD[0] === "--frozen" && Deno.build.os !== "windows";
  const itRuns = itIf(canRun, "npm's @std, and not Windows");
  itRuns("runs a script and a site without npm", async () => {
    const answers = await jsrAnswers();
    await using server = serve(({ pathname }) => {
      const status = answers.has(pathname) ? 200 : 404;
      return new Response(answers.get(pathname), { status });
    });
    const { host } = new URL(server.url);
    await using cache = new TemporaryFolder();
    const { path } = await sharedProject();
    const map = `--import-map=${ROOT}/imports.jsr.json`;
    const { code, stderr, report } = await runScript("asyncio", "-l 5", {
      cwd: path,
      root: path,
      permissions: ["-P", `--allow-import=${host}`, map, "--no-lock"],
      env: { JSR_URL: server.url, DENO_DIR: cache.path },
    });
    assertEquals([code, report.flags], [0, 5], stderr);
    const paths = server.requests.map(({ pathname }) => pathname);
    assertEquals(new Set(paths), new Set(answers.keys()));
  });
});
