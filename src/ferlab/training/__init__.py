"""Training: a recipe and a dataset make a run folder."""
