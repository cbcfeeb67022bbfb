"""Describers: what writes texts about images."""
