"""Limits on what files may contain, so that a small file cannot fill the memory. Real data is far below them."""

MEBIBYTE = 2**20

MAX_PIXELS = 80_000_000  # of an image; phone cameras reach 50 million, and Pillow warns above 89 million
MAX_PATH = 1_000  # characters, of a zip member
PIXELS_IN_MEMORY = 2 * MAX_PIXELS  # of all images that threads decode at the same time; about 8 bytes each
MAX_IMAGE_BYTES = 512 * MEBIBYTE  # of an image file that is read as a whole, such as a zip member
MAX_ROW = 1_000_000  # characters of a CSV row; one of FER2013 has about 9,000
MAX_TEXT_BYTES = 512 * MEBIBYTE  # of a JSON file or a list of names
MAX_MODEL_BYTES = 2048 * MEBIBYTE  # of an artifact; also the limit of the ONNX format
MAX_INFLATION = 200  # size of inflated content divided by the compressed size; tables of pixels reach 4
FREE_INFLATION = 64 * MEBIBYTE  # below which the ratio does not matter
MAX_BAD_ITEMS = 100_000  # that are skipped before a source is given up


def max_inflated(compressed: int) -> int:
    """Return the largest size, in bytes, to which a compressed file of a size may inflate."""
    return max(FREE_INFLATION, MAX_INFLATION * compressed)
