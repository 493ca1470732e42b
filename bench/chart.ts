/**
 * Draw the sweep of compare.ts: its rows as JSON in, SVG out. It has a
 * configuration of its own, chart.json, so that nobody who runs the scripts
 * downloads the plotting library.
 *
 * @module
 */

import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";
import type { Row } from "./compare.ts";

const rows: (Row & { floor: number })[] = JSON.parse(Deno.args[0]!);
const codes = rows[0]!.codes;
const connections = [...new Set(rows.map((row) => row.connections))];
const { document } = parseHTML("<html></html>");

const STYLE = `
.plot { --ground: #ffffff; --ink: #1f2328;
  --sequential: #8250df; --threadpool: #0969da; --asyncio: #bc4c00;
  color: var(--ink); background: var(--ground);
  font: 13px system-ui, sans-serif; }
@media (prefers-color-scheme: dark) {
  .plot { --ground: #0d1117; --ink: #f0f6fc;
    --sequential: #ab7df8; --threadpool: #4493f8; --asyncio: #f0883e; }
}`;

const SECONDS = [0.5, 1, 2, 5, 10, 20, 50, 100, 200];

const LEGEND: [text: string, color: string][] = [
  [`${codes} codes, each answered 0.5 s late`, "var(--ink)"],
  ["■ sequential", "var(--sequential)"],
  ["◆ threadpool", "var(--threadpool)"],
  ["● asyncio", "var(--asyncio)"],
  ["- - floor: ⌈codes / connections⌉ × 0.5 s", "var(--ink)"],
];
if (rows.some(({ run }) => run < codes)) {
  LEGEND.push(["hollow: extrapolated from fewer codes", "var(--ink)"]);
}

const SYMBOLS = {
  sequential: "square",
  threadpool: "diamond",
  asyncio: "circle",
};
const color = ({ script }: Row) => `var(--${script})`;
const xy = { x: "connections", y: "elapsed", stroke: color };

const svg = Plot.plot({
  document,
  className: "plot",
  width: 760,
  height: 460,
  marginLeft: 50,
  marginBottom: 45,
  marginTop: 35,
  x: { type: "log" },
  y: { type: "log" },
  r: { type: "identity" },
  marks: [
    Plot.gridY(SECONDS),
    Plot.axisX(connections, { label: "connections", text: String }),
    Plot.axisY(SECONDS, { label: "seconds", text: String }),
    Plot.line(rows, {
      ...xy,
      y: "floor",
      stroke: "var(--ink)",
      strokeDasharray: 4,
    }),
    Plot.line(rows, { ...xy, z: "script" }),
    Plot.dot(rows, {
      ...xy,
      symbol: ({ script }: Row) => SYMBOLS[script],
      fill: (row: Row) => row.run < codes ? "var(--ground)" : color(row),
      r: ({ script }: Row) => script === "sequential" ? 8 : 4.5,
    }),
    ...LEGEND.map(([text, fill], i) =>
      Plot.text([text], {
        frameAnchor: "top-right",
        dy: 6 + 20 * i,
        fill,
        stroke: "var(--ground)",
      })
    ),
  ],
}).outerHTML;
console.log(
  svg.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"')
    .replace("<style>", `<style>${STYLE}`),
);
