"""Evaluation: accuracies with intervals, predictions, and measures that need no labels."""
