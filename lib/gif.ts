/**
 * A check that an image is a whole GIF.
 *
 * @module
 */

/** The first byte of each kind of block. */
const EXTENSION = 0x21, IMAGE = 0x2c, TRAILER = 0x3b;

/**
 * Report whether a GIF has an image and its trailer (GIF89a, appendix B). The blocks
 * are walked through, because the byte of the trailer also occurs within most images.
 * Bytes after the trailer, which some encoders write, are harmless.
 */
export function isWholeGif(image: Uint8Array): boolean {
  const signature = String.fromCharCode(...image.subarray(0, 6));
  if (!/^GIF8[79]a$/.test(signature)) return false;
  const tableAt = (flags: number) =>
    image[flags]! & 0x80 ? 3 << ((image[flags]! & 7) + 1) : 0;
  let at = 13 + tableAt(10);
  for (let hasImage = false;;) {
    const block = image[at];
    if (block === EXTENSION) at += 2;
    else if (block === IMAGE) at += 11 + tableAt(at + 9);
    else return hasImage && block === TRAILER;
    hasImage ||= block === IMAGE;
    // Sub-blocks: each begins with its length, and one of length 0 ends them.
    for (let length; (length = image[at]); at += length + 1);
    at += 1;
  }
}
