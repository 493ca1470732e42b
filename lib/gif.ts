/**
 * What a GIF begins and ends with.
 *
 * @module
 */

/** The last byte of a GIF; a file that was cut short lacks it. */
const TRAILER = 0x3b;

/** Whether an image has the signature of a GIF, and its end. */
export function isWholeGif(image: Uint8Array): boolean {
  const signature = String.fromCharCode(...image.subarray(0, 6));
  return /^GIF8[79]a$/.test(signature) && image.at(-1) === TRAILER;
}
