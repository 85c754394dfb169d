/** Find the faces of an image file. Mirrors `ferlab.images.find`. */

import { CROP_SIDE } from "./crop.js";
import { reduceJpeg } from "./decode.js";
import { SEARCH_SIZE, scaled } from "./detection.js";

/**
 * Detect the faces in an image. Large JPEGs are reduced to a size that suffices for the search, or for the crops.
 *
 * @param decoded - the result of `decodeFile`.
 * @param detector - the `YuNet`.
 * @returns `{image, faces, scale}`: the reduced image, its faces, and its size divided by that of the original.
 */
export async function findFaces({ pixels, isJpeg }, detector) {
  const image = isJpeg ? reduceJpeg(pixels, SEARCH_SIZE) : pixels;
  const faces = await detector.detect(image);
  const smallest = Math.min(CROP_SIDE, ...faces.flatMap((face) => face.box.slice(2)));
  if (smallest >= CROP_SIDE || image === pixels) return { image, faces, scale: scaleOf(image, pixels) };
  const larger = reduceJpeg(pixels, Math.ceil((CROP_SIDE / smallest) * Math.max(image.width, image.height)));
  const factor = scaleOf(larger, pixels) / scaleOf(image, pixels);
  return { image: larger, faces: faces.map((face) => scaled(face, factor)), scale: scaleOf(larger, pixels) };
}

function scaleOf(image, original) {
  return Math.max(image.width, image.height) / Math.max(original.width, original.height);
}
