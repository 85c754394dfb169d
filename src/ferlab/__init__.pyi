from .comparison.compare import compare as compare
from .comparison.compare_runs import compare_runs as compare_runs
from .data import Dataset as Dataset
from .data import Split as Split
from .data import load_dataset as load_dataset
from .emotions import EMOTIONS as EMOTIONS
from .errors import FerlabError as FerlabError
from .evaluation.evaluate import evaluate as evaluate
from .explanation.explain import explain as explain
from .export.ensemble import ensemble as ensemble
from .finetuning.finetune import finetune as finetune
from .plugins import load_plugin as load_plugin
from .predict import Predictor as Predictor
from .report import write_report as write_report
from .search.sweep import sweep as sweep
from .training.train import train as train

__version__: str
