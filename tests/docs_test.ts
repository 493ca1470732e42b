/** The links and names on the pages of the project. */

import { assertEquals } from "@std/assert";
import { existsSync } from "node:fs";
import { describe, it } from "@std/testing/bdd";
import { ROOT } from "../bench/scripts.ts";
import { FENCED } from "./testing.ts";

/** Return the paths of files in some folders, relative to the project. */
function files(folders: string[], ending: RegExp): string[] {
  return folders.flatMap((folder) =>
    [...Deno.readDirSync(`${ROOT}/${folder}`)]
      .map(({ name }) => `${folder}/${name}`.replace("./", ""))
  ).filter((path) => ending.test(path)).sort();
}

/** All pages except the changelog, which names removed code. */
const PAGES = files([".", "docs", "flags"], /\.md$/)
  .filter((path) => path !== "CHANGELOG.md");
const read = (path: string) => Deno.readTextFileSync(`${ROOT}/${path}`);

const FOLDERS = [".", "lib", "site", "bench"];
const CODE = files(FOLDERS, /\.(ts|js|html)$/).map(read).join("\n")
  .replace(/\/\*[^]*?\*\/|\/\/ .*$/gm, "");

/** Return the anchors that GitHub gives to the headings of a page. */
function anchors(page: string): string[] {
  const headings = page.replace(FENCED, "").match(/^#+ .*$/gm) ?? [];
  return headings.map((heading) =>
    heading.replace(/^#+ /, "").toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, "").replaceAll(" ", "-")
  );
}

for (const path of PAGES) {
  describe(path, () => {
    const page = read(path);
    const spans = page.replace(FENCED, "").match(/`[^`]+`/g) ?? [];
    const folder = `${ROOT}/${path}`.replace(/[^/]+$/, "");

    it("has no broken links", () => {
      const links = Array.from(page.matchAll(/\]\(([^)]+)\)/g), ([, to]) => to!)
        .filter((link) => !/^https?:/.test(link));
      const broken = links.filter((link) => {
        const [file, anchor] = link.split("#");
        if (file && !existsSync(folder + file)) return true;
        const target = file ? Deno.readTextFileSync(folder + file) : page;
        return anchor && !anchors(target).includes(anchor);
      });
      assertEquals(broken, []);
    });

    it("names only functions that are in the code or on the page", () => {
      const own = page.match(FENCED)?.join("") ?? "";
      const names = new Set(`${CODE}${own}`.match(/\w+/g));
      const camelCase = spans.join(" ").match(/\b[a-z]+[A-Z]\w*/g) ?? [];
      assertEquals(camelCase.filter((name) => !names.has(name)), []);
    });

    it("names only files that exist or that its commands use", () => {
      const commands = page.match(/\bdeno .*/g)?.join("\n") ?? "";
      const named = spans.map((span) => span.slice(1, -1))
        .filter((span) => /^[\w./-]+\.(ts|json|conf|md)$/.test(span));
      const own = path.replace(/[^/]+$/, ".");
      const folders = [...FOLDERS, "docs", "tests", own];
      const missing = named.filter((name) =>
        !folders.some((folder) => existsSync(`${ROOT}/${folder}/${name}`)) &&
        !commands.includes(name)
      );
      assertEquals(missing, []);
    });
  });
}
