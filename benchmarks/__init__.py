"""Measurements of latte against plain ways to do the same."""
