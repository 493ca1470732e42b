/**
 * The chapter's film: the race of the scripts as an animated SVG that shows three
 * terminals in real time.
 *
 * Each terminal is a strip of screens, one below the other, and CSS moves the strip.
 * Without animation, or for readers who prefer reduced motion, the last screen stays.
 *
 * @module
 */

import type { Report, Script } from "./scripts.ts";
import { rect, svg, text } from "./svg.ts";

/** A run of a script in a terminal of 80 columns. */
export interface Race {
  /** The script and its number of connections. */
  setup: [script: Script, connections: number];
  command: string;
  /** The pieces of its output, with the seconds after its start. */
  output: { at: number; text: string }[];
  report: Report;
}

/** Seconds until the film starts again; later output is not in the film. */
const LENGTH = 16;

/** The width of a column, the height of a line and the padding in pixels. */
const [CELL, LINE, PADDING] = [8, 18, 12];
const WIDTH = 80 * CELL + 2 * PADDING;

const STYLE = `
text { font: 13.3px ui-monospace, SFMono-Regular, Menlo, Consolas,
  "DejaVu Sans Mono", "Liberation Mono", monospace; }
.screen { fill: var(--screen); stroke: var(--rim); rx: 6px; }`;

/** Return the screens of a terminal, each from the line of the bar to the end. */
export function screens(
  output: Race["output"],
): { at: number; lines: string[] }[] {
  let [shown, end] = ["", ""];
  return output.map(({ at, text }) => {
    // After a carriage return the line is drawn again.
    const added = text.replaceAll("\x1b[K", "").replaceAll("^C", "");
    shown = (shown + added).replaceAll("\r\n", "\n")
      .replace(/[^\n]*\r(?=[^\n])/g, "");
    if (text.includes("^C")) end = "^C"; // The film keeps it on the line.
    const [, bar, rest = ""] = /^(.*%\|.*)$([^]*)/m.exec(shown.trimEnd()) ?? [];
    return { at, lines: bar ? `${bar}${end}${rest}`.split("\n") : [] };
  }).filter(({ at, lines }) => lines.length > 0 && at < LENGTH);
}

/** Return the film as an SVG file. */
export function film(races: Race[]): string {
  const title =
    "676 codes, each answered 0.5 s late: what the terminal showed, in real time";
  const elements = [text("dim", [PADDING, 20], title)];
  const animations: string[] = [];
  const reports: string[] = [];
  let y = 34;
  for (const { setup: [script], command, output } of races) {
    const strip = screens(output);
    const height = LINE * Math.max(...strip.map(({ lines }) => lines.length));
    const steps = [{ at: 0 }, ...strip].map(({ at }, i) => {
      const share = (100 * at / LENGTH).toFixed(2);
      return `${share}% { transform: translateY(${height * (1 - i)}px); }`;
    });
    const last = `translate(0 ${-height * (strip.length - 1)})`;
    animations.push(
      `@keyframes ${script} { ${steps.join("\n")} }`,
      `.${script} { animation: ${script} ${LENGTH}s step-end infinite; }`,
    );
    elements.push(
      `<g transform="translate(${PADDING} ${y + PADDING})">`,
      rect("screen", 0.5 - PADDING, 0.5 - PADDING, WIDTH - 1, height + 42),
      row(`$ ${command}`, 0),
      `<svg y="${LINE}" width="${80 * CELL}" height="${height}">`,
      `<g class="${script}" fill="var(--${script})" transform="${last}">`,
      ...strip.flatMap(({ lines }, i) =>
        lines.map((line, j) => row(line, i * height + j * LINE))
      ),
      "</g></svg></g>",
    );
    reports.push([command, ...strip.at(-1)!.lines.slice(2)].join(" "));
    y += height + 52;
  }
  const style = `${STYLE}
@media (prefers-reduced-motion: no-preference) {
${animations.join("\n")}
}`;
  return svg([WIDTH, y], [title, reports.join("\n")], style, elements);
}

/** Return a line of a terminal; the bar is drawn, because fonts differ in blocks. */
function row(line: string, y: number): string {
  const [, before = line, bar = "", after = ""] =
    line.match(/^(.*%\|)([ ▏▎▍▌▋▊▉█]+)(\|.*)$/) ?? [];
  const eighths = [...bar].map((part) => " ▏▎▍▌▋▊▉█".indexOf(part))
    .reduce((sum, part) => sum + part, 0);
  return words(before, 0, y) + (bar &&
    rect("bar", CELL * before.length, y + 2, eighths * CELL / 8, LINE - 3) +
      words(after, before.length + bar.length, y));
}

/** Return text from a column on, as wide as its columns in any font. */
function words(line: string, column: number, y: number): string {
  const shown = line.trimStart();
  const x = CELL * (column + line.length - shown.length);
  const length = ` textLength="${CELL * shown.length}"`;
  return text("ink", [x, y + 14], shown, length);
}
