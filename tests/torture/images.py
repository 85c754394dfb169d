"""Predict on hostile images: truncated, with flipped bits, wrong headers, extreme sizes, or of another format."""

import io
import struct
import zlib
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from tests.torture.attack import ReadingAttack
from tests.torture.damage import damage_bytes
from tests.torture.outcomes import Outcome, Report

if TYPE_CHECKING:
    from ferlab import Predictor

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "JPEG2000", "PPM", "AVIF")
UNFORESEEN = "face detection failed"  # how ferlab names an error that it does not know
SIDES = (1, 2, 7, 31, 640, 4000, 16_000, 30_000, 65_500)
MAX_PIXELS = 30_000_000  # of images that are encoded for this attack


class Images(ReadingAttack):
    """Predict on one hostile image, as `ferlab predict` does.

    An image survives if its row has finite numbers and faces inside the image. It is refused if the row has the status
    `error` with a reason.
    """

    name = "images"
    planned = 2_000

    def prepare(self) -> None:
        """Write a valid image of each format, and a model."""

        def work() -> None:
            from ferlab import load_dataset
            from tests.artifacts import linear_artifact
            from tests.scenes import scene

            linear_artifact(self.folder / "linear.onnx")
            gray = scene(load_dataset("demo"), (90, 20, 40), size=(160, 200))
            image = Image.fromarray(np.stack([gray, gray, 255 - gray], axis=2))
            for name in FORMATS:
                image.save(self.folder / f"valid.{name}", name)

        self.in_child(work, "inputs")
        self.valid = {name: (self.folder / f"valid.{name}").read_bytes() for name in FORMATS}

    def read(self, number: int) -> Report:
        """Predict on the image with a number."""
        from ferlab.errors import FerlabError
        from ferlab.predict.batch import predict_files

        content, what = self.image(number)
        place = self.place(number)
        place.mkdir(exist_ok=True)
        path = place / f"image.{what.split()[0].lower()}"
        path.write_bytes(content)
        ((_, result),) = predict_files(self.predictor, [path], threads=1)
        if isinstance(result, FerlabError):
            reason = str(result)
            known = reason and UNFORESEEN not in reason and "\n" not in reason
            return Report(outcome=Outcome.REFUSED if known else Outcome.CRASHED, note=f"{what}: {reason}")
        for face in result.faces:
            numbers = [*face.box, face.confidence, face.detection_score or 0.0, *face.probabilities.values()]
            if not np.isfinite(numbers).all() or min(face.box.width, face.box.height) <= 0:
                return Report(outcome=Outcome.WRONG, note=f"{what}: {face}")
        return Report(outcome=Outcome.SURVIVED, note=what)

    @cached_property
    def predictor(self) -> "Predictor":
        """The predictor of a child, which is opened once."""
        from ferlab import Predictor

        return Predictor(self.folder / "linear.onnx", "haar")

    def image(self, number: int) -> tuple[bytes, str]:
        """Make the image with a number. Returns its bytes, and its format and what is wrong with it."""
        generator = self.generator(number)
        name = FORMATS[number % len(FORMATS)]
        kind = generator.random()
        if kind < 0.7:
            return damage_bytes(self.valid[name], generator), f"{name} damaged"
        if kind < 0.8:
            return _with_size(self.valid[name], name, generator), f"{name} with another size in its header"
        if kind < 0.85:
            width, height = _extreme_size(generator)
            return _encoded(width, height, name), f"{name} of {width}x{height} pixels"
        if kind < 0.9:
            other = FORMATS[generator.integers(len(FORMATS))]
            begin = int(generator.integers(4, 200))
            return self.valid[other][:begin] + self.valid[name][begin:], f"{name} with the header of {other}"
        if kind < 0.95:
            return _png(generator), "PNG of a hostile encoder"
        return generator.bytes(int(generator.integers(0, 5000))), f"{name} of random bytes"


def _extreme_size(generator: np.random.Generator) -> tuple[int, int]:
    while True:
        width, height = (SIDES[index] for index in generator.integers(len(SIDES), size=2))
        if width * height <= MAX_PIXELS:
            return width, height


def _encoded(width: int, height: int, name: str) -> bytes:
    """Encode a blank image, as PNG if the format does not allow its size."""
    for format_name in (name, "PNG"):
        buffer = io.BytesIO()
        try:
            Image.new("L", (width, height), 128).save(buffer, format_name)
        except (OSError, ValueError, RuntimeError):
            continue
        return buffer.getvalue()
    raise AssertionError("PNG takes every size")


# Where the width and the height are in the header of a format.
SIZE_FIELDS: dict[str, tuple[int, str]] = {"PNG": (16, ">II"), "GIF": (6, "<HH"), "BMP": (18, "<ii")}


def _with_size(content: bytes, name: str, generator: np.random.Generator) -> bytes:
    """Write another size into the header of an image."""
    changed = bytearray(content)
    sizes = [int(2 ** generator.uniform(0, 31)) for _ in range(2)]
    if name in SIZE_FIELDS:
        offset, layout = SIZE_FIELDS[name]
        limit = 2**16 - 1 if name == "GIF" else 2**31 - 1
        struct.pack_into(layout, changed, offset, *(min(size, limit) for size in sizes))
        if name == "PNG":
            struct.pack_into(">I", changed, 29, zlib.crc32(changed[12:29]))
    elif name == "JPEG":
        place = next(changed.find(marker) for marker in (b"\xff\xc0", b"\xff\xc2") if marker in changed)
        struct.pack_into(">HH", changed, place + 5, *(min(size, 65_535) for size in sizes))
    elif name == "PPM":
        return b"P6\n%d %d\n255\n" % tuple(sizes) + content[-1000:]
    else:  # the others: any four bytes of the header
        place = int(generator.integers(0, min(100, len(changed) - 4)))
        struct.pack_into("<I", changed, place, sizes[0])
    return bytes(changed)


def _png(generator: np.random.Generator) -> bytes:
    """Encode a PNG of any color type and depth, whose pixels are too few, too many, or random bytes."""
    width, height = (int(size) for size in generator.integers(1, 3000, 2))
    depth, color = (int(generator.choice(values)) for values in ([1, 2, 4, 8, 16], [0, 2, 3, 4, 6]))
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, int(generator.integers(0, 2)))
    pixels = zlib.compress(bytes(int(generator.integers(0, 20_000_000))))
    chunks = [(b"IHDR", header), (b"IDAT", pixels), (b"IEND", b"")]
    if color == 3 and generator.random() < 0.8:
        chunks.insert(1, (b"PLTE", generator.bytes(3 * int(generator.integers(0, 300)))))
    if generator.random() < 0.5:
        text = zlib.compress(bytes(int(generator.integers(0, 50_000_000))))  # a comment that grows when it is inflated
        chunks.insert(1, (b"zTXt", b"Comment\0\0" + text))
    if generator.random() < 0.3:
        chunks.insert(1, (b"tRNS", generator.bytes(int(generator.integers(0, 300)))))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
