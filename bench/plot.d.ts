/**
 * Types of the two libraries that draw the chart. They are no dependencies of
 * the scripts, which would download them at their first run: only chart.json
 * maps their names.
 */

declare module "@observablehq/plot" {
  type Options = Record<string, unknown>;
  type Mark = object;
  export function plot(options: Options): { outerHTML: string };
  export function axisX(data: number[], options: Options): Mark;
  export function axisY(data: number[], options: Options): Mark;
  export function gridY(data: number[]): Mark;
  export function dot(data: unknown[], options: Options): Mark;
  export function line(data: unknown[], options: Options): Mark;
  export function text(data: unknown[], options: Options): Mark;
}

declare module "linkedom" {
  export function parseHTML(html: string): { document: object };
}
