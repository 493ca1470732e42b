/**
 * The requests of the three scripts as an SVG: each request is a bar on a lane, and a
 * run has as many lanes as requests in flight. All runs have one axis of time.
 *
 * @module
 */

import { SystemExit } from "../lib/exit.ts";
import { type Kind, layOut, toBars } from "../site/lanes.js";
import { startSite } from "../site/start.ts";
import {
  commandLine,
  freePort,
  type Script,
  TemporaryFolder,
} from "./scripts.ts";
import { rect, svg, text } from "./svg.ts";

/** A run of a script with the lanes that `layOut` gave to its requests. */
export interface Run extends ReturnType<typeof layOut> {
  /** The script, its site and its number of connections. */
  setup: [script: Script, label: "DELAY" | "ERROR", connections: number];
}

/** Run a program in a folder to its end, and return its output. */
export async function runProgram(
  cwd: string,
  words: string[],
  signal: AbortSignal,
): Promise<string> {
  const [program, ...args] = words as [string, ...string[]];
  const command = new Deno.Command(program, { args, cwd, signal });
  const { success, stdout, stderr } = await command.output();
  signal.throwIfAborted();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  if (!success) throw new SystemExit(`${program} failed: ${text(stderr)}`);
  return text(stdout);
}

/** Run a script for the first of all codes, and watch the requests at its site. */
export async function watch(
  setup: Run["setup"],
  signal: AbortSignal,
  codes = 26,
): Promise<Run> {
  const [script, label, connections] = setup;
  const port = freePort();
  await using _ = await startSite(label, port, signal);
  await using folder = new TemporaryFolder();
  const base = `http://localhost:${port}`;
  const { body } = await fetch(`${base}/page/events`, { signal });
  const args = ["-e", "-l", codes, "-m", connections, "-s", `${base}/flags`];
  await runProgram(folder.path, commandLine(script, args.map(String)), signal);
  let received = "";
  for await (const chunk of body!.pipeThrough(new TextDecoderStream())) {
    received += chunk;
    const events = [...received.matchAll(/^data: ({"id".*)\n/gm)];
    if (events.length < 2 * codes) continue; // Two for each code.
    return { setup, ...layOut(events.map(([, json]) => JSON.parse(json!))) };
  }
  throw new SystemExit("the site has ended the stream of events");
}

/** The kinds of answers, and the words for them. */
const KINDS = ["flag", "none", "error"] as const;
const WORDS = { flag: "flags", none: "not found", error: "errors" };

const [WIDTH, MARGIN, HEAD, CAPTION, LANE] = [700, 12, 72, 22, 16];

const STYLE = `
text { font: 13px system-ui, -apple-system, "Segoe UI", "Noto Sans",
  "DejaVu Sans", sans-serif; }
.title { font-size: 15px; font-weight: 600; }
.caption { fill: var(--dim); stroke: var(--ground); stroke-width: 5px;
  paint-order: stroke; }
.script { fill: var(--ink); font-weight: 600; }
.code { font-size: 12px; text-anchor: middle; }
text.flag, text.error { fill: #ffffff; }
.tick { fill: var(--dim); text-anchor: middle; }
.grid { fill: var(--rim); opacity: 0.6; }
rect.flag { fill: var(--flags); }
rect.none { fill: var(--rim); }
rect.error { fill: var(--errors); }`;

/** Return the runs as an SVG file. */
export function lanes(runs: Run[]): string {
  const title = "26 requests in three styles, as their server sees them";
  const key = "A bar is one request, from its arrival to its answer. " +
    "Requests whose bars overlap in time are in flight together.";
  const longest = Math.max(...runs.map(lasted));
  const width = WIDTH - 2 * MARGIN;
  const scale = width / longest;
  const bars: string[] = [];
  let y = HEAD;
  for (const run of runs) {
    const name = `<tspan class="script">${run.setup[0]}</tspan>`;
    const at = `x="${MARGIN}" y="${y + 16}"`;
    bars.push(`<text class="caption" ${at}>${name} ${caption(run)}</text>`);
    y += CAPTION;
    for (const bar of toBars(run.requests, lasted(run), scale, width)) {
      const { cc, kind, lane, left, right } = bar;
      const [x, top] = [MARGIN + left, y + LANE * lane];
      bars.push(barOf(kind, x, top, right - left));
      if (right - left < 18) continue;
      const middle: [number, number] = [x + (right - left) / 2, top + 12];
      bars.push(text(`code ${kind}`, middle, cc.toUpperCase()));
    }
    y += LANE * run.lanes + 10;
  }
  const axis = Array.from({ length: longest / 1000 + 1 }, (_, second) => {
    const x = MARGIN + 1000 * scale * second;
    return rect("grid", x - 0.5, HEAD, 1, y - HEAD) +
      text("tick", [x, y + 16], second ? `${second}` : "0 s");
  });
  const heading = text("title", [MARGIN, 22], title);
  const legend = KINDS.map((kind, i) => {
    const x = MARGIN + [0, 75, 175][i]!;
    return barOf(kind, x, 50, 14) + text("ink", [x + 20, 62], WORDS[kind]);
  });
  const description = [key].concat(
    runs.map((run) => `${run.setup[0]} ${caption(run)}. ${barsOf(run)}`),
  ).join("\n");
  const line = text("dim", [MARGIN, 42], key);
  const elements = [heading, line, ...legend, ...axis, ...bars];
  return svg([WIDTH, y + 26], [title, description], STYLE, elements);
}

/** Draw a bar; two lines mark that of an error for readers without colours. */
function barOf(kind: Kind, x: number, y: number, width: number): string {
  const lines = kind === "error" ? [y + 2, y + LANE - 4] : [];
  return rect(kind, x, y, width, LANE - 1) +
    lines.map((line) => rect("ground", x, line, width, 1)).join("");
}

/** Return the milliseconds from the first request to the last answer. */
function lasted({ requests }: Run): number {
  return Math.max(...requests.map(({ to = 0 }) => to));
}

/** Return `on DELAY, 10 at a time: 1.59 s, 11 flags, 15 not found`. */
function caption(run: Run): string {
  const { setup: [, label, connections], counts } = run;
  const seconds = `${(lasted(run) / 1000).toFixed(2)} s`;
  const outcomes = KINDS.filter((kind) => counts[kind]).map((kind) => {
    const n = counts[kind];
    return `${n} ${n === 1 ? WORDS[kind].replace(/s$/, "") : WORDS[kind]}`;
  });
  const parts = [seconds, ...outcomes].join(", ");
  return `on ${label}, ${connections} at a time: ${parts}`;
}

/** Return `2 to 3 bars on each of 10 lanes.` */
function barsOf({ requests, lanes }: Run): string {
  const bars = Array<number>(lanes).fill(0);
  for (const { lane } of requests) bars[lane]!++;
  const ends = new Set([Math.min(...bars), Math.max(...bars)]);
  const where = lanes > 1 ? ` on each of ${lanes} lanes` : "";
  return `${[...ends].join(" to ")} bars${where}.`;
}
