/** Decode image files to upright pixels. Mirrors `ferlab.images.decode`. */

import { fromCanvas } from "./image.js";
import { averageBlocks } from "./resampling.js";

const MAX_PIXELS = 80_000_000; // per image, as in ferlab
const JPEG_START = [0xff, 0xd8];
const JPEG_REDUCTIONS = [8, 4, 2, 1];

/**
 * Decode an image file with the decoder of the browser.
 *
 * It is rotated as its EXIF orientation says, transparent pixels become white, and color profiles are ignored.
 *
 * @param blob - the file.
 * @returns `{pixels, isJpeg}`.
 */
export async function decodeFile(blob) {
  const start = new Uint8Array(await blob.slice(0, 2).arrayBuffer());
  const options = { imageOrientation: "from-image", colorSpaceConversion: "none", premultiplyAlpha: "none" };
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob, options);
  } catch {
    throw new Error("This browser cannot read the file. Use a JPEG, PNG or WebP image.");
  }
  if (bitmap.width * bitmap.height > MAX_PIXELS) {
    throw new Error(`The image has ${bitmap.width}x${bitmap.height} pixels, more than the limit of 80 million.`);
  }
  const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d", { willReadFrequently: true });
  context.fillStyle = "white";
  context.fillRect(0, 0, bitmap.width, bitmap.height);
  context.drawImage(bitmap, 0, 0);
  const pixels = fromCanvas(context.getImageData(0, 0, bitmap.width, bitmap.height));
  bitmap.close();
  return { pixels, isJpeg: JPEG_START.every((byte, index) => start[index] === byte) };
}

/**
 * Return the reduced image that ferlab decodes from a large JPEG.
 *
 * ferlab's JPEG decoder averages blocks of 2x2, 4x4 or 8x8 pixels while it decodes.
 *
 * @param sufficientSide - length of the longer side, in pixels, that the caller needs.
 */
export function reduceJpeg(image, sufficientSide) {
  const share = sufficientSide / Math.max(image.width, image.height);
  if (share >= 1) return image;
  const [width, height] = [image.width, image.height].map((side) => Math.ceil(share * side));
  const possible = Math.min(Math.floor(image.width / width), Math.floor(image.height / height));
  return averageBlocks(
    image,
    JPEG_REDUCTIONS.find((size) => size <= possible),
  );
}
