import { assert, assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { ROOT } from "./testing.ts";

/** The part of a configuration that the two files may differ in. */
interface Configuration {
  imports: Record<string, string>;
  compilerOptions: { types: string[] };
  exclude: string[];
  lock?: boolean;
}

const npm = await configuration("deno.json");
const jsr = await configuration("deno.jsr.json");

async function configuration(name: string): Promise<Configuration> {
  return JSON.parse(await Deno.readTextFile(`${ROOT}/${name}`));
}

/** The text of each module, by its path. */
async function modules(): Promise<[path: string, text: string][]> {
  const found: [string, string][] = [];
  for (const folder of [".", "lib", "site", "bench", "tests"]) {
    try {
      for await (const { name } of Deno.readDir(`${ROOT}/${folder}`)) {
        if (!name.endsWith(".ts") || name.endsWith(".d.ts")) continue;
        const path = `${folder}/${name}`;
        found.push([path, await Deno.readTextFile(`${ROOT}/${path}`)]);
      }
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return found;
}

describe("deno.jsr.json", () => {
  it("is deno.json but for where @std comes from", () => {
    const same = ({ imports, ...rest }: Configuration) => ({
      ...rest,
      imports: Object.fromEntries(
        Object.entries(imports).filter(([name]) => !name.startsWith("@std/")),
      ),
    });
    assertEquals(same(jsr), {
      ...same(npm),
      // The types that stand in for those of the mirror would hide JSR's.
      compilerOptions: {
        ...npm.compilerOptions,
        types: npm.compilerOptions.types.filter((path) =>
          path !== "./lib/std.d.ts"
        ),
      },
      exclude: [...new Set([...npm.exclude, "lib/std.d.ts"])],
      // deno.lock holds the npm packages.
      lock: false,
    });
  });

  it("maps the @std names that deno.json maps, each to JSR, pinned", () => {
    const std = ({ imports }: Configuration) =>
      Object.keys(imports).filter((name) => name.startsWith("@std/"));
    assertEquals(std(jsr), std(npm));
    for (const name of std(jsr)) {
      const [, folder, entry = ""] = name.split("/");
      assertMatch(
        jsr.imports[name]!,
        new RegExp(
          `^jsr:@std/${folder}@\\d+\\.\\d+\\.\\d+${entry && `/${entry}`}$`,
        ),
      );
    }
  });

  it("has, as deno.json has, each @std name that the code imports", async () => {
    const all = await modules();
    assert(all.length > 10);
    for (const [path, text] of all) {
      for (const [, name] of text.matchAll(/from "(@std\/[^"]+)"/g)) {
        assert(Object.hasOwn(npm.imports, name!), `${path}: ${name}, npm`);
        assert(Object.hasOwn(jsr.imports, name!), `${path}: ${name}, JSR`);
      }
    }
  });

  it("leaves the tests to what tests/bdd.ts and @std/testing share", async () => {
    const both = new Set(["describe", "it", "beforeEach", "afterEach"]);
    const importing = /import \{([^}]*)\} from "@std\/testing\/bdd"/g;
    for (const [path, text] of await modules()) {
      for (const [, names] of text.matchAll(importing)) {
        for (const name of names!.split(",").map((word) => word.trim())) {
          assert(name === "" || both.has(name), `${path}: ${name}`);
        }
      }
    }
  });
});
