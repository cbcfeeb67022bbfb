"""Datasets: image references and class names."""
