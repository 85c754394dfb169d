"""Explanations: where a model looks."""
