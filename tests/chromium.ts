/**
 * A real Chromium, controlled over its DevTools protocol.
 *
 * @module
 */

import { TemporaryFolder } from "../bench/scripts.ts";
import { spawn } from "./processes.ts";
import { eventually, has, itIf } from "./testing.ts";

/** The names of browsers; the first one starts fastest. */
const NAMES = ["chromium-headless-shell", "chromium", "google-chrome"];
const found = await Promise.all(NAMES.map((name) => has(name, "--version")));
const program = NAMES[found.indexOf(true)];

/** A test that needs a browser. */
export const itInChromium = itIf(program !== undefined, "Chromium");

/** The browser's reply to `Runtime.evaluate`. */
type Reply = { result: { value: unknown } };

/** Open a page in a browser of its own, which ends with the block. */
export async function openPage(url: string) {
  await using stack = new AsyncDisposableStack();
  const { path } = stack.use(new TemporaryFolder());
  const words = "--headless --disable-gpu --disable-quic --no-first-run " +
    "--disable-background-networking --disable-component-update " +
    "--disable-sync --remote-debugging-port=0 " +
    // The pages of the browser's address bar cost more than the page itself.
    "--disable-features=WebUIOmniboxPopup,WebUIOmniboxAimPopup " +
    (Deno.uid() === 0 ? "--no-sandbox " : "") + "about:blank";
  const command = [program!, `--user-data-dir=${path}`, ...words.split(" ")];
  const silent = { stdout: "null", stderr: "null" } as const;
  const browser = stack.use(spawn(command, silent));
  const port = await eventually(async () => {
    const file = `${path}/DevToolsActivePort`;
    return (await Deno.readTextFile(file).catch(() => "")).split("\n")[0];
  });
  const tabs = await fetch(`http://127.0.0.1:${port}/json/list`);
  const [tab] = await tabs.json();

  /** Uncaught errors of the page. */
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
    socket.send(JSON.stringify({ id: waiting.length, method, params }));
    return new Promise<Reply>((resolve) => waiting.push(resolve));
  };
  stack.defer(async () => { // This ends all processes of the browser.
    const closed = new Promise((resolve) => socket.onclose = resolve);
    call("Browser.close");
    await Promise.all([closed, browser.status]);
  });
  await call("Runtime.enable");
  await call("Page.navigate", { url });
  /** Evaluate an expression in the page until its value is truthy. */
  const until = <Value>(expression: string) =>
    eventually(async () => {
      const params = { expression, returnByValue: true };
      return (await call("Runtime.evaluate", params)).result.value as Value;
    });
  return Object.assign(stack.move(), { errors, until });
}
