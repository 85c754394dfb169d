/** Detect faces and predict their emotions. Mirrors `ferlab.predict.predictor`. */

import { classification } from "./classification.js";
import { CROP_SIDE, cropFace } from "./crop.js";
import { scaled } from "./detection.js";
import { findFaces } from "./find.js";
import { roundHalfEven } from "./image.js";

export class Predictor {
  /**
   * @param ort - the module of ONNX Runtime.
   * @param session - its session of the model.
   * @param card - the model card, with `class_names` and `crop_margin`.
   * @param detector - the `YuNet`.
   */
  constructor(ort, session, card, detector) {
    Object.assign(this, { ort, session, card, detector });
  }

  /**
   * Predict the emotions of all faces in an image, largest first.
   *
   * @param decoded - the result of `decodeFile`.
   * @returns `{width, height, faces}`, in pixels of the original image.
   */
  async predict(decoded) {
    const { image, faces, scale } = await findFaces(decoded, this.detector);
    const crops = faces.map((face) => cropFace(image, face, this.card.crop_margin));
    const rows = await this.#probabilities(crops);
    const results = faces.map((face, index) => ({ ...wire(scaled(face, 1 / scale)), ...classification(rows[index]) }));
    return { width: decoded.pixels.width, height: decoded.pixels.height, faces: results };
  }

  /** Predict the probabilities `{name: probability}` of each crop. */
  async #probabilities(crops) {
    if (!crops.length) return [];
    const images = new Float32Array(crops.length * CROP_SIDE ** 2);
    crops.forEach((crop, index) => images.set(crop.data, index * CROP_SIDE ** 2));
    const input = new this.ort.Tensor("float32", images, [crops.length, CROP_SIDE, CROP_SIDE, 1]);
    const { probabilities } = await this.session.run({ images: input });
    const names = this.card.class_names;
    const row = (index) => names.map((name, column) => [name, probabilities.data[index * names.length + column]]);
    return crops.map((_, index) => Object.fromEntries(row(index)));
  }
}

/** Convert a detection to the fields of a result. */
function wire({ box, score, landmarks }) {
  return { box: box.map(roundHalfEven), detection_score: score, landmarks };
}
