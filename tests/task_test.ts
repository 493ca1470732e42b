import { assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { assertFlags, FaultSite } from "./fault_site.ts";
import {
  commandLine,
  outcome,
  parseReport,
  SCRIPTS,
  TemporaryFolder,
} from "./testing.ts";

const CODES = "AA AB AC AD AE AF AG AH AI AJ".split(" ");

const hasTerminal = Deno.build.os === "linux" && await (async () => {
  try {
    const args = ["-qec", "true", "/dev/null"];
    return (await new Deno.Command("script", { args }).output()).success;
  } catch {
    return false;
  }
})();
const itInTerminal = hasTerminal ? it : it.skip;
const because = hasTerminal ? "" : " (left out: needs script(1) of Linux)";

describe("One Ctrl-C in a terminal, under deno task,", () => {
  for (const script of SCRIPTS) {
    itInTerminal(`lets flags2_${script}.ts report${because}`, async () => {
      await using folder = new TemporaryFolder();
      await using site = new FaultSite({}, { holdAfter: 4 });
      const args = ["-s", site.url, "-m", "3", ...CODES];
      const words = commandLine(script, args);
      const command = words.slice(1)
        .map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ");
      const config = { tasks: { flags: `deno ${command}` } };
      const path = `${folder.path}/deno.json`;
      await Deno.writeTextFile(path, JSON.stringify(config));
      const child = new Deno.Command("script", {
        args: ["-qec", `'${Deno.execPath()}' task flags`, "/dev/null"],
        cwd: folder.path,
        stdin: "piped",
        stdout: "piped",
        stderr: "piped",
      }).spawn();
      const printed = outcome(child);
      await site.asked(4 + (script === "sequential" ? 1 : 3));
      const keyboard = child.stdin.getWriter();
      await keyboard.write(Uint8Array.of(3)); // Ctrl-C
      const { code, stdout } = await printed;
      await keyboard.close().catch(() => {});

      assertEquals(code, 130, stdout);
      const { flags, notTried } = parseReport(stdout.replaceAll("\r", ""));
      assertEquals([flags, notTried], [4, 6], stdout);
      assertMatch(stdout, /\n-{20}\r?\n/);
      await assertFlags(folder, site.requests.slice(0, 4));
    });
  }
});
