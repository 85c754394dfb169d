"""Write the live page as static files that run the whole prediction inside the browser.

ONNX Runtime for browsers comes from npm (https://www.npmjs.com/package/onnxruntime-web, MIT license).
"""

import base64
import hashlib
import json
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from ferlab.errors import ArtifactError, MissingExtraError, OutputError
from ferlab.images.yunet import YuNet, yunet_file
from ferlab.predict.artifact import Artifact
from ferlab.predict.packaged import DEFAULT_MODEL

PAGE = Path(__file__).with_name("page")
ANALYZER = 'export { openAnalyzer } from "./browser.js";\n'
PACKAGE = "onnxruntime-web@1.30.0"
PACKAGE_SHA512 = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="  # base64
PACKAGE_FILES = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
NPM_TIMEOUT = 300  # seconds


def write_static_page(out: Path, model: str | Path = DEFAULT_MODEL, detector_model: Path | None = None) -> None:
    """Write the page, the models and ONNX Runtime into a new folder.

    Args:
        out: the folder. It must not exist, or be empty. It is complete or not changed.
        model: a network in the package, or an `.onnx` artifact.
        detector_model: the YuNet model file; if None, it is downloaded once.

    Raises:
        ArtifactError: if the model is not a valid `.onnx` artifact.
        DetectorError: if the detector's model file is not available or not valid.
        MissingExtraError: if the extra `serve` is not installed.
        OutputError: if the folder is not empty or cannot be written, or npm is missing or fails.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OutputError(f"{out} already exists and is not an empty folder. Choose another --out.")
    out = out.absolute()  # npm runs in another folder
    artifact = Artifact(model)
    if artifact.path.suffix != ".onnx":
        raise ArtifactError(f"{artifact.path} does not run in browsers. Pass an .onnx file written by `ferlab export`.")
    card = _card(artifact)
    detector = yunet_file(detector_model)
    YuNet(detector)  # raises if the file is not a YuNet model
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as temporary:
            page = Path(temporary) / "page"
            shutil.copytree(PAGE, page)
            (page / "analyzer.js").write_text(ANALYZER, encoding="utf-8")
            (page / "model").mkdir()
            (page / "model" / "model.json").write_text(json.dumps(card), encoding="utf-8")
            shutil.copyfile(artifact.path, page / "model" / "model.onnx")
            shutil.copyfile(detector, page / "model" / "detector.onnx")
            _extract_runtime(_download_runtime(Path(temporary)), page / "onnxruntime")
            page.replace(out)
    except OSError as error:
        raise OutputError(f"{out} cannot be written: {error.strerror or error}. Choose another --out.") from error


def _card(artifact: Artifact) -> dict[str, Any]:
    """Return the model card as the service sends it, with the crop margin."""
    try:
        from ferlab.serve.card import model_card
    except ImportError as error:
        raise MissingExtraError("serve", str(error.name)) from None
    return model_card(artifact).model_dump() | {"crop_margin": artifact.metadata["crop_margin"]}


def _download_runtime(folder: Path) -> Path:
    """Download the npm package of ONNX Runtime, and verify its SHA-512. Returns the archive."""
    npm = shutil.which("npm")
    if not npm:
        raise OutputError(
            "npm is not installed. It is needed to write the page, not to use it. Install Node.js: https://nodejs.org"
        )
    command = [npm, "pack", PACKAGE, "--pack-destination", str(folder), "--loglevel=error", "--prefer-offline"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=NPM_TIMEOUT, check=False, cwd=folder)
    except subprocess.TimeoutExpired:
        raise OutputError(f"npm could not download {PACKAGE} in {NPM_TIMEOUT} seconds. Try again.") from None
    if done.returncode:
        parts = [part.strip() for part in done.stderr.split("npm error") if "complete log" not in part]
        reason = max(parts, key=len, default="") or "it gave no reason"  # the longest part is a sentence, not a code
        raise OutputError(f"npm could not download {PACKAGE}: {reason}. Check the network, and try again.")
    archive = folder / done.stdout.strip().splitlines()[-1]
    if base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode() != PACKAGE_SHA512:
        raise OutputError(f"{PACKAGE} was refused: its SHA-512 is not the expected one. Check npm's registry.")
    return archive


def _extract_runtime(archive: Path, folder: Path) -> None:
    folder.mkdir()
    with tarfile.open(archive) as package:
        for name in PACKAGE_FILES:
            content = package.extractfile(f"package/dist/{name}")
            assert content is not None  # the archive is the expected one
            with content, open(folder / name, "wb") as target:
                shutil.copyfileobj(content, target)
