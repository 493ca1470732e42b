/**
 * What a program may write where: colour, and lines that are redrawn, on a
 * terminal alone.
 *
 * @module
 */

/** What is asked of standard output or standard error. */
export type Stream = Pick<typeof Deno.stdout, "isTerminal">;

/** Whether lines can be redrawn there. */
export function isTerminal(stream: Stream): boolean {
  return stream.isTerminal() && !isDumb();
}

/** TERM says so of a terminal that shows control characters as they are. */
function isDumb(): boolean {
  const { state } = Deno.permissions.querySync({
    name: "env",
    variable: "TERM",
  });
  return state === "granted" && Deno.env.get("TERM") === "dumb";
}

/** In colour on a terminal; std leaves it out under NO_COLOR. */
export function colored(
  color: (text: string) => string,
  text: string,
  stream: Stream = Deno.stdout,
): string {
  return isTerminal(stream) ? color(text) : text;
}
