"""Predict emotions with ONNX Runtime or LiteRT. Nothing here imports Keras."""

from ferlab.predict.artifact import Artifact
from ferlab.predict.prediction import Prediction
from ferlab.predict.predictor import Predictor
from ferlab.predict.results import Box, Classification, Face

__all__ = ["Artifact", "Box", "Classification", "Face", "Prediction", "Predictor"]
