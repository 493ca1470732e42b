import { assert, assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  parseReport,
  projectAtFreePorts,
  ROOT,
  run,
  SCRIPTS,
  STD,
} from "./testing.ts";

const npm = await imports("deno.json");
const jsr = await imports("imports.jsr.json");

async function imports(file: string): Promise<Record<string, string>> {
  return JSON.parse(await Deno.readTextFile(`${ROOT}/${file}`)).imports;
}

/** The names that deno.json takes from the mirror. */
const MIRRORED = Object.keys(npm).filter((name) =>
  npm[name]!.startsWith("npm:deno-std@")
);

/** `jsr:@std/async@1.2.3/delay`, in parts. */
const TARGET = /^jsr:@std\/(\w+)@(\d+\.\d+\.\d+)(?:\/(.+))?$/;

describe("imports.jsr.json", () => {
  it("is the map of deno.json but for what that has from the mirror", () => {
    const others = (map: Record<string, string>) =>
      Object.entries(map).filter(([name]) => !MIRRORED.includes(name));
    assertEquals(Object.keys(jsr), Object.keys(npm));
    assertEquals(others(jsr), others(npm));
  });

  it("has that from JSR under its own name, pinned", () => {
    assert(MIRRORED.length >= 5);
    for (const name of MIRRORED) {
      assertMatch(jsr[name]!, TARGET);
      assertEquals(jsr[name]!.replace(/^jsr:|@[\d.]+/g, ""), name);
    }
  });
});

/** What JSR answers for the modules that the scripts import, by path. */
async function jsrAnswers(): Promise<Map<string, string>> {
  const answers = new Map<string, string>();
  const versions: Record<string, { exports: object; manifest: object }> = {};
  for (const name of MIRRORED) {
    const [, folder, version, entry] = jsr[name]!.match(TARGET)!;
    if (!entry) continue; // @std/assert, whole: only the tests import that.
    const code = await Deno.readTextFile(new URL(import.meta.resolve(name)));
    const bytes = new TextEncoder().encode(code);
    const digest = await crypto.subtle.digest("SHA-256", bytes);
    const checksum = `sha256-${new Uint8Array(digest).toHex()}`;
    const file = `/${entry}.js`;
    const about = versions[folder!] ??= { exports: {}, manifest: {} };
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

describe("with --import-map=imports.jsr.json", () => {
  const onJsr = STD[0] !== "--frozen";
  const unlessOnJsr = onJsr ? it.skip : it;
  const reason = onJsr ? " (left out: all tests are on JSR)" : "";

  for (const script of SCRIPTS) {
    const name = `flags2_${script}.ts has all of @std from JSR`;
    unlessOnJsr(name + reason, async () => {
      const answers = await jsrAnswers();
      const asked = new Set<string>();
      await using server = Deno.serve(
        { hostname: "127.0.0.1", port: 0, onListen() {} },
        ({ url }) => {
          const { pathname } = new URL(url);
          asked.add(pathname);
          const type = pathname.endsWith(".js") ? "javascript" : "plain";
          return new Response(answers.get(pathname), {
            status: answers.has(pathname) ? 200 : 404,
            headers: { "content-type": `text/${type}` },
          });
        },
      );
      const jsrHost = `127.0.0.1:${server.addr.port}`;
      await using folder = await projectAtFreePorts();
      const [port] = folder.ports;
      const site = ["localhost", "127.0.0.1", "[::1]"].map((host) =>
        `${host}:${port}`
      );
      const { code, stdout, stderr } = await run(script, ["-l", "5"], {
        cwd: folder.path,
        root: folder.path,
        permissions: [
          "-P",
          `--allow-import=${jsrHost}`,
          `--allow-net=${site}`,
          `--import-map=${ROOT}/imports.jsr.json`,
          "--no-lock",
        ],
        env: {
          JSR_URL: `http://${jsrHost}/`,
          DENO_DIR: `${folder.path}/cache`,
        },
      });
      assertEquals([code, parseReport(stdout).flags], [0, 5], stderr);
      assertEquals(asked, new Set(answers.keys()));
    });
  }
});
