/**
 * An image in memory: `{width, height, channels, data}` with 8-bit values, row by row.
 * Colors have the four channels of a canvas, RGBA, with an opaque alpha; gray images have one.
 */

export function newImage(width, height, channels) {
  return { width, height, channels, data: new Uint8ClampedArray(width * height * channels) };
}

/** Wrap the pixels of a canvas. */
export function fromCanvas({ width, height, data }) {
  return { width, height, channels: 4, data };
}

/** Copy a part of an image, in pixels. The part is cut off at the border. */
export function part(image, left, top, right, bottom) {
  [right, bottom] = [Math.min(right, image.width), Math.min(bottom, image.height)];
  const target = newImage(right - left, bottom - top, image.channels);
  const row = target.width * image.channels;
  for (let y = 0; y < target.height; y++) {
    const start = ((top + y) * image.width + left) * image.channels;
    target.data.set(image.data.subarray(start, start + row), y * row);
  }
  return target;
}

/** Convert RGBA to gray, as OpenCV's `cvtColor` does: fixed-point weights with 15 bits. */
export function toGray(image) {
  const target = newImage(image.width, image.height, 1);
  for (let i = 0, j = 0; i < target.data.length; i++, j += 4) {
    target.data[i] = (9798 * image.data[j] + 19235 * image.data[j + 1] + 3735 * image.data[j + 2] + 16384) >> 15;
  }
  return target;
}

/** Round as Python does: halves to the even neighbor. */
export function roundHalfEven(value) {
  const rounded = Math.round(value);
  return Math.abs(value % 1) === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}
