/**
 * What a server sees of the three styles: each request a bar on a lane, lanes as
 * many as are in flight at a time, all runs on one axis of time.
 *
 * @module
 */

import { SystemExit } from "../lib/exit.ts";
import type { LiveEvent } from "../site/live.ts";
import { startSite } from "../site/start.ts";
import {
  commandLine,
  freePort,
  type Script,
  TemporaryFolder,
} from "./scripts.ts";
import { rect, svg, text } from "./svg.ts";

/** A request: code, answer, lane from 0, and seconds after the first request. */
export interface Request {
  cc: string;
  status: number;
  lane: number;
  from: number;
  to: number;
}

/** A run of a script, as its server saw it. */
export interface Run {
  /** The script, its site and its number of connections. */
  of: [script: Script, label: "DELAY" | "ERROR", connections: number];
  /** In the order in which they were answered. */
  requests: Request[];
}

/**
 * The requests on their lanes: each on the one that has been free for longest,
 * so that those which are answered at once do not all lie on the first.
 *
 * @param lanes How many there are; a request that finds none free gets one more.
 */
export function inLanes(events: LiveEvent[], lanes: number): Request[] {
  const free = Array.from({ length: lanes }, (_, lane) => lane);
  const asked = new Map<number, { lane: number; from: number }>();
  const requests: Request[] = [];
  for (const { id, cc, status, at } of events) {
    const seconds = (at - events[0]!.at) / 1000;
    if (status === undefined) {
      asked.set(id, { lane: free.shift() ?? lanes++, from: seconds });
    } else {
      const { lane, from } = asked.get(id)!;
      requests.push({ cc, status, lane, from, to: seconds });
      free.push(lane);
    }
  }
  return requests;
}

/** Run a script for the first codes of all, on a site of its own, watched. */
export async function watch(
  of: Run["of"],
  signal: AbortSignal,
  codes = 26,
): Promise<Run> {
  const [script, label, connections] = of;
  const port = freePort();
  await using _ = await startSite(label, port, signal);
  await using folder = new TemporaryFolder();
  const base = `http://localhost:${port}`;
  const { body } = await fetch(`${base}/events`, { signal });
  const args = ["-e", "-l", codes, "-m", connections, "-s", `${base}/flags`];
  const [program, ...words] = commandLine(script, args.map(String));
  const options = { args: words, cwd: folder.path, signal };
  const { success } = await new Deno.Command(program!, options).output();
  signal.throwIfAborted();
  if (!success) throw new SystemExit(`flags2_${script}.ts failed`);
  let told = "";
  for await (const chunk of body!.pipeThrough(new TextDecoderStream())) {
    told += chunk;
    const events = [...told.matchAll(/^data: (.*)\n/gm)];
    if (events.length < 2 * codes) continue; // Two for each code.
    const parsed = events.map(([, json]) => JSON.parse(json!));
    return { of, requests: inLanes(parsed, connections) };
  }
  throw new SystemExit("the site has stopped telling");
}

/** What became of a request; the same words are CSS classes. */
const FATES = ["flags", "not found", "errors"] as const;

const fateOf = ({ status }: Request) =>
  status === 200 ? "flags" : status === 404 ? "not found" : "errors";
const classOf = (fate: string) => fate.replace(" ", "-");

const [WIDTH, MARGIN, HEAD, CAPTION, LANE] = [900, 16, 64, 22, 13];

/** The least that is seen of an answer that came at once, in pixels. */
const SLIVER = 3;

const STYLE = `
text { font: 13px system-ui, -apple-system, "Segoe UI", "Noto Sans",
  "DejaVu Sans", sans-serif; }
.title { font-size: 15px; font-weight: 600; }
.caption { fill: var(--dim); stroke: var(--ground); stroke-width: 5px;
  paint-order: stroke; }
.script { fill: var(--ink); font-weight: 600; }
.code { font-size: 9px; text-anchor: middle; }
text.flags, text.errors { fill: #ffffff; }
.tick { fill: var(--dim); text-anchor: middle; }
.grid { fill: var(--rim); opacity: 0.6; }
rect.flags { fill: var(--flags); }
rect.not-found { fill: var(--rim); }
rect.errors { fill: var(--errors); }`;

/** The runs as a picture. */
export function lanes(runs: Run[]): string {
  const title = "26 requests in three styles, as their server sees them";
  const key = "A bar is a request, from question to answer; those below each " +
    "other are in flight at the same time.";
  const longest = Math.max(...runs.map(lasted));
  const scale = (WIDTH - 2 * MARGIN) / longest;
  const bars: string[] = [];
  let y = HEAD;
  for (const run of runs) {
    bars.push(
      `<text class="caption" x="${MARGIN}" y="${y + 16}">` +
        `<tspan class="script">${run.of[0]}</tspan> ${caption(run)}</text>`,
    );
    y += CAPTION;
    const ends: number[] = [];
    for (const request of run.requests) {
      const { lane, from, to, cc } = request;
      // What came at once is seen, too, and moves what follows on its lane.
      const left = Math.max(MARGIN + scale * from, (ends[lane] ?? 0) + 1);
      const right = Math.max(MARGIN + scale * to, left + SLIVER);
      const [top, width] = [y + LANE * lane, right - left];
      ends[lane] = right;
      const fate = classOf(fateOf(request));
      bars.push(rect(fate, left, top, width, LANE - 2));
      if (width < 16) continue;
      const middle: [number, number] = [left + width / 2, top + 9];
      bars.push(text(`code ${fate}`, middle, cc.toUpperCase()));
    }
    y += LANE * ends.length + 10;
  }
  const axis = Array.from({ length: Math.floor(longest) + 1 }, (_, second) => {
    const x = MARGIN + scale * second;
    return rect("grid", x - 0.5, HEAD, 1, y - HEAD) +
      text("tick", [x, y + 16], second ? `${second}` : "0 s");
  });
  const heading = text("title", [MARGIN, 25], title);
  const legend = FATES.map((fate, i) => {
    const x = WIDTH - MARGIN - [215, 150, 55][i]!;
    return rect(classOf(fate), x, 14, 11, 11) + text("ink", [x + 17, 24], fate);
  });
  const description = runs.map((run) => `${run.of[0]} ${caption(run)}.`);
  return svg(
    [WIDTH, y + 26],
    [title, [key, ...description].join("\n")],
    STYLE,
    [heading, text("dim", [MARGIN, 47], key), ...legend, ...axis, ...bars],
  );
}

/** Seconds from the first question to the last answer. */
function lasted({ requests }: Run): number {
  return Math.max(...requests.map(({ to }) => to));
}

/** `on DELAY, 10 at a time: 1.59 s, 11 flags, 15 not found` */
function caption(run: Run): string {
  const [, label, connections] = run.of;
  const counts = FATES.map((fate) => {
    const n = run.requests.filter((request) => fateOf(request) === fate).length;
    return n && `${n} ${n === 1 ? fate.replace(/s$/, "") : fate}`;
  });
  const parts = [`${lasted(run).toFixed(2)} s`, ...counts.filter(Boolean)];
  return `on ${label}, ${connections} at a time: ${parts.join(", ")}`;
}
