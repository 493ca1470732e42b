import { assertEquals, assertMatch } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { assertFlags, FaultSite } from "./fault_site.ts";
import {
  commandLine,
  itInTerminal,
  outcome,
  parseReport,
  quoted,
  SCRIPTS,
  TemporaryFolder,
} from "./testing.ts";

const CODES = "AA AB AC AD AE AF AG AH AI AJ".split(" ");

describe("One Ctrl-C in a terminal, under deno task,", () => {
  for (const script of SCRIPTS) {
    itInTerminal(`lets flags2_${script}.ts report`, async () => {
      await using folder = new TemporaryFolder();
      await using site = new FaultSite({}, { holdAfter: 4 });
      const args = ["-s", site.url, "-m", "3", "-t", "60", ...CODES];
      const command = `deno ${quoted(commandLine(script, args).slice(1))}`;
      const config = { tasks: { flags: command } };
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
