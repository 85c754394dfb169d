/** The prediction pipeline in a thread of its own, so that the page stays responsive. */

import * as ort from "../onnxruntime/ort.wasm.min.mjs";
import { decodeFile } from "./decode.js";
import { fromCanvas } from "./image.js";
import { Predictor } from "./predictor.js";
import { Tracker } from "./tracking.js";
import { YuNet } from "./yunet.js";

const SMOOTH = 0.5; // seconds

const predictor = openPredictor();
predictor.catch(() => {}); // each call reports the error
let stream = { tracker: new Tracker(SMOOTH), frame: 0 };

async function openPredictor() {
  ort.env.wasm.wasmPaths = new URL("../onnxruntime/", import.meta.url).href;
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency) : 1;
  const [card, model, detector] = await Promise.all([
    fetchFile("model.json").then((response) => response.json()),
    openSession("model.onnx"),
    openSession("detector.onnx"),
  ]);
  return new Predictor(ort, model, card, new YuNet(ort, detector));
}

async function openSession(name) {
  const content = await (await fetchFile(name)).arrayBuffer();
  return ort.InferenceSession.create(content, { executionProviders: ["wasm"] });
}

async function fetchFile(name) {
  const response = await fetch(new URL(`../model/${name}`, import.meta.url));
  if (!response.ok) throw new Error(`The file ${name} cannot be loaded (${response.status}). Reload the page.`);
  return response;
}

const METHODS = {
  async card() {
    return (await predictor).card;
  },
  async photo(blob) {
    return (await predictor).predict(await decodeFile(blob));
  },
  startStream() {
    stream = { tracker: new Tracker(SMOOTH), frame: 0 };
  },
  async frame({ pixels, seconds }) {
    const { tracker, frame } = { ...stream, frame: stream.frame++ };
    const result = await (await predictor).predict({ pixels: fromCanvas(pixels), isJpeg: false });
    return { ...result, frame, dropped: 0, faces: tracker.update(result.faces, seconds) };
  },
};

self.onmessage = async ({ data: { call, method, argument } }) => {
  const start = performance.now();
  try {
    const value = await METHODS[method](argument);
    self.postMessage({ call, value: value && { schema: 1, error: null, ms: performance.now() - start, ...value } });
  } catch (error) {
    self.postMessage({ call, error: error.message });
  }
};
