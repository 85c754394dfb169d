/** Return the most probable emotion with all probabilities, `{name: probability}`. */
export function classification(probabilities) {
  const [[emotion, confidence]] = Object.entries(probabilities).toSorted((first, second) => second[1] - first[1]);
  return { emotion, confidence, probabilities };
}
