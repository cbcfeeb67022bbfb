"""Evaluation: accuracies with intervals, predictions, and measures without labels."""
