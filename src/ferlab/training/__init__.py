"""Training: a recipe and a data set make a run folder."""
