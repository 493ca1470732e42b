import { assert, assertEquals } from "@std/assert";
import { delay } from "@std/async/delay";
import { describe, it } from "@std/testing/bdd";
import { STD } from "../bench/scripts.ts";
import { readTo } from "./fault_site.ts";
import { outcome, spawn } from "./processes.ts";
import { sharedProject } from "./projects.ts";
import { eventually, itOnLinux } from "./testing.ts";

const { path, ports: [port] } = await sharedProject();
const hostname = "127.0.0.1";

/** Start a site of a copy of the project. */
async function start(within: string[] = []) {
  const words = ["run", "-A", ...STD, `${path}/site/serve.ts`, "LOCAL"];
  const site = spawn([...within, Deno.execPath(), ...words]);
  await eventually(lengthOfFlag);
  return site;
}

/** Request a flag on a new connection; return its length, or 0 after an error. */
const lengthOfFlag = () =>
  fetch(`http://${hostname}:${port}/flags/br/br.gif`, {
    headers: { connection: "close" },
  }).then(async (answer) => (await answer.bytes()).length, () => 0);

/** Assert that a site serves a flag and has printed no error, and end the site. */
async function assertWell(site: Deno.ChildProcess) {
  assertEquals(await eventually(lengthOfFlag), 3402);
  site.kill();
  assertEquals((await outcome(site)).stderr, "");
}

/** Send a request, and return the answer that arrives within half a second. */
async function send(text: string): Promise<string> {
  using connection = await Deno.connect({ hostname, port });
  await connection.write(new TextEncoder().encode(text));
  const timer = setTimeout(() => connection.closeWrite(), 500);
  try {
    return await readTo("\r\n\r\n", connection, 4096);
  } catch (error) {
    assert(error instanceof Deno.errors.ConnectionReset, `${error}`);
    return "";
  } finally {
    clearTimeout(timer);
  }
}

describe("a site under attack", () => {
  it("serves no file from outside flags/ and survives invalid requests", async () => {
    await using site = await start();
    const paths = `/flags/../deno.json /flags/..%2fdeno.json
      /flags/%2e%2e/deno.json /flags/%252e%252e/deno.json
      /flags/....//deno.json /flags/ad/../../deno.json
      /flags/ad/..%5c..%5cdeno.json /flags/ad\\..\\..\\deno.json
      /flags//etc/passwd //etc/passwd /etc/passwd
      /flags/ad/ad.gif%00.json /flags/ad/%00 /flags/br/br.gif/
      /flags/br/br.gif/../../../deno.json /flags/br/ad.gif /flags/br/br.gif;x
      /flags/%62r/br.gif /deno.json?/flags/br/br.gif /x/flags/br/br.gif
      /deno.json#/flags/br/br.gif http://localhost/deno.json
      /page/../deno.json /page/page.ts /page/..%2fserve.ts /page/br/br.gif
      file:///etc/passwd * // /flags// /index.html /flags/index.html
      /flags/xx/xx.gif /flags/ad/ad.png /flags/AD/AD.gif /page/page.html`.split(
      /\s+/,
    );
    paths.push(`/flags/${"../".repeat(20000)}etc/passwd`);
    const rest = "HTTP/1.1\r\nHost: localhost\r\n\r\n";
    const requests = paths.map((path) => `GET ${path} ${rest}`);
    requests.push("GET / HTTP/9.9\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    for (const request of [...requests, "\0".repeat(100)]) {
      const answer = await send(request);
      assert(!/^HTTP\/\S+ [23]/.test(answer), request.slice(0, 80) + answer);
    }
    const both = "Transfer-Encoding: chunked\r\nContent-Length: 5";
    const large = `X: ${"x".repeat(100_000)}`;
    for (const header of ["Host: [[[", "Host: a/b?c#d", both, large]) {
      await send(`GET /flags/br/br.gif HTTP/1.1\r\n${header}\r\n\r\n`);
    }
    await assertWell(site);
  });

  itOnLinux("still serves after it ran out of open files", async () => {
    const within = ["sh", "-c", 'ulimit -n 64 && exec "$@"', "sh"];
    await using site = await start(within);
    const connections: Deno.Conn[] = [];
    for (let i = 0; i < 200; i++) {
      const connected = Deno.connect({ hostname, port });
      // The site cannot accept all of them.
      await connected.then((it) => connections.push(it), () => {});
    }
    await delay(200);
    for (const connection of connections) connection.close();
    await assertWell(site);
  });
});
