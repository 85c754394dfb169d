"""Model architectures, one function each.

Every public function in a module of this folder that is annotated `-> keras.Model` and takes `num_classes` first is an
architecture, named after the function. It maps float32 images `(N, 48, 48, 1)`, 0..255, to float32 logits `(N, K)` and
contains all preprocessing. Modules whose names begin with an underscore hold shared parts.
"""

from ferlab.models.counting import count_multiply_adds, count_parameters
from ferlab.models.inference import load_model, predict_logits
from ferlab.models.registry import (
    build_model,
    build_trainable,
    build_without_pretrained_weights,
    model_names,
    model_options,
    model_summary,
    plugin_sha256,
    set_initial_weights,
    set_trained_weights,
)

__all__ = [
    "build_model",
    "build_trainable",
    "build_without_pretrained_weights",
    "count_multiply_adds",
    "count_parameters",
    "load_model",
    "model_names",
    "model_options",
    "model_summary",
    "plugin_sha256",
    "predict_logits",
    "set_initial_weights",
    "set_trained_weights",
]
