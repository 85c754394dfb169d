/**
 * The analyzer of this page. `ferlab web` writes a page that exports the one in `browser.js` instead.
 *
 * `openAnalyzer(token)` returns an analyzer with
 *
 * - `place`: a sentence that says where images are analyzed;
 * - `card`: the model card, as the service returns it at `/v1/model`;
 * - `photo(file)`: analyzes an image file and returns `{width, height, faces, error}`;
 * - `openStream()`: returns a stream of video frames, in which faces keep their numbers. Its `analyze(canvas, seconds)`
 *   returns `{frame, width, height, faces, dropped, error}`, or undefined if the frame was dropped. `close()` ends it.
 *
 * A face is `{box, detection_score, emotion, confidence, probabilities, landmarks}`, in a stream with its number as
 * `track`.
 */
export { openAnalyzer } from "./server.js";
