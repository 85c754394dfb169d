/** Analyze images in this browser, in a worker. The interface is described in `analyzer.js`. */

export async function openAnalyzer() {
  const worker = new PipelineWorker();
  return new BrowserAnalyzer(worker, await worker.call("card"));
}

class BrowserAnalyzer {
  place = "Images are analyzed in this browser. They do not leave this device.";

  constructor(worker, card) {
    this.worker = worker;
    this.card = card;
  }

  async photo(file) {
    return this.worker.call("photo", file).catch((error) => ({ faces: [], error: error.message }));
  }

  async openStream() {
    await this.worker.call("startStream");
    return new BrowserStream(this.worker);
  }
}

class BrowserStream {
  constructor(worker) {
    this.worker = worker;
  }

  async analyze(canvas, seconds) {
    const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return this.worker.call("frame", { pixels, seconds }, [pixels.data.buffer]);
  }

  close() {}
}

/** Calls the methods of `pipeline/worker.js`. */
class PipelineWorker {
  #calls = new Map(); // number -> functions that take the result
  #number = 0;

  constructor() {
    this.worker = new Worker(new URL("./pipeline/worker.js", import.meta.url), { type: "module" });
    this.worker.onmessage = ({ data: { call, value, error } }) => {
      const { resolve, reject } = this.#calls.get(call);
      this.#calls.delete(call);
      if (error) reject(new Error(error));
      else resolve(value);
    };
    this.worker.onerror = (event) => {
      const error = new Error(`The model cannot be loaded: ${event.message ?? "a file is missing"}. Reload the page.`);
      for (const { reject } of this.#calls.values()) reject(error);
      this.#calls.clear();
    };
  }

  call(method, argument, transfer = []) {
    return new Promise((resolve, reject) => {
      const call = this.#number++;
      this.#calls.set(call, { resolve, reject });
      this.worker.postMessage({ call, method, argument }, transfer);
    });
  }
}
