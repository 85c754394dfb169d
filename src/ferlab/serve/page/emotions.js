/** Names and colors of emotions, as in `ferlab.emotions` and `ferlab.predict.annotate`. */

// The colorblind-safe palette of Okabe and Ito, https://jfly.uni-koeln.de/color/.
const COLORS = {
  angry: "#D55E00",
  disgust: "#009E73",
  fear: "#CC79A7",
  happy: "#F0E442",
  sad: "#0072B2",
  surprise: "#E69F00",
  neutral: "#999999",
};
const OTHER_COLOR = "#56B4E9"; // of classes outside FER2013
const NOT_SURE_COLOR = "#606060";
const DARK = 100; // luma below which white text has more contrast than black text

export const NOT_SURE = "not sure";

export function colorOf(emotion) {
  return emotion === NOT_SURE ? NOT_SURE_COLOR : (COLORS[emotion] ?? OTHER_COLOR);
}

/** Return the color of text on a background `#RRGGBB`. */
export function textColor(background) {
  const [red, green, blue] = [1, 3, 5].map((start) => parseInt(background.slice(start, start + 2), 16));
  return 0.299 * red + 0.587 * green + 0.114 * blue < DARK ? "white" : "black";
}

/** Return the most probable emotion of a face, or "not sure" below the threshold. */
export function emotionOf(face, threshold) {
  if (face.confidence < threshold) return NOT_SURE;
  return Object.keys(face.probabilities).reduce((best, name) =>
    face.probabilities[name] > face.probabilities[best] ? name : best,
  );
}

export function percent(share) {
  return `${Math.round(100 * share)} %`;
}
