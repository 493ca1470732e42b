/**
 * A real Chromium, over its DevTools protocol.
 *
 * @module
 */

import { eventually, has, spawn, TemporaryFolder } from "./testing.ts";

const NAMES = ["chromium", "chromium-browser", "google-chrome"];

/** The name of the browser that is installed here, if there is one. */
export async function findChromium(): Promise<string | undefined> {
  for (const name of NAMES) if (await has(name, "--version")) return name;
}

/** A page in a browser of its own, which is gone when the block is left. */
export class Chromium implements AsyncDisposable {
  /** What went wrong in the page. */
  readonly errors: unknown[] = [];
  readonly #profile = new TemporaryFolder();
  readonly #process: Deno.ChildProcess;
  readonly #waiting = new Map<number, (result: unknown) => void>();
  #socket: WebSocket | undefined;
  #sent = 0;

  /** Start a browser. */
  constructor(program: string) {
    this.#process = spawn([
      program,
      ...["--headless", "--disable-gpu", "--disable-quic", "--no-first-run"],
      ...["--disable-background-networking", "--disable-component-update"],
      ...["--disable-sync", "--remote-debugging-port=0"],
      // The pages of its own address bar cost more than the one that is shown.
      "--disable-features=WebUIOmniboxPopup,WebUIOmniboxAimPopup",
      ...Deno.uid() === 0 ? ["--no-sandbox"] : [],
      `--user-data-dir=${this.#profile.path}`,
      "about:blank",
    ], { stdout: "null", stderr: "null" });
  }

  /** Show a page. */
  async open(url: string): Promise<void> {
    const file = `${this.#profile.path}/DevToolsActivePort`;
    const port = await eventually(async () =>
      (await Deno.readTextFile(file).catch(() => "")).split("\n")[0]
    );
    const tabs = await fetch(`http://127.0.0.1:${port}/json/list`);
    const [tab] = await tabs.json();
    this.#socket = new WebSocket(tab.webSocketDebuggerUrl);
    this.#socket.onmessage = ({ data }) => {
      const { id, result, error, method, params } = JSON.parse(data);
      if (method === "Runtime.exceptionThrown") this.errors.push(params);
      this.#waiting.get(id)?.(result ?? error);
    };
    await new Promise((resolve) => this.#socket!.onopen = resolve);
    await this.#call("Runtime.enable");
    await this.#call("Page.navigate", { url });
  }

  /** The value of an expression in the page, once it is true. */
  async until<Value>(expression: string): Promise<Value> {
    const params = { expression, returnByValue: true };
    return await eventually(async () =>
      (await this.#call("Runtime.evaluate", params)).result.value
    );
  }

  // deno-lint-ignore no-explicit-any
  #call(method: string, params = {}): Promise<any> {
    const id = ++this.#sent;
    this.#socket!.send(JSON.stringify({ id, method, params }));
    return new Promise((resolve) => this.#waiting.set(id, resolve));
  }

  /** Ends it, with all its processes, and removes its profile. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#socket) {
      const closed = new Promise((resolve) => this.#socket!.onclose = resolve);
      this.#call("Browser.close");
      await closed;
    } else this.#process.kill(); // It was not shown a page.
    await this.#process.status;
    await this.#profile[Symbol.asyncDispose]();
  }
}
