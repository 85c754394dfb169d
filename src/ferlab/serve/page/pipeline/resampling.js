/** Resize and warp images as OpenCV does, to one gray level: `resize` and `warpAffine` of 8-bit images. */

import { newImage, roundHalfEven } from "./image.js";

const COEFFICIENT = 2048; // OpenCV's interpolation weights are integers with 11 bits

/** Average blocks of `size` by `size` pixels: INTER_AREA by an integer factor. Incomplete blocks are dropped. */
export function averageBlocks(image, size) {
  const [width, height, channels] = [Math.floor(image.width / size), Math.floor(image.height / size), image.channels];
  const target = newImage(width, height, channels);
  const sums = new Uint32Array(width * channels);
  for (let y = 0; y < height; y++) {
    sums.fill(0);
    for (let dy = 0; dy < size; dy++) {
      let source = (y * size + dy) * image.width * channels;
      for (let x = 0; x < width; x++) {
        for (let dx = 0; dx < size; dx++) {
          for (let c = 0; c < channels; c++) sums[x * channels + c] += image.data[source++];
        }
      }
    }
    for (let i = 0; i < sums.length; i++) target.data[y * sums.length + i] = average(sums[i], size * size);
  }
  return target;
}

/** Average as OpenCV does, which rounds halves up in 2x2 blocks, and to even numbers in others. */
function average(sum, count) {
  return count === 4 ? (sum + 2) >> 2 : roundHalfEven(sum / count);
}

/** Resize an image by linear interpolation: INTER_LINEAR. */
export function resizeLinear(image, width, height) {
  return resizeSeparably(image, width, height, linearWeights, addLinearly);
}

/** Resize an image by cubic interpolation: INTER_CUBIC. */
export function resizeCubic(image, width, height) {
  return resizeSeparably(image, width, height, cubicWeights, addCubically);
}

/** Return the weights of the pixels around a position, which is `fraction` pixels after one of them. */
function linearWeights(fraction) {
  return [1 - fraction, fraction];
}

function cubicWeights(fraction) {
  const a = -0.75;
  const [before, after] = [fraction + 1, 1 - fraction];
  const first = ((a * before - 5 * a) * before + 8 * a) * before - 4 * a;
  const second = ((a + 2) * fraction - (a + 3)) * fraction * fraction + 1;
  const third = ((a + 2) * after - (a + 3)) * after * after + 1;
  return [first, second, third, 1 - first - second - third];
}

/** Add rows that are interpolated along x, with OpenCV's rounding. */
function addLinearly([upper, lower], weights, target) {
  for (let i = 0; i < target.length; i++) {
    target[i] = (((weights[0] * (upper[i] >> 4)) >> 16) + ((weights[1] * (lower[i] >> 4)) >> 16) + 2) >> 2;
  }
}

function addCubically(rows, weights, target) {
  for (let i = 0; i < target.length; i++) {
    const sum = weights[0] * rows[0][i] + weights[1] * rows[1][i] + weights[2] * rows[2][i] + weights[3] * rows[3][i];
    target[i] = roundHalfEven(sum / COEFFICIENT ** 2);
  }
}

/** Interpolate along the rows, then along the columns. */
function resizeSeparably(image, width, height, weightsAt, add) {
  const columns = taps(image.width, width, weightsAt);
  const lines = taps(image.height, height, weightsAt);
  const target = newImage(width, height, image.channels);
  const length = width * image.channels;
  const interpolated = new Map(); // rows of the source that the current row of the target needs
  for (let y = 0; y < height; y++) {
    const [positions, weights] = [lines.positions, lines.weights].map((values) =>
      values.subarray(y * lines.count, (y + 1) * lines.count),
    );
    for (const row of interpolated.keys()) if (row < positions[0]) interpolated.delete(row);
    for (const row of positions) if (!interpolated.has(row)) interpolated.set(row, interpolateRow(image, row, columns));
    const rows = Array.from(positions, (row) => interpolated.get(row));
    add(rows, weights, target.data.subarray(y * length, (y + 1) * length));
  }
  return target;
}

