"""Recipes: from YAML to validated settings, with errors that say where."""
