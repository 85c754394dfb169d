/** The chosen photos as small buttons, of which one is shown large. */

import { emotionOf } from "./emotions.js";
import { element } from "./faces.js";

export class Gallery {
  #photos = [];

  /**
   * @param list - the list element.
   * @param onShow - called with the photo `{name, url, result}` to show.
   */
  constructor(list, onShow) {
    Object.assign(this, { list, onShow });
  }

  clear() {
    for (const photo of this.#photos) URL.revokeObjectURL(photo.url);
    this.#photos = [];
    this.shown = undefined;
    this.list.replaceChildren();
  }

  /** Add an image file with its result, and show it. */
  add(file, result) {
    const photo = { name: file.name, url: URL.createObjectURL(file), result };
    const image = element("img", { src: photo.url, alt: "" });
    photo.button = element("button", { type: "button", onclick: () => this.show(photo) }, image);
    image.onerror = () => image.replaceWith(element("span", { className: "text" }, file.name));
    this.#photos.push(photo);
    this.list.append(element("li", {}, photo.button));
    this.list.hidden = this.#photos.length < 2;
    this.show(photo);
  }

  show(photo) {
    this.shown = photo;
    for (const other of this.#photos) other.button.setAttribute("aria-pressed", other === photo);
    this.onShow(photo);
  }

  /** Name each photo and its faces for screen readers. */
  label(threshold) {
    for (const { name, button, result } of this.#photos) {
      button.setAttribute("aria-label", `${name}: ${result.error ?? summary(result.faces, threshold)}`);
    }
  }
}

/** Describe faces in a sentence, such as `2 faces: happy, not sure`. */
export function summary(faces, threshold) {
  if (!faces.length) return "no face";
  const emotions = faces.map((face) => emotionOf(face, threshold)).join(", ");
  return `${faces.length} face${faces.length > 1 ? "s" : ""}: ${emotions}`;
}
