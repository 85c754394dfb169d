/** The probabilities of one face over the last 60 seconds, stacked. */

import { colorOf, percent } from "./emotions.js";
import { element } from "./faces.js";

const WINDOW = 60; // seconds
const MAX_GAP = 3; // seconds between two results; of a longer gap, the rest stays empty

export class Timeline {
  #points = []; // {seconds, faces: Map from number to probabilities}

  /**
   * @param elements - `canvas`, `legend` (a list), `tracks` (a select) and `choice` (what contains it).
   * @param classNames - the classes of the model.
   */
  constructor(elements, classNames) {
    Object.assign(this, { ...elements, classNames });
    this.tracks.onchange = () => this.draw();
  }

  clear() {
    this.#points = [];
    this.tracks.replaceChildren();
    this.draw();
  }

  /** Add the faces of a frame. A video that was moved back starts anew. */
  add({ seconds, faces }) {
    if (this.#points.length && seconds < this.#points.at(-1).seconds) this.#points = [];
    this.#points.push({ seconds, faces: new Map(faces.map((face) => [face.track, face.probabilities])) });
    while (this.#points[0].seconds < seconds - WINDOW) this.#points.shift();
    this.#listTracks();
    this.draw();
  }

  /** Offer the faces of the last 60 seconds. The chosen one stays chosen while it is among them. */
  #listTracks() {
    const numbers = [...new Set(this.#points.flatMap((point) => [...point.faces.keys()]))].sort((a, b) => a - b);
    const shown = [...this.tracks.options].map((option) => Number(option.value));
    if (numbers.join() !== shown.join()) {
      const chosen = this.tracks.value;
      this.tracks.replaceChildren(...numbers.map((number) => new Option(number)));
      this.tracks.value = numbers.includes(Number(chosen)) ? chosen : (numbers.at(-1) ?? "");
    }
    this.choice.hidden = numbers.length < 2;
  }

  draw() {
    const number = Number(this.tracks.value);
    const context = this.#prepare();
    const end = this.#points.at(-1)?.seconds ?? 0;
    const x = (seconds) => (1 - (end - seconds) / WINDOW) * this.canvas.clientWidth;
    const sums = new Map(this.classNames.map((name) => [name, 0]));
    let count = 0;
    this.#points.forEach(({ seconds, faces }, index) => {
      const probabilities = faces.get(number);
      if (!probabilities) return;
      const before = this.#points[index - 1]?.seconds ?? seconds;
      const start = seconds - Math.min(MAX_GAP, Math.max(seconds - before, 0.05));
      this.#drawColumn(context, x(start), x(seconds), probabilities);
      for (const [name, sum] of sums) sums.set(name, sum + probabilities[name]);
      count++;
    });
    this.#showMeans(sums, count);
  }

  #prepare() {
    const density = window.devicePixelRatio;
    this.canvas.width = this.canvas.clientWidth * density;
    this.canvas.height = this.canvas.clientHeight * density;
    const context = this.canvas.getContext("2d");
    context.scale(density, density);
    return context;
  }

  /** Draw a column whose parts are the probabilities, the first class at the bottom. */
  #drawColumn(context, left, right, probabilities) {
    let bottom = this.canvas.clientHeight;
    for (const name of this.classNames) {
      const height = probabilities[name] * this.canvas.clientHeight;
      context.fillStyle = colorOf(name);
      context.fillRect(left, bottom - height, right - left + 0.5, height);
      bottom -= height;
    }
  }

  /** Show the mean of each class, which is also what a screen reader reads. */
  #showMeans(sums, count) {
    const items = this.classNames.map((name) => {
      const item = element("li", {}, element("span"), count ? `${name} ${percent(sums.get(name) / count)}` : name);
      item.style.setProperty("--class", colorOf(name));
      return item;
    });
    this.legend.replaceChildren(element("li", {}, "Mean:"), ...items);
  }
}
