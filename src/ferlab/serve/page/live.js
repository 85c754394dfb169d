/** Analyze the frames of a playing video or camera, one at a time, always the newest one. */

const LONGER_SIDE = 640; // pixels of analyzed frames, the size in which ferlab searches faces
const RATE_RESULTS = 20; // results from which the rate is computed

export class Live {
  #stopped = false;

  /**
   * @param analyzer - see `analyzer.js`.
   * @param video - the playing video element.
   * @param onResult - called with each result, its `seconds` in the video, `ms` of latency, and frames per second.
   */
  constructor(analyzer, video, onResult) {
    Object.assign(this, { analyzer, video, onResult });
  }

  /** Run until `stop` is called, or an error is thrown. */
  async run() {
    let last = -1;
    const times = [];
    while (!this.#stopped) {
      const stream = await this.analyzer.openStream();
      try {
        while (!this.#stopped) {
          await nextFrame();
          const seconds = this.video.currentTime;
          if (this.video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA || seconds === last) continue;
          const restarted = seconds < last;
          last = seconds;
          if (restarted) break; // people moved the video back: faces get new numbers
          const start = performance.now();
          const result = await stream.analyze(capture(this.video), seconds);
          if (!result || this.#stopped) continue;
          if (result.error) throw new Error(result.error);
          this.onResult({ ...result, seconds, ms: performance.now() - start, rate: rate(times) });
        }
      } finally {
        stream.close();
      }
    }
  }

  stop() {
    this.#stopped = true;
  }
}

/** Wait until the browser draws again, which it does not while the page is hidden. */
function nextFrame() {
  return new Promise(requestAnimationFrame);
}

/** Copy the current frame of a video, with a longer side of at most 640 pixels. */
function capture(video) {
  const factor = Math.min(1, LONGER_SIDE / Math.max(video.videoWidth, video.videoHeight));
  const [width, height] = [video.videoWidth, video.videoHeight].map((side) => Math.max(1, Math.round(factor * side)));
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.drawImage(video, 0, 0, width, height);
  return canvas;
}

/** Count one more result, and return the results per second. */
function rate(times) {
  times.push(performance.now());
  if (times.length > RATE_RESULTS) times.shift();
  return times.length > 1 ? (1000 * (times.length - 1)) / (times.at(-1) - times[0]) : 0;
}
