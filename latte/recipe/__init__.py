"""Recipes: read YAML into validated settings; errors name file, line and key."""
