/**
 * The page of a site: a browser sees there what becomes of each request, as it
 * happens.
 *
 * @module
 */

import { answerFile, readFile } from "./files.ts";
import type { Live } from "./live.ts";
import { readCodes, ROOT, type Site, SITES } from "./sites.ts";

const FLAGS = `${ROOT}/flags`;

/**
 * Answer a request for the page, or for what it needs: at once, whatever becomes
 * of others.
 *
 * @param path What is asked for, from its first slash.
 * @returns Nothing when that belongs to no page.
 */
export function answerPage(
  path: string,
  site: Site,
  live: Live,
): Response | undefined {
  const [pathname] = path.split("?", 1);
  switch (pathname) {
    case "/":
    case "/flags":
    case "/flags/":
      return answerFile(`${ROOT}/site`, "page.html", (bytes) => {
        const html = new TextDecoder().decode(bytes);
        const json = JSON.stringify(aboutSite(site)).replaceAll("<", "\\u003c");
        return new TextEncoder().encode(html.replace("{}", () => json));
      });
    case "/page/page.js":
      return answerFile(`${ROOT}/site`, "page.js");
    case "/page/events":
      return live.watch(true);
    case "/events":
      return live.watch(false);
  }
  const cc = pathname?.match(/^\/page\/([a-z]{2})\.gif$/)?.[1];
  return cc ? answerFile(FLAGS, `${cc}/${cc}.gif`) : undefined;
}

/** What the page's script is told. */
function aboutSite({ port, errors, late, delay }: Site) {
  const rest = 1 - errors - late;
  const fates: [share: number, what: string][] = [
    [errors, "fail"],
    [late, `are answered ${delay} s late`],
    [rest, "are answered at once" + (rest < 1 ? "" : ", one after the other")],
  ];
  const shares = fates.filter(([share]) => share > 0).map(([share, what]) =>
    share < 1 ? `${Math.round(1000 * share) / 10}% ${what}` : what
  );
  return {
    host: `localhost:${port}`,
    label: Object.keys(SITES).find((label) => SITES[label]!.port === port),
    fates: `${shares[1] ? "Of all requests," : "All requests"} ${
      shares.join(", ")
    }.`,
    countries: Object.fromEntries(
      readCodes().map((cc) => [cc, country(cc.toLowerCase())]),
    ),
  };
}

/** The name of a country; a flag without one is shown all the same. */
function country(cc: string): string {
  try {
    const metadata = readFile(FLAGS, `${cc}/metadata.json`);
    return String(JSON.parse(new TextDecoder().decode(metadata)).country ?? "");
  } catch {
    return "";
  }
}
