/** Crop faces from images, with the framing that the models were trained on. Mirrors `ferlab.images.crop`. */

import { center } from "./detection.js";
import { part, toGray } from "./image.js";
import { averageBlocks, rotationMatrix, warpAffine } from "./resampling.js";

export const CROP_SIDE = 48; // pixels, the input size of every model

/**
 * Crop a square around a face and rotate it so that the eyes are level. Pixels outside the image repeat its border.
 *
 * @param margin - extra space on each side, as a fraction of the side of a square with the area of the bounding box.
 * @returns a gray image of 48x48 pixels.
 */
export function cropFace(image, face, margin) {
  const middle = center(face).map((value) => value - 0.5); // the centers of pixels have integer coordinates
  const side = Math.max(1, Math.sqrt(face.box[2] * face.box[3]) * (1 + 2 * margin));
  const { surroundings, corner } = neighborhood(image, middle, 0.75 * side + 2); // half a diagonal is 0.71 sides
  const [x, y] = [middle[0] - corner[0], middle[1] - corner[1]];
  const blocks = Math.max(1, Math.ceil(side / CROP_SIDE)); // warp at full resolution, then average to avoid aliasing
  const fine = CROP_SIDE * blocks;
  const rotation = rotationMatrix([x, y], tilt(face), fine / side);
  rotation[2] += (fine - 1) / 2 - x;
  rotation[5] += (fine - 1) / 2 - y;
  return averageBlocks(warpAffine(toGray(surroundings), rotation, fine, fine), blocks);
}

/** Return the part of an image around a point, and its top left corner. */
function neighborhood(image, middle, reach) {
  const size = [image.width, image.height];
  const start = middle.map((value, axis) => clamp(Math.floor(value - reach), 0, size[axis] - 1));
  const end = middle.map((value, axis) => clamp(Math.ceil(value + reach) + 1, start[axis] + 1, size[axis]));
  return { surroundings: part(image, ...start, ...end), corner: start };
}

function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}

/** Return the angle of the line from the right eye to the left eye, in degrees, positive if it falls. */
function tilt({ landmarks: [[x0, y0], [x1, y1]] }) {
  return (Math.atan2(y1 - y0, x1 - x0) * 180) / Math.PI;
}
