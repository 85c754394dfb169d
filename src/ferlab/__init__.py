"""ferlab trains and compares facial-expression models on FER2013 under one honest protocol.

Importing it loads no machine-learning framework.
"""

from ferlab.compare import compare, compare_runs
from ferlab.data import Dataset, Split, load_dataset
from ferlab.emotions import EMOTIONS
from ferlab.errors import FerlabError
from ferlab.evaluate import evaluate
from ferlab.plugins import load_plugin
from ferlab.predict import Predictor
from ferlab.train import train

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
    "evaluate",
    "load_dataset",
    "load_plugin",
    "train",
]
