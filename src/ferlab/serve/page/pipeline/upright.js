/**
 * Find the upright turn of detected faces that lie on their side or upside down. Mirrors `ferlab.images.upright`.
 *
 * YuNet detects such faces with a lower score, and reports landmarks as if they were upright. The score in a turned
 * copy of the face shows the right turn.
 */

import { center, resize, scaled, shifted } from "./detection.js";
import { part } from "./image.js";
import { invertAffine, rotationMatrix, warpAffine } from "./resampling.js";

const UPRIGHT_SCORE = 0.93; // no face that is not upright gets this score in an image
const UPRIGHT_PATCH_SCORE = 0.89; // or this one in a patch
const TURNED_SCORE = 0.7; // that a turned face must get in a patch
const MARGIN = 0.03; // by which its score must exceed the one without a turn
const TURNS = [45, 90, 135, 180, 225, 270, 315]; // degrees, counterclockwise
const PATCH_SIDE = 128; // pixels
const PATCH_FACES = 2; // side of a patch, in sides of the face in its middle
const MAX_OFFSET = 0.2; // of a face from the middle of its patch, in sides of the patch
const GRAY = 128; // outside the image

/** Return whether the score of a face shows that it is upright. */
export function isUpright(face) {
  return face.score >= UPRIGHT_SCORE;
}

/** Detect a face that is not `isUpright` again in turned copies. Returns the upright face. */
export async function turnedUpright(image, face, detect) {
  const patches = new Patches(image, face);
  const unturned = score(await patches.detect(0, detect));
  if (unturned >= UPRIGHT_PATCH_SCORE) return face;
  let turned;
  for (const turn of TURNS) turned = better(turned, await patches.detect(turn, detect));
  return score(turned) >= Math.max(TURNED_SCORE, unturned + MARGIN) ? turned : face;
}

function score(face) {
  return face?.score ?? 0;
}

function better(first, second) {
  return score(second) > score(first) ? second : first;
}

/** Turned copies of a face and its surroundings, with the face in the middle. */
class Patches {
  constructor(image, face) {
    const [x, y] = center(face);
    const side = Math.max(1, PATCH_FACES * Math.sqrt(face.box[2] * face.box[3]));
    this.corner = [x, y].map((value) => Math.max(0, Math.floor(value - side)));
    this.factor = Math.min(1, PATCH_SIDE / side);
    this.surroundings = resize(part(image, ...this.corner, Math.ceil(x + side), Math.ceil(y + side)), this.factor);
    this.center = [this.factor * (x - this.corner[0]), this.factor * (y - this.corner[1])];
    this.scale = PATCH_SIDE / (this.factor * side);
  }

  /** Detect the face in a copy that is turned counterclockwise, in degrees. Returns it in pixels of the image. */
  async detect(turn, detect) {
    const [a, b, x, c, d, y] = rotationMatrix(this.center, turn, this.scale);
    const matrix = [a, b, x + PATCH_SIDE / 2 - this.center[0], c, d, y + PATCH_SIDE / 2 - this.center[1]];
    const patch = warpAffine(this.surroundings, betweenPixelCenters(matrix), PATCH_SIDE, PATCH_SIDE, GRAY);
    const middle = (await detect(patch)).filter((face) => offset(face) <= MAX_OFFSET * PATCH_SIDE);
    if (!middle.length) return undefined;
    const found = transformed(middle.reduce(better), invertAffine(matrix));
    return shifted(scaled(found, 1 / this.factor), this.corner);
  }
}

/** Convert a matrix to coordinates in which the centers of pixels are integers. */
function betweenPixelCenters([a, b, x, c, d, y]) {
  return [a, b, x + (a + b) / 2 - 0.5, c, d, y + (c + d) / 2 - 0.5];
}

function offset(face) {
  return Math.max(...center(face).map((value) => Math.abs(value - PATCH_SIDE / 2)));
}

/** Rotate and scale a face. The sides of its box stay level: a quarter turn swaps width and height. */
function transformed(face, [a, b, tx, c, d, ty]) {
  const moved = ([x, y]) => [a * x + b * y + tx, c * x + d * y + ty];
  const scale = Math.hypot(a, b);
  const width = (a * a * face.box[2] + b * b * face.box[3]) / scale;
  const height = (a * a * face.box[3] + b * b * face.box[2]) / scale;
  const [x, y] = moved(center(face));
  return { ...face, box: [x - width / 2, y - height / 2, width, height], landmarks: face.landmarks.map(moved) };
}
