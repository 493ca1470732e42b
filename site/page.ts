/**
 * The page that a site shows to a browser: its flags with the names of their
 * countries, and what becomes of requests there. It needs no script and nothing
 * from elsewhere.
 *
 * @module
 */

import type { Site } from "./sites.ts";

const STYLE = `
:root { color-scheme: light dark; font: 1rem/1.4 system-ui, sans-serif; }
body { max-width: 72rem; margin: auto; padding: 1rem; }
h1 { margin: 0; font-size: 1.5rem; }
ul {
  display: grid; gap: 1.25rem 1rem; padding: 0; list-style: none;
  grid-template-columns: repeat(auto-fill, minmax(7rem, 1fr));
}
a { color: inherit; text-decoration: none; overflow-wrap: anywhere; }
a:hover { text-decoration: underline; }
img {
  display: block; box-sizing: border-box; width: 100%; margin-bottom: .25rem;
  aspect-ratio: 3 / 2; object-fit: contain;
  border: 1px solid color-mix(in srgb, currentColor 25%, transparent);
}
`;

/**
 * The page, as HTML.
 *
 * @example
 * ```ts
 * import { flagsPage } from "./page.ts";
 * import { assertStringIncludes } from "@std/assert";
 *
 * const site = { port: 8003, errors: 0.25, late: 0.5, delay: 0.5 };
 * assertStringIncludes(
 *   flagsPage(site, [["br", "Brazil"]]),
 *   "25% fail, 50% are answered 0.5 s late, 25% are answered at once",
 * );
 * ```
 *
 * @param site What becomes of the requests, and on which port.
 * @param flags Lower-case country codes, each with the name of the country.
 * @returns The text of the page.
 */
export function flagsPage(
  { port, errors, late, delay }: Site,
  flags: [cc: string, country: string][],
): string {
  const fates: [share: number, what: string][] = [
    [errors, "fail"],
    [late, `are answered ${delay} s late`],
    [1 - errors - late, "are answered at once"],
  ];
  const shares = fates.filter(([share]) => share > 0)
    .map(([share, what]) => `${Math.round(1000 * share) / 10}% ${what}`);
  const items = flags.map(([cc, country]) =>
    `<li><a href="/flags/${cc}/${cc}.gif">` +
    `<img src="/flags/${cc}/${cc}.gif" alt="" loading="lazy">` +
    `<b>${cc.toUpperCase()}</b> ${escaped(country)}</a></li>`
  );
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Flags at localhost:${port}</title>
<link rel="icon" href="data:,">
<style>${STYLE}</style>
</head>
<body>
<h1>${flags.length} flags at localhost:${port}</h1>
<p>Of the requests to this site ${shares.join(", ")}.</p>
<ul>
${items.join("\n")}
</ul>
</body>
</html>
`;
}

const escaped = (text: string) =>
  text.replace(/[&<>"]/g, (char) => `&#${char.charCodeAt(0)};`);
