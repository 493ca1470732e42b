import { assert, assertEquals, assertMatch } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import {
  freePort,
  parseReport,
  run,
  SCRIPTS,
  TemporaryFolder,
} from "./testing.ts";

for (const script of SCRIPTS) {
  describe(`flags2_${script}.ts`, () => {
    it("downloads the top 20 from LOCAL by default", async () => {
      await using folder = new TemporaryFolder();
      const port = freePort();
      const servers = { LOCAL: `http://localhost:${port}/flags` };
      const { code, stdout, stderr } = await run(script, [], {
        cwd: folder.path,
        servers,
      });
      console.log(stdout, stderr);
      assertEquals(code, 0);
      assertMatch(stdout, /^Searching for 20 flags: from BD to VN$/m);
      assertEquals(parseReport(stdout).flags, 20);
      assert(stderr);
    });
  });
}
