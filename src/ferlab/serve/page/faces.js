/** One card for each face: its emotion, and a bar for each probability. */

import { colorOf, emotionOf, percent } from "./emotions.js";

export class FaceCards {
  #cards = new Map(); // number of the face -> its card

  /**
   * @param container - the element that holds the cards.
   * @param classNames - the classes of the model.
   */
  constructor(container, classNames) {
    Object.assign(this, { container, classNames });
  }

  /** Show these faces. A face keeps its card while it is visible. */
  show(faces, threshold) {
    const numbers = faces.map((face, index) => face.track ?? index + 1);
    for (const [number, card] of this.#cards) {
      if (!numbers.includes(number)) {
        card.element.remove();
        this.#cards.delete(number);
      }
    }
    faces.forEach((face, index) => {
      const number = numbers[index];
      if (!this.#cards.has(number)) this.#cards.set(number, new FaceCard(number, this.classNames));
      const card = this.#cards.get(number);
      card.show(face, threshold);
      if (this.container.children[index] !== card.element) {
        this.container.insertBefore(card.element, this.container.children[index] ?? null);
      }
    });
  }
}

class FaceCard {
  constructor(number, classNames) {
    this.emotion = element("span");
    const title = element("h3", {}, this.emotion, element("span", { className: "name" }, `Face ${number}`));
    this.bars = new Map(classNames.map((name) => [name, new Bar(name)]));
    const list = element("ul", { className: "bars" }, ...[...this.bars.values()].map((bar) => bar.element));
    this.element = element("article", { className: "face" }, title, list);
    this.element.setAttribute("aria-label", `Face ${number}`);
  }

  show(face, threshold) {
    const emotion = emotionOf(face, threshold);
    const text = `${emotion} ${percent(face.confidence)}`;
    if (this.emotion.textContent !== text) this.emotion.textContent = text;
    this.element.style.setProperty("--class", colorOf(emotion));
    for (const [name, bar] of this.bars) bar.show(face.probabilities[name], face.confidence);
  }
}

class Bar {
  constructor(name) {
    this.fill = element("span");
    this.share = element("span", { className: "share" });
    const bar = element("span", { className: "bar" }, this.fill);
    bar.setAttribute("aria-hidden", "true");
    this.element = element("li", {}, element("span", {}, name), bar, this.share);
    this.element.style.setProperty("--class", colorOf(name));
  }

  show(probability, confidence) {
    this.fill.style.width = `${100 * probability}%`;
    this.share.textContent = percent(probability);
    this.element.classList.toggle("top", probability === confidence);
  }
}

/** Create an element with properties and children. */
export function element(tag, properties = {}, ...children) {
  const created = Object.assign(document.createElement(tag), properties);
  created.append(...children);
  return created;
}
