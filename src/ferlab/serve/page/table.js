/** The results as a table, with the columns of `ferlab predict` and `ferlab video`. */

import { emotionOf, NOT_SURE } from "./emotions.js";

const FORMULA_STARTS = ["=", "+", "-", "@", "\t", "\r"]; // what a spreadsheet takes for the start of a formula

export class Table {
  #rows = [];

  /** @param classNames - the classes of the model. */
  constructor(classNames) {
    this.classNames = classNames;
  }

  get length() {
    return this.#rows.length;
  }

  /**
   * Add the result of a photo, or of a frame with `frame` and `seconds`.
   *
   * @param source - the name of the file or camera.
   * @param factor - the width of the source divided by that of the analyzed copy, whose pixels the boxes are in.
   */
  add(source, { faces, error, frame, seconds }, factor = 1) {
    const position = { source, frame, time_s: seconds?.toFixed(4) };
    if (error) this.#rows.push({ ...position, status: "error", reason: error });
    else if (!faces.length) this.#rows.push({ ...position, status: "no_face" });
    faces.forEach((face, index) => {
      const box = face.box.map((value) => Math.round(factor * value));
      this.#rows.push({ ...position, number: face.track ?? index + 1, face: { ...face, box } });
    });
  }

  /** Return the table as CSV. Faces below the threshold have no emotion, and the status `uncertain`. */
  csv(threshold) {
    const leading = ["source", "frame", "time_s", "face", "x", "y", "width", "height"];
    const names = [...leading, "detection_score", "emotion", "confidence", ...this.classNames, "status", "reason"];
    const lines = this.#rows.map((row) => names.map((name) => cell(values(row, threshold)[name])).join(","));
    return [names.join(","), ...lines, ""].join("\n");
  }
}

function values({ face, number, ...row }, threshold) {
  if (!face) return { ...row, source: guarded(row.source), reason: guarded(row.reason) };
  const [x, y, width, height] = face.box;
  const { detection_score, confidence, probabilities } = face;
  const emotion = emotionOf(face, threshold);
  const certain = emotion !== NOT_SURE;
  return {
    ...row,
    source: guarded(row.source),
    face: number,
    x,
    y,
    width,
    height,
    detection_score,
    emotion: certain ? emotion : "",
    confidence,
    ...probabilities,
    status: certain ? "ok" : "uncertain",
  };
}

/** Keep a spreadsheet from running a file name as a formula: `./=1.jpg` is the same file as `=1.jpg`. */
function guarded(text) {
  return text && FORMULA_STARTS.includes(text[0]) ? `./${text}` : text;
}

function cell(value) {
  const text = String(value ?? "");
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
