/** Draw bounding boxes and emotions over an image or video. */

import { colorOf, emotionOf, percent, textColor } from "./emotions.js";

const LINE = 3; // CSS pixels
const FONT = 15; // CSS pixels
const PAD = 5; // CSS pixels around the text

/**
 * @param canvas - lies over the image, in the same size.
 * @param result - `{width, height, faces}`, in pixels of the analyzed image.
 * @param mirrored - whether the image is shown as in a mirror.
 */
export function drawFaces(canvas, { width, height, faces }, threshold, mirrored) {
  const shown = canvas.getBoundingClientRect();
  const density = window.devicePixelRatio;
  [canvas.width, canvas.height] = [shown.width * density, shown.height * density];
  const context = canvas.getContext("2d");
  context.scale(density, density);
  const scale = { x: shown.width / width, y: shown.height / height };
  faces.forEach((face, index) => {
    const [x, y, boxWidth, boxHeight] = face.box;
    const left = scale.x * (mirrored ? width - x - boxWidth : x);
    const emotion = emotionOf(face, threshold);
    const label = `${emotion} ${percent(face.confidence)}`;
    drawBox(context, [left, scale.y * y, scale.x * boxWidth, scale.y * boxHeight], colorOf(emotion));
    drawLabel(context, [left, scale.y * y], faces.length > 1 ? `${face.track ?? index + 1}: ${label}` : label, {
      color: colorOf(emotion),
      width: shown.width,
    });
  });
}

export function clear(canvas) {
  canvas.width = 0;
}

/** Draw a colored box with a dark edge, so that it is visible on any background. */
function drawBox(context, box, color) {
  for (const [style, width] of [
    ["rgb(0 0 0 / 60%)", LINE + 2],
    [color, LINE],
  ]) {
    Object.assign(context, { strokeStyle: style, lineWidth: width });
    context.strokeRect(...box);
  }
}

/** Draw text above the corner of a box, or below it at the top of the image, and inside the image. */
function drawLabel(context, [left, top], text, { color, width }) {
  context.font = `600 ${FONT}px system-ui, sans-serif`;
  const size = { width: context.measureText(text).width + 2 * PAD, height: FONT + 2 * PAD };
  const x = Math.max(0, Math.min(left - LINE / 2, width - size.width));
  const y = top - size.height >= 0 ? top - size.height : Math.max(0, top);
  context.fillStyle = color;
  context.fillRect(x, y, size.width, size.height);
  Object.assign(context, { fillStyle: textColor(color), textBaseline: "middle" });
  context.fillText(text, x + PAD, y + size.height / 2 + 1);
}
