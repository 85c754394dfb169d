"""Prediction without Keras or TensorFlow: an artifact, run by ONNX Runtime, and what brings faces to it."""

from ferlab.predict.artifact import Artifact
from ferlab.predict.predictor import Predictor
from ferlab.predict.results import Box, Classification, Face

__all__ = ["Artifact", "Box", "Classification", "Face", "Predictor"]