/** Return the `count` positions of the source, and their weights, for each position of the target. */
function taps(sourceLength, targetLength, weightsAt) {
  const count = weightsAt(0).length;
  const [positions, weights] = [new Int32Array(count * targetLength), new Int32Array(count * targetLength)];
  for (let target = 0; target < targetLength; target++) {
    const position = Math.fround((target + 0.5) * (sourceLength / targetLength) - 0.5);
    const start = Math.floor(position);
    weightsAt(position - start).forEach((weight, tap) => {
      positions[target * count + tap] = clamp(start + tap - (count / 2 - 1), sourceLength);
      weights[target * count + tap] = roundHalfEven(weight * COEFFICIENT);
    });
  }
  return { count, positions, weights };
}

/** Interpolate a row of the source at all columns of the target. */
function interpolateRow({ data, width, channels }, y, { count, positions, weights }) {
  const row = new Int32Array((positions.length / count) * channels);
  const start = y * width * channels;
  for (let target = 0, first = 0; target < row.length; target += channels, first += count) {
    for (let tap = first; tap < first + count; tap++) {
      const source = start + positions[tap] * channels;
      const weight = weights[tap];
      for (let channel = 0; channel < channels; channel++) row[target + channel] += data[source + channel] * weight;
    }
  }
  return row;
}

/**
 * Warp an image by an affine map with linear interpolation: `warpAffine`.
 *
 * @param matrix - `[a, b, x, c, d, y]`, from source to target, between the centers of pixels.
 * @param outside - the value of all channels outside the image; undefined to repeat its border.
 */
export function warpAffine(image, matrix, width, height, outside) {
  const [a, b, tx, c, d, ty] = invertAffine(matrix);
  const target = newImage(width, height, image.channels);
  for (let y = 0, i = 0; y < height; y++) {
    const startX = fixed(b * y + tx) + 16; // 16 / 1024: half a step of 1 / 32 pixel
    const startY = fixed(d * y + ty) + 16;
    for (let x = 0; x < width; x++, i += image.channels) {
      interpolate(image, (startX + fixed(a * x)) >> 5, (startY + fixed(c * x)) >> 5, outside, target.data, i);
    }
  }
  return target;
}

/** Convert a position to OpenCV's fixed-point numbers, in 1 / 1024 pixel. */
function fixed(position) {
  return roundHalfEven(1024 * position);
}

/** Write the pixel at a position, in steps of 1 / 32 pixel, to `target[i]` and the following channels. */
function interpolate(image, x, y, outside, target, i) {
  const right = x & 31;
  const lower = y & 31;
  const topLeft = pixel(image, x >> 5, y >> 5, outside);
  const topRight = pixel(image, (x >> 5) + 1, y >> 5, outside);
  const bottomLeft = pixel(image, x >> 5, (y >> 5) + 1, outside);
  const bottomRight = pixel(image, (x >> 5) + 1, (y >> 5) + 1, outside);
  for (let channel = 0; channel < image.channels; channel++) {
    const top =
      (32 - right) * (image.data[topLeft + channel] ?? outside) + right * (image.data[topRight + channel] ?? outside);
    const bottom =
      (32 - right) * (image.data[bottomLeft + channel] ?? outside) +
      right * (image.data[bottomRight + channel] ?? outside);
    target[i + channel] = ((32 - lower) * top + lower * bottom + 512) >> 10;
  }
}

/** Return the index of a pixel; outside the image, an index without data, or that of the nearest pixel. */
function pixel(image, x, y, outside) {
  const column = clamp(x, image.width);
  const row = clamp(y, image.height);
  if (outside !== undefined && (column !== x || row !== y)) return image.data.length;
  return (row * image.width + column) * image.channels;
}

function clamp(position, length) {
  return Math.min(Math.max(position, 0), length - 1);
}

/** Return the map that rotates counterclockwise, in degrees, and scales around a point: `getRotationMatrix2D`. */
export function rotationMatrix([x, y], degrees, scale) {
  const radians = (degrees * Math.PI) / 180;
  const [alpha, beta] = [scale * Math.cos(radians), scale * Math.sin(radians)];
  return [alpha, beta, (1 - alpha) * x - beta * y, -beta, alpha, beta * x + (1 - alpha) * y];
}

/** Return the inverse of an affine map: `invertAffineTransform`. The order of the operations is OpenCV's. */
export function invertAffine([a, b, x, c, d, y]) {
  const scale = 1 / (a * d - b * c);
  const [ia, ib, ic, id] = [d * scale, -b * scale, -c * scale, a * scale];
  return [ia, ib, -ia * x - ib * y, ic, id, -ic * x - id * y];
}
