/** Track faces across video frames and smooth their probabilities. Mirrors `ferlab.predict.tracking`. */

import { overlap } from "./detection.js";
import { classification } from "./classification.js";

const MIN_OVERLAP = 0.3; // intersection over union above which two boxes are the same face
const MAX_GAP = 1; // seconds after which an unseen face is dropped

/** Numbers faces by the overlap of their bounding boxes in consecutive frames. */
export class Tracker {
  #tracks = [];
  #lastNumber = 0;
  #lastTime = 0;

  /** @param smooth - time constant of the moving average of the probabilities, in seconds; 0 for no smoothing. */
  constructor(smooth) {
    this.smooth = smooth;
  }

  /**
   * Number the faces of the next frame.
   *
   * @returns the faces with their number as `track`, and smoothed probabilities.
   */
  update(faces, seconds) {
    const oldest = Math.min(this.#lastTime, seconds - MAX_GAP); // frames may be more than a second apart
    this.#tracks = this.#tracks.filter((track) => track.lastSeen >= oldest);
    this.#lastTime = seconds;
    const matched = this.#match(faces);
    return faces.map((face, index) => {
      const track = matched.get(index) ?? this.#start(face);
      if (matched.has(index)) this.#smooth(track, face, seconds);
      Object.assign(track, { box: face.box, lastSeen: seconds });
      return { ...face, ...classification(track.probabilities), track: track.number };
    });
  }

  /** Assign tracks to faces greedily, largest overlap first. */
  #match(faces) {
    const pairs = faces.flatMap((face, index) =>
      this.#tracks.map((track) => ({ share: overlap(face.box, track.box), index, track })),
    );
    const assigned = new Map();
    for (const { share, index, track } of pairs.toSorted((first, second) => second.share - first.share)) {
      const free = !assigned.has(index) && ![...assigned.values()].includes(track);
      if (share >= MIN_OVERLAP && free) assigned.set(index, track);
    }
    return assigned;
  }

  #start(face) {
    const track = { number: ++this.#lastNumber, probabilities: face.probabilities };
    this.#tracks.push(track);
    return track;
  }

  #smooth(track, face, seconds) {
    const decay = this.smooth ? Math.exp(Math.min(0, track.lastSeen - seconds) / this.smooth) : 0;
    const average = (name) => decay * track.probabilities[name] + (1 - decay) * face.probabilities[name];
    track.probabilities = Object.fromEntries(Object.keys(face.probabilities).map((name) => [name, average(name)]));
  }
}
