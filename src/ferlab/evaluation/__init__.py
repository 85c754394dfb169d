"""Evaluation: a trained model and one split of a dataset give metrics."""
