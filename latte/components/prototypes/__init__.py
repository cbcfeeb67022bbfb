"""Prototype aggregators."""
