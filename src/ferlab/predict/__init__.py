"""Prediction without Keras or TensorFlow: an artefact, run by ONNX Runtime."""

from ferlab.predict.artefact import Artefact
from ferlab.predict.predictor import Classification, Predictor

__all__ = ["Artefact", "Classification", "Predictor"]
