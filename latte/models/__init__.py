"""Saved models of runs, which are loaded without the recipes that made them."""
