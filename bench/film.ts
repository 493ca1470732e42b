/**
 * The chapter's film: the race of the scripts as an animated SVG, three
 * terminals with their bars at the speed at which they were measured.
 *
 * Every frame is in the picture; its animation, which is CSS alone, shows one
 * at a time. Without it, or for who prefers reduced motion, the last one stays.
 *
 * @module
 */

import { formatMeter } from "../lib/tqdm.ts";
import type { Script } from "../tests/scripts.ts";

/** What a script did, and when. */
export interface Recording {
  /** The script. */
  script: Script;
  /** The codes that it had before it. */
  codes: number;
  /** Requests at a time. */
  connections: number;
  /**
   * For each code the seconds after which its line came. If there are fewer
   * than `codes`, it was not watched to its end.
   */
  done: number[];
  /** Its last lines: the final report. */
  report: string[];
}

/** Seconds until the film starts again. */
const LENGTH = 12;

/** Frames a second, as many as `tqdm` draws. */
const RATE = 10;

/** The bar's characters; each is drawn eight pixels wide. */
const CELLS = 40;

const [WIDTH, LINE, PADDING] = [700, 20, 12];

/** Where the percentage ends, the bar begins, and the counts begin. */
const [PERCENTAGE, BAR, COUNTS] = [50, 57, 385];
const [BAR_TOP, BAR_HEIGHT] = [PADDING + LINE + 3, 15];

const STYLE = `
svg { --ground: #ffffff; --ink: #1f2328; --dim: #59636e; --rim: #d1d9e0;
  --screen: #f6f8fa; --groove: #e1e6eb;
  --sequential: #8250df; --threadpool: #0969da; --asyncio: #bc4c00; }
@media (prefers-color-scheme: dark) {
  svg { --ground: #0d1117; --ink: #f0f6fc; --dim: #9198a1; --rim: #3d444d;
    --screen: #151b23; --groove: #2a313c;
    --sequential: #ab7df8; --threadpool: #4493f8; --asyncio: #f0883e; }
}
text { font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas,
  "DejaVu Sans Mono", "Liberation Mono", monospace; fill: var(--ink); }
.ground { fill: var(--ground); }
.screen { fill: var(--screen); stroke: var(--rim); }
.groove { fill: var(--groove); }
.dim { fill: var(--dim); }
.end { text-anchor: end; }
.frame { visibility: hidden; }`;

/** Where the bar stood after so many seconds, in the three parts of its line. */
export function barAt(
  { codes, done }: Recording,
  seconds: number,
): { percentage: string; eighths: number; counts: string } {
  const n = done.filter((moment) => moment <= seconds).length;
  const elapsed = n === codes ? done.at(-1)! : seconds;
  const meter = { n, total: codes, elapsed };
  // Ten characters are the bar's; the counts keep what they need beside forty.
  const columns = formatMeter(meter).length - 10 + CELLS;
  const parts = formatMeter({ ...meter, columns }).split("|");
  const [percentage, bar, counts] = parts as [string, string, string];
  const eighths = [...bar].map((part) => " ▏▎▍▌▋▊▉█".indexOf(part));
  return {
    percentage: percentage.trim(),
    eighths: eighths.reduce((sum, part) => sum + part),
    counts: counts.trim(),
  };
}

/**
 * The film, as text. A script that came to its end shows its report; one that
 * did not is shown for no longer than it was watched.
 */
export function film(recordings: Recording[]): string {
  const watched = recordings.map(({ codes, done }) =>
    done.length < codes ? done.at(-1)! : Infinity
  );
  const frames = Math.floor(RATE * Math.min(LENGTH, ...watched));
  const loop = `${frames / RATE}s step-end infinite`;
  const animations: string[] = [];
  const terminals: string[] = [];
  let y = 34;
  for (const recording of recordings) {
    const { script } = recording;
    const { begins, lines, pictures } = terminal(recording, frames);
    const height = LINE * lines + 2 * PADDING;
    animations.push(
      `@keyframes ${script} { from { visibility: hidden; } ${
        percent(begins / frames)
      } { visibility: visible; } }`,
      `.${script} { animation: ${script} ${loop}; }`,
    );
    terminals.push(
      `<g transform="translate(0 ${y})" fill="var(--${script})">`,
      rect("screen", 0.5, 0.5, WIDTH - 1, height, 6),
      ...pictures,
      "</g>",
    );
    y += height + 10;
  }
  const title = `${
    recordings[0]!.codes
  } codes, each answered 0.5 s late, in real time`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" width="${WIDTH}" height="${y}" role="img">
<title>${title}</title>
<style>${STYLE}
@media (prefers-reduced-motion: no-preference) {
@keyframes frame { from { visibility: visible; } ${
    percent(1 / frames)
  }, to { visibility: hidden; } }
.frame { animation: frame ${loop}; animation-delay: calc(var(--at) * ${
    1 / RATE
  }s); }
${animations.join("\n")}
}</style>
${rect("ground", 0, 0, WIDTH, y)}
<text class="dim" x="${PADDING}" y="20">${title}</text>
${terminals.join("\n")}
</svg>
`;
}

/**
 * What is on a terminal: the command, a frame for each moment, and from the
 * frame `begins` on, what stays.
 */
function terminal(
  recording: Recording,
  frames: number,
): { begins: number; lines: number; pictures: string[] } {
  const { script, codes, connections, done, report } = recording;
  const ended = done.length === codes
    ? Math.ceil(RATE * done.at(-1)!)
    : Infinity;
  const begins = Math.min(ended, frames - 1);
  const shown = begins === ended ? report : [];
  const command = `$ deno run -A flags2_${script}.ts -s DELAY -e` +
    (connections > 1 ? ` -m ${connections}` : "");
  const pictures = [
    text(command, 0),
    rect("groove", BAR, BAR_TOP, 8 * CELLS, BAR_HEIGHT),
  ];
  for (let i = 0; i < begins; i++) {
    const picture = bar(recording, i / RATE);
    pictures.push(`<g class="frame" style="--at:${i}">${picture}</g>`);
  }
  pictures.push(
    `<g class="${script}">`,
    bar(recording, begins / RATE),
    ...shown.map((line, i) => text(line, i + 2)),
    "</g>",
  );
  return { begins, lines: 2 + shown.length, pictures };
}

/** The line of the bar, under the command. */
function bar(recording: Recording, seconds: number): string {
  const { percentage, eighths, counts } = barAt(recording, seconds);
  return text(percentage, 1, PERCENTAGE, "end") +
    rect("bar", BAR, BAR_TOP, eighths, BAR_HEIGHT) + text(counts, 1, COUNTS);
}

/** Text in a line of a terminal. */
function text(words: string, line: number, x = PADDING, name = "ink"): string {
  const escaped = words.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  const y = PADDING + LINE * line + 15;
  return `<text class="${name}" x="${x}" y="${y}">${escaped}</text>`;
}

function rect(
  name: string,
  x: number,
  y: number,
  width: number,
  height: number,
  rx = 0,
): string {
  return `<rect class="${name}" x="${x}" y="${y}" width="${width}" height="${height}" rx="${rx}"/>`;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(3)}%`;
}
