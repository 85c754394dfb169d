// Run the expression network of face-api.js on gray images of 48x48 pixels; see peer_predictions.py.
// Arguments: a file of N x 48 x 48 bytes, and the output file of N x 7 float32 probabilities.

const fs = require("fs");
const path = require("path");
const { createRequire } = require("module");

const installed = createRequire(path.join(process.cwd(), "package.json"));
installed("@tensorflow/tfjs");
const wasm = installed("@tensorflow/tfjs-backend-wasm");
const faceapi = installed("@vladmandic/face-api/dist/face-api.node-wasm.js");

const SIDE = 48;

async function main([imagesFile, outFile]) {
  wasm.setWasmPaths(path.join(process.cwd(), "node_modules/@tensorflow/tfjs-backend-wasm/dist/"));
  await faceapi.tf.setBackend("wasm");
  await faceapi.tf.ready();
  const network = faceapi.nets.faceExpressionNet;
  await network.loadFromDisk(path.join(process.cwd(), "node_modules/@vladmandic/face-api/model"));
  const bytes = fs.readFileSync(imagesFile);
  const rows = [];
  for (let start = 0; start < bytes.length; start += SIDE * SIDE) {
    const gray = faceapi.tf.tensor3d(Array.from(bytes.subarray(start, start + SIDE * SIDE)), [SIDE, SIDE, 1]);
    const colors = faceapi.tf.tile(gray, [1, 1, 3]);
    const probabilities = await network.forward(colors);
    rows.push(...(await probabilities.data()));
    faceapi.tf.dispose([gray, colors, probabilities]);
  }
  fs.writeFileSync(outFile, Buffer.from(new Float32Array(rows).buffer));
}

main(process.argv.slice(2));
