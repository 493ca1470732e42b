/**
 * Text and rectangles on a light or dark ground, as SVG.
 *
 * @module
 */

/** The colours of GitHub's pages, where most readers see the pictures. */
const STYLE = `
svg { --ground: #ffffff; --ink: #1f2328; --dim: #59636e; --rim: #d1d9e0;
  --screen: #f6f8fa; --flags: #1a7f37; --errors: #cf222e;
  --sequential: #8250df; --threadpool: #0969da; --asyncio: #bc4c00; }
@media (prefers-color-scheme: dark) {
  svg { --ground: #0d1117; --ink: #f0f6fc; --dim: #9198a1; --rim: #3d444d;
    --screen: #151b23; --flags: #238636; --errors: #da3633;
    --sequential: #ab7df8; --threadpool: #4493f8; --asyncio: #f0883e; }
}
text { fill: var(--ink); }
.ground { fill: var(--ground); }
.dim { fill: var(--dim); }`;

/**
 * Return a picture as an SVG file. It has a size in pixels, a title and a description
 * for readers who cannot see it, its own CSS, and its elements in drawing order.
 */
export function svg(
  [width, height]: [number, number],
  [title, description]: [string, string],
  style: string,
  elements: string[],
): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-labelledby="title description">
<title id="title">${escaped(title)}</title>
<desc id="description">${escaped(description)}</desc>
<style>${STYLE}${style}</style>
${rect("ground", 0, 0, width, height)}
${elements.join("\n")}
</svg>
`;
}

/** Return a line of text with a CSS class; `more` are attributes. */
export function text(
  name: string,
  [x, y]: [number, number],
  words: string,
  more = "",
): string {
  const at = `x="${round(x)}" y="${round(y)}"`;
  return `<text class="${name}" ${at}${more}>${escaped(words)}</text>`;
}

/** Return a rectangle with a CSS class; `box` is its left, top, width and height. */
export function rect(name: string, ...box: number[]): string {
  const [x, y, width, height] = box.map(round);
  return `<rect class="${name}" x="${x}" y="${y}" width="${width}" height="${height}"/>`;
}

const round = (pixels: number) => Math.round(100 * pixels) / 100;
const escaped = (words: string) =>
  words.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
