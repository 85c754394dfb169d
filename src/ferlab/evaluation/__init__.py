"""Evaluation: a trained model and one split of a data set give metrics."""
