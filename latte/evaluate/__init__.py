"""Evaluation: accuracy with intervals, predictions, diagnostics without labels."""
