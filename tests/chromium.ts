/**
 * A real Chromium, controlled over its DevTools protocol.
 *
 * @module
 */

import { TemporaryFolder } from "../bench/scripts.ts";
import { spawn } from "./processes.ts";
import { eventually, has } from "./testing.ts";

/** Return the name of an installed browser; the first one starts fastest. */
export async function findChromium(): Promise<string | undefined> {
  for (const name of ["chromium-headless-shell", "chromium", "google-chrome"]) {
    if (await has(name, "--version")) return name;
  }
}

/** A page in a browser of its own, which ends with the block. */
export interface Page extends AsyncDisposable {
  /** Uncaught errors of the page. */
  errors: unknown[];
  /** Evaluate an expression in the page until its value is truthy. */
  until: <Value>(expression: string) => Promise<Value>;
}

/** The browser's reply to `Runtime.evaluate`. */
type Reply = { result: { value: unknown } };

/** Start a browser and open a page. */
export async function openPage(program: string, url: string): Promise<Page> {
  await using stack = new AsyncDisposableStack();
  const { path } = stack.use(new TemporaryFolder());
  const words = [
    ...["--headless", "--disable-gpu", "--disable-quic", "--no-first-run"],
    ...["--disable-background-networking", "--disable-component-update"],
    ...["--disable-sync", "--remote-debugging-port=0"],
    // The pages of the browser's address bar cost more than the page itself.
    "--disable-features=WebUIOmniboxPopup,WebUIOmniboxAimPopup",
    ...Deno.uid() === 0 ? ["--no-sandbox"] : [],
    ...[`--user-data-dir=${path}`, "about:blank"],
  ];
  const silent = { stdout: "null", stderr: "null" } as const;
  const browser = stack.use(spawn([program, ...words], silent));
  const port = await eventually(async () => {
    const file = `${path}/DevToolsActivePort`;
    return (await Deno.readTextFile(file).catch(() => "")).split("\n")[0];
  });
  const tabs = await fetch(`http://127.0.0.1:${port}/json/list`);
  const [tab] = await tabs.json();

  const errors: unknown[] = [];
  const waiting: ((reply: Reply) => void)[] = [];
  const socket = new WebSocket(tab.webSocketDebuggerUrl);
  socket.onmessage = ({ data }) => {
    const { id, result, error, method, params } = JSON.parse(data);
    if (method === "Runtime.exceptionThrown") errors.push(params);
    waiting[id]?.(result ?? error);
  };
  await new Promise((resolve) => socket.onopen = resolve);
  const call = (method: string, params = {}) => {
    const message = { id: waiting.length, method, params };
    socket.send(JSON.stringify(message));
    return new Promise<Reply>((resolve) => waiting.push(resolve));
  };
  stack.defer(async () => { // This ends all processes of the browser.
    const closed = new Promise((resolve) => socket.onclose = resolve);
    call("Browser.close");
    await Promise.all([closed, browser.status]);
  });
  await call("Runtime.enable");
  await call("Page.navigate", { url });
  const until = async <Value>(expression: string) => {
    const params = { expression, returnByValue: true };
    const look = async () =>
      (await call("Runtime.evaluate", params)).result.value;
    return await eventually(look) as Value;
  };
  return Object.assign(stack.move(), { errors, until });
}
