/**
 * What a whole GIF is (GIF89a, the grammar in its appendix B).
 *
 * @module
 */

/** What a block of a GIF begins with. */
const EXTENSION = 0x21, IMAGE = 0x2c, TRAILER = 0x3b;

/**
 * Whether that is a GIF with an image, up to its trailer. The blocks are walked
 * through, as the trailer's byte stands within most images, too; what follows it
 * is harmless, and some encoders leave something there.
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
