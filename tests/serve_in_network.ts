/**
 * Runs site/serve.ts, asks it for some URLs and ends it with Ctrl-C: a program
 * for a network of its own, as the ports are fixed. Takes a {@linkcode Plan} and
 * prints what was {@linkcode Served}, both as JSON.
 *
 * @module
 */

import { delay } from "@std/async/delay";
import { STD } from "./scripts.ts";

/** What to do with serve.ts. */
export interface Plan {
  /** Its options. */
  options: string[];
  /** Its labels. */
  labels: string[];
  /** What to request, all at once. */
  urls: string[];
  /** What to request right before Ctrl-C. */
  pending?: string[];
}

/** What serve.ts did. */
export interface Served {
  /** Its standard output. */
  stdout: string;
  /** Its standard error. */
  stderr: string;
  /** Status and seconds of each answer. */
  answers: [status: number, seconds: number][];
  /** What became of the pending requests: a status, or an error's name. */
  pending: (number | string)[];
  /** Its exit status. */
  code: number;
}

async function request(url: string): Promise<[number, number]> {
  const start = performance.now();
  const response = await fetch(url);
  await response.body?.cancel();
  return [response.status, (performance.now() - start) / 1000];
}

async function serve(plan: Plan): Promise<Served> {
  const program = `${import.meta.dirname}/../site/serve.ts`;
  const words = [...plan.options, ...plan.labels];
  const site = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", ...STD, program, ...words],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const stderr = new Response(site.stderr).text();
  const reader = site.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let stdout = "";
  while (stdout.split("\n").length <= plan.labels.length) {
    const { value, done } = await reader.read();
    if (done) break;
    stdout += value;
  }
  const answers = await Promise.all(plan.urls.map(request));
  const pending = (plan.pending ?? []).map((url) =>
    request(url).then(([status]) => status, (error) => error.name)
  );
  if (pending.length > 0) await delay(200);
  site.kill("SIGINT");
  const timer = setTimeout(() => site.kill("SIGKILL"), 30_000);
  const { code } = await site.status;
  clearTimeout(timer);
  return {
    stdout,
    stderr: await stderr,
    answers,
    pending: await Promise.all(pending),
    code,
  };
}

if (import.meta.main) {
  console.log(JSON.stringify(await serve(JSON.parse(Deno.args[0]!))));
}
