"""Search the hyperparameters of a recipe with Optuna."""
