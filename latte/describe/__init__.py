"""Descriptions: plan requests, ask describers, store and gate texts, serve them to training."""
