#!/usr/bin/env -S deno run -P=draw
/**
 * Draws the 194 flags into `flags/`, beside the scripts, in the layout of any
 * web root: `flags/ad/ad.gif`, `flags/ad/metadata.json`.
 *
 * @module
 */

import { initWasm, Resvg } from "@resvg/resvg-wasm";
import resvgWasm from "@resvg/resvg-wasm/index_bg.wasm" with { type: "bytes" };
import * as svgs from "country-flag-icons/string/3x2";
import gifenc from "gifenc";
import { abortOnInterrupt, reportError } from "../lib/exit.ts";
import countryCodes from "../country_codes.txt" with { type: "text" };

await initWasm(resvgWasm);

/** Pixels. */
const WIDTH = 320;

/**
 * Draw the flags, unless there are some: all of them, or none.
 *
 * @param folder Where to; it appears when all flags are drawn.
 * @param signal Gives up the drawing.
 */
export async function drawFlags(
  folder: string,
  signal: AbortSignal,
): Promise<void> {
  if (await isFilled(folder)) return;
  const codes = countryCodes.trim().split(/\s+/);
  console.error(`Drawing ${codes.length} flags into flags/, once.`);
  const draft = `${folder}.new/${crypto.randomUUID()}`;
  try {
    for (const cc of codes) {
      signal.throwIfAborted();
      await drawFlag(cc, `${draft}/${cc.toLowerCase()}`);
    }
    // Of two runs that draw at the same time the first to end wins: a folder
    // that is filled cannot be replaced.
    await Deno.rename(draft, folder).catch(async (error) => {
      if (!await isFilled(folder)) throw error;
    });
  } finally {
    await Deno.remove(draft, { recursive: true }).catch(() => {});
    // Unless another run is drawing there.
    await Deno.remove(`${folder}.new`).catch(() => {});
  }
}

async function isFilled(folder: string): Promise<boolean> {
  try {
    for await (const _ of Deno.readDir(folder)) return true;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return false;
}

async function drawFlag(cc: string, folder: string): Promise<void> {
  const image = gif((svgs as Record<string, string>)[cc]!);
  const country = new Intl.DisplayNames("en", { type: "region" }).of(cc);
  const metadata = JSON.stringify({ iso_cc: cc, country });
  await Deno.mkdir(folder, { recursive: true });
  await Deno.writeFile(`${folder}/${cc.toLowerCase()}.gif`, image);
  await Deno.writeTextFile(`${folder}/metadata.json`, `${metadata}\n`);
}

/** A drawing as a GIF, `WIDTH` pixels wide. */
function gif(svg: string): Uint8Array {
  const { pixels, width, height } = new Resvg(svg, {
    fitTo: { mode: "width", value: WIDTH },
  }).render();
  const { applyPalette, GIFEncoder, quantize } = gifenc;
  const palette = quantize(pixels, 256);
  const encoder = GIFEncoder();
  encoder.writeFrame(applyPalette(pixels, palette), width, height, { palette });
  encoder.finish();
  return encoder.bytes();
}

if (import.meta.main) {
  const stop = new AbortController();
  using _ = abortOnInterrupt(stop, () => {});
  try {
    await drawFlags(`${import.meta.dirname}/../flags`, stop.signal);
  } catch (error) {
    reportError(error, "usage: draw.ts");
  }
}
