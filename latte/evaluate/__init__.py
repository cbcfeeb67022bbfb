"""Evaluation: accuracies with intervals, predictions, and figures that need no labels."""
