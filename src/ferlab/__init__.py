"""ferlab trains and compares facial-expression models on FER2013 under one honest protocol.

Importing it loads nothing else: each name is loaded when it is first asked for.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ferlab.comparison import compare, compare_runs
    from ferlab.data import Dataset, Split, load_dataset
    from ferlab.emotions import EMOTIONS
    from ferlab.ensembles import ensemble
    from ferlab.errors import FerlabError
    from ferlab.evaluation import evaluate
    from ferlab.explanation import explain
    from ferlab.plugins import load_plugin
    from ferlab.predict import Predictor
    from ferlab.training import train

__version__ = "0.1.0"

__all__ = [
    "EMOTIONS",
    "Dataset",
    "FerlabError",
    "Predictor",
    "Split",
    "__version__",
    "compare",
    "compare_runs",
    "ensemble",
    "evaluate",
    "explain",
    "load_dataset",
    "load_plugin",
    "train",
]

# Where each lies. A room must not be called as what it holds: loading it would hide that.
_ROOMS = {
    "EMOTIONS": "emotions",
    "Dataset": "data",
    "FerlabError": "errors",
    "Predictor": "predict",
    "Split": "data",
    "compare": "comparison",
    "compare_runs": "comparison",
    "ensemble": "ensembles",
    "evaluate": "evaluation",
    "explain": "explanation",
    "load_dataset": "data",
    "load_plugin": "plugins",
    "train": "training",
}


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module 'ferlab' has no attribute '{name}'")
    value = getattr(importlib.import_module(f"ferlab.{_ROOMS[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
