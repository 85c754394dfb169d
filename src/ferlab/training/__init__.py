"""Train a recipe on a dataset into a run folder."""
