"""Explanations: where in an image a model finds evidence for each class."""
