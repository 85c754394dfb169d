"""Reading data sets. One module a format; `load_dataset` finds the one that fits a source."""

import importlib
import pkgutil
from pathlib import Path
from types import ModuleType

from ferlab.data import cache
from ferlab.data.dataset import Dataset, Split
from ferlab.data.reading import BadItems
from ferlab.errors import DataError

__all__ = ["Dataset", "Split", "formats", "load_dataset"]


def formats() -> list[ModuleType]:
    """The modules of this package that define `matches(path)` and `load(path, bad)`."""
    modules = (importlib.import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__))
    return [module for module in modules if hasattr(module, "matches")]


def load_dataset(source: str | Path, *, skip_bad: bool = False, use_cache: bool = True) -> Dataset:
    """Loads FER2013, or the procedural demo data.

    Args:
        source: a folder or zip in the Kaggle layout, `fer2013.csv` or `icml_face_data.csv` (plain, compressed or
            zipped), or the word `demo`.
        skip_bad: leave out images and rows that cannot be read, and list them in `Dataset.skipped`.
        use_cache: keep a decoded copy in the user's cache folder, and read it next time. It is keyed by path,
            size and time stamp.

    Returns:
        The data set, with uint8 images `(N, 48, 48)`.

    Raises:
        DataError: if the source is missing, of no known format, or holds a bad item and `skip_bad` is off.

    Example:
        >>> dataset = load_dataset("demo")
        >>> dataset.images.dtype, dataset.images.shape[1:]
        (dtype('uint8'), (48, 48))
    """
    if str(source) == "demo":
        from ferlab.data import demo

        return demo.load()
    path = Path(source).expanduser()
    if not path.exists():
        raise DataError(f"{source} does not exist. Give a folder, zip or CSV file of FER2013, or the word 'demo'.")
    key = cache.key_of(path, skip_bad) if use_cache else ""
    dataset = cache.read(key, str(source)) if use_cache else None
    if dataset is None:
        dataset = _read(path, BadItems(source=str(source), skip=skip_bad))
        if use_cache:
            cache.write(key, dataset)
    return dataset


def _read(path: Path, bad: BadItems) -> Dataset:
    for module in formats():
        if module.matches(path):
            return module.load(path, bad)
    raise DataError(f"{path} is of no known format. Known are a folder or zip in the Kaggle layout, and fer2013.csv.")
