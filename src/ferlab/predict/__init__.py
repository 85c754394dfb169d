"""Prediction without Keras or TensorFlow: an artefact, run by ONNX Runtime, and what brings faces to it."""

from ferlab.predict.artefact import Artefact
from ferlab.predict.faces import Box, Classification, Face
from ferlab.predict.predictor import Predictor

__all__ = ["Artefact", "Box", "Classification", "Face", "Predictor"]
