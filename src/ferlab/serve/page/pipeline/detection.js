/**
 * Face detection: the size of the search, and which detections are kept. Mirrors `ferlab.images.detection`.
 *
 * A detection is `{box: [left, top, width, height], score, landmarks: [[x, y], ...]}` in pixels. The landmarks are
 * right eye, left eye, nose, right and left corner of the mouth, from the person's point of view.
 */

import { roundHalfEven } from "./image.js";
import { averageBlocks, resizeCubic, resizeLinear } from "./resampling.js";

export const SEARCH_SIZE = 640; // pixels; larger images are shrunk to this longer side before the search
const MIN_SEARCH_SIZE = 192; // pixels; smaller images are enlarged to this longer side before the search
const MAX_OVERLAP = 0.3; // intersection over union above which two boxes count as one face

/** Search an image, or a copy of it with a suitable size. `detect` takes at most 640 pixels and is asynchronous. */
export async function search(image, detect) {
  const longer = Math.max(image.width, image.height);
  const factor = longer > MIN_SEARCH_SIZE ? Math.min(1, SEARCH_SIZE / longer) : MIN_SEARCH_SIZE / longer;
  const resized = resize(image, factor);
  const found = await detect(resized);
  return found.filter((face) => liesIn(face, resized)).map((face) => scaled(face, 1 / factor));
}

export function center({ box: [left, top, width, height] }) {
  return [left + width / 2, top + height / 2];
}

/** Return the same detection for an image resized by `factor`. */
export function scaled(face, factor) {
  const times = (values) => values.map((value) => factor * value);
  return { ...face, box: times(face.box), landmarks: face.landmarks.map(times) };
}

/** Return the same detection for an image that has `x` more columns on the left and `y` more rows on top. */
export function shifted(face, [x, y]) {
  const [left, top, width, height] = face.box;
  return {
    ...face,
    box: [left + x, top + y, width, height],
    landmarks: face.landmarks.map((p) => [p[0] + x, p[1] + y]),
  };
}

function liesIn({ box, landmarks }, image) {
  const [left, top, width, height] = box;
  if (![...box, ...landmarks.flat()].every(Number.isFinite) || Math.min(width, height) <= 0) return false;
  return left < image.width && top < image.height && left + width > 0 && top + height > 0;
}

/** Drop the detections that overlap with one of a higher score, as OpenCV's `NMSBoxes` does. Best first. */
export function withoutOverlaps(detections) {
  if (detections.length < 2) return detections;
  const kept = [];
  for (const face of detections.toSorted((first, second) => second.score - first.score)) {
    if (kept.every((better) => overlap(face.box.map(Math.trunc), better.box.map(Math.trunc)) <= MAX_OVERLAP)) {
      kept.push(face);
    }
  }
  return kept;
}

/** Compute the intersection over union of two boxes, 0..1. */
export function overlap([x, y, width, height], [otherX, otherY, otherWidth, otherHeight]) {
  const common = {
    width: Math.min(x + width, otherX + otherWidth) - Math.max(x, otherX),
    height: Math.min(y + height, otherY + otherHeight) - Math.max(y, otherY),
  };
  if (common.width <= 0 || common.height <= 0) return 0;
  const area = common.width * common.height;
  return area / (width * height + otherWidth * otherHeight - area);
}

/** Resize an image by a factor without aliasing. */
export function resize(image, factor) {
  if (factor === 1) return image;
  const [width, height] = [image.width, image.height].map((side) => Math.max(1, roundHalfEven(factor * side)));
  while (2 * height <= image.height && 2 * width <= image.width) image = averageBlocks(image, 2);
  if (image.width === width && image.height === height) return image;
  return factor < 1 ? resizeLinear(image, width, height) : resizeCubic(image, width, height);
}
