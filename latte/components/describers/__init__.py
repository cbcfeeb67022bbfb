"""Describers."""
