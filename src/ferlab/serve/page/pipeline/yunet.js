/** YuNet, the face detector, on ONNX Runtime. Mirrors `ferlab.images.yunet`. */

import { search, withoutOverlaps } from "./detection.js";
import { isUpright, turnedUpright } from "./upright.js";

const SCORE_THRESHOLD = 0.6;
const CANDIDATE_SCORE = 0.15; // of faces that may lie on their side
const MAX_TURNED = 64; // candidates that are searched in turned copies, the largest ones
const STRIDES = [8, 16, 32]; // pixels per cell of the three feature maps
const LARGEST_STRIDE = 32;

export class YuNet {
  /**
   * @param ort - the module of ONNX Runtime.
   * @param session - its session of the model.
   */
  constructor(ort, session) {
    this.ort = ort;
    this.session = session;
  }

  /** Detect the faces in an image of any size. Returns them in its pixels, largest first. */
  async detect(image) {
    const detect = (part) => this.#detect(part);
    const upright = [];
    const candidates = await search(image, detect);
    const unsure = candidates.filter((face) => !isUpright(face)).toSorted((first, second) => area(second) - area(first));
    const searched = new Set(unsure.slice(0, MAX_TURNED));
    for (const face of candidates) upright.push(searched.has(face) ? await turnedUpright(image, face, detect) : face);
    const faces = withoutOverlaps(upright.filter((face) => face.score >= SCORE_THRESHOLD));
    return faces.toSorted((first, second) => area(second) - area(first));
  }

  /** Detect candidates in an image of at most 640 pixels, with landmarks as if they were upright. */
  async #detect(image) {
    const { data, width, height } = planes(image);
    const input = new this.ort.Tensor("float32", data, [1, 3, height, width]);
    const outputs = await this.session.run({ input });
    return withoutOverlaps(STRIDES.flatMap((stride) => decode(outputs, stride, width / stride)));
  }
}

function area({ box: [, , width, height] }) {
  return width * height;
}

/** Convert an image to the input of the network: BGR planes, padded with zeros to whole cells. */
function planes(image) {
  const [width, height] = [image.width, image.height].map((side) => Math.ceil(side / LARGEST_STRIDE) * LARGEST_STRIDE);
  const data = new Float32Array(3 * width * height);
  for (let channel = 0; channel < 3; channel++) {
    for (let y = 0; y < image.height; y++) {
      const target = (channel * height + y) * width;
      for (let x = 0; x < image.width; x++) data[target + x] = image.data[4 * (y * image.width + x) + 2 - channel];
    }
  }
  return { data, width, height };
}

/** Decode the feature map of one stride. */
function decode(outputs, stride, columns) {
  const [classes, objects, boxes, points] = ["cls", "obj", "bbox", "kps"].map(
    (name) => outputs[`${name}_${stride}`].data,
  );
  const found = [];
  for (let cell = 0; cell < classes.length; cell++) {
    const score = Math.sqrt(probability(classes[cell]) * probability(objects[cell]));
    if (score < CANDIDATE_SCORE) continue;
    const [column, row] = [cell % columns, Math.floor(cell / columns)];
    const [x, y, logWidth, logHeight] = boxes.subarray(4 * cell, 4 * cell + 4);
    const [width, height] = [Math.exp(logWidth), Math.exp(logHeight)];
    const box = [column + x - width / 2, row + y - height / 2, width, height].map((value) => stride * value);
    const landmarks = [0, 2, 4, 6, 8].map((index) => [
      stride * (column + points[10 * cell + index]),
      stride * (row + points[10 * cell + index + 1]),
    ]);
    found.push({ box, score, landmarks });
  }
  return found;
}

function probability(value) {
  return Math.min(Math.max(value, 0), 1);
}
